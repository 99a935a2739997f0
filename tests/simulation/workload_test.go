package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// workload is what people do in a run.
type workload struct {
	people   int
	payments []payment
	leads    []lead
}

// payment is one wish to pay. Its name is in its e-mail address, by which
// everything that comes of it is recognised.
type payment struct {
	name   string // "p3"
	person int
	course int
	at     time.Duration
	method string // "cartao", "pix", "boleto"
	card   string
	pay    time.Duration // pix and boleto: paid so long after it was issued; 0: never
	refund time.Duration // asked for so long after the approval; 0: never
	twice  bool          // sent twice at once under one key
}

func (p payment) email() string { return fmt.Sprintf("%s.a%d@example.com", p.name, p.person) }

// lead is one interest.
type lead struct {
	name   string // "l1", told as the origin
	email  string
	course int
	at     time.Duration
	leaves bool // by the link in the first reminder
}

// The cards: what the simulated acquirer does with them.
const (
	goodCard    = ""
	refusedCard = "4000000000000002"
	poorCard    = "4000000000009995"
	lateCard    = "4000000000000119" // charged, answer lost
	lostCard    = "4000000000000341" // no answer, unknown for a while, then charged
)

const courses = 3

func newWorkload(rng *rand.Rand) workload {
	w := workload{people: 1}
	if rng.IntN(6) == 0 {
		w.people = 2
	}
	when := func() time.Duration {
		return time.Duration(rng.IntN(7000))*time.Millisecond + time.Duration(rng.IntN(1000))*time.Microsecond
	}
	for i := range 2 + rng.IntN(5) {
		p := payment{name: fmt.Sprintf("p%d", i+1), person: rng.IntN(w.people), course: rng.IntN(courses), at: when(), method: "cartao",
			twice: rng.IntN(5) == 0}
		switch n := rng.IntN(20); {
		case n < 2:
			p.card = refusedCard
		case n < 3:
			p.card = poorCard
		case n < 5:
			p.card = lateCard
		case n < 7:
			p.card = lostCard
		case n < 12:
			p.method, p.pay = "pix", time.Duration(1+rng.IntN(6000))*time.Millisecond
		case n < 13:
			p.method = "pix"
		case n < 14:
			p.method, p.pay = "boleto", time.Duration(1+rng.IntN(6000))*time.Millisecond
		}
		if rng.IntN(4) == 0 {
			p.refund = time.Duration(1+rng.IntN(5000)) * time.Millisecond
		}
		w.payments = append(w.payments, p)
	}
	for i := range 1 + rng.IntN(3) {
		l := lead{name: fmt.Sprintf("l%d", i+1), course: rng.IntN(courses), at: when(), leaves: rng.IntN(4) == 0}
		l.email = fmt.Sprintf("%s@example.com", l.name)
		if rng.IntN(3) == 0 { // somebody who pays, too
			p := w.payments[rng.IntN(len(w.payments))]
			l.email, l.course = p.email(), p.course
		}
		w.leads = append(w.leads, l)
	}
	return w
}
