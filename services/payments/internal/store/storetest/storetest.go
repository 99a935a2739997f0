// Package storetest is the suite that the store of payments passes on every
// engine. It takes a constructor of empty, migrated stores.
package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/idempotency"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/services/payments/internal/app"
	"trama/services/payments/internal/events"
	"trama/services/payments/internal/fraud"
	"trama/services/payments/internal/payment"
	payments "trama/services/payments/internal/store"
)

// bench is one store under test.
type bench struct {
	*payments.Payments
	db    store.DB
	box   *outbox.Box
	clock *clock.Shifted
	ids   *id.Generator
}

// Run runs the suite; open gives an empty store with all its tables.
func Run(t *testing.T, open func(t *testing.T) store.DB) {
	for name, test := range map[string]func(*testing.T, *bench){
		"a payment comes back as it was":       roundTrip,
		"a payment and its event are one":      atomic,
		"a key belongs to one payment":         keys,
		"an answer is kept with the change":    answers,
		"an event has one effect":              once,
		"one seat per person and course":       seats,
		"concurrent claims give one winner":    contested,
		"concurrent changes are all seen":      concurrent,
		"facts count what came before":         facts,
		"facts look no deeper than needed":     depth,
		"lists are newest first, page by page": lists,
		"overdue payments come in order":       overdue,
		"what is not there is not found":       missing,
		"a change that fails leaves nothing":   undone,
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			c := &clock.Shifted{}
			ids := id.New(c, rand.Reader)
			box := outbox.New(db, "/financeiro", c, ids)
			test(t, &bench{payments.New(db, box, c, events.Tell), db, box, c, ids})
		})
	}
}

// order is a wish of the n-th person for the n-th course.
func (b *bench) order(person, course int) payment.Order {
	return payment.Order{
		ID: b.ids.New(), EnrolmentRef: b.ids.New(), Method: payment.Card,
		Payer:  payment.Payer{Name: "Ana 🎓 'Souza'", Email: fmt.Sprintf("p%d@exemplo.com.br", person), CPF: fmt.Sprintf("%011d", person), Phone: "+5511912345678"},
		Course: payment.Course{ID: fmt.Sprint("c", course), Title: "Go; DROP TABLE payment"},
		Price:  129900, Amount: 116910, Coupon: "BEMVINDO10", Installments: 3,
		Card: payment.CardOnFile{Token: "tok", Brand: "visa", LastFour: "1111", Fingerprint: "f1", Country: "BR"},
	}
}

// accept stores the payment of an order, changed by the verbs given.
func (b *bench) accept(t *testing.T, o payment.Order, verbs ...func(*payment.Payment)) string {
	t.Helper()
	p := payment.Accept(o, b.clock.Now())
	if err := b.Insert(t.Context(), p, nil); err != nil {
		t.Fatal(err)
	}
	if len(verbs) > 0 {
		b.change(t, o.ID, verbs...)
	}
	return o.ID
}

func (b *bench) change(t *testing.T, id string, verbs ...func(*payment.Payment)) {
	t.Helper()
	_, err := b.Update(t.Context(), nil, id, func(p *payment.Payment, _ app.Seat) error {
		for _, v := range verbs {
			v(p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) analysed(p *payment.Payment) {
	_ = p.Analyse(40, []string{"valor-alto", "cartao-de-outro-pais"}, false, b.clock.Now().Add(time.Hour), b.clock.Now())
}

func (b *bench) approved(p *payment.Payment) { b.analysed(p); _ = p.Approve("cob", b.clock.Now()) }

func (b *bench) refused(p *payment.Payment) {
	b.analysed(p)
	_ = p.Refuse(payment.NoFunds, b.clock.Now())
}

// events gives the short names of what waits in the outbox.
func (b *bench) events(t *testing.T) string {
	t.Helper()
	entries, err := b.box.Pending(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, strings.Split(e.Event.Type, ".")[3])
	}
	return strings.Join(out, " ")
}

func roundTrip(t *testing.T, b *bench) {
	o := b.order(1, 1)
	o.Method = payment.Pix
	p := payment.Accept(o, b.clock.Now())
	if err := b.Insert(t.Context(), p, nil); err != nil {
		t.Fatal(err)
	}
	steps := []func(*payment.Payment) error{
		func(p *payment.Payment) error {
			b.analysed(p)
			return p.Issue("cob1", "000201", b.clock.Now().Add(time.Hour), b.clock.Now())
		},
		func(p *payment.Payment) error { return p.Refuse(payment.Expired, b.clock.Now()) },
		func(p *payment.Payment) error { return p.SendBack("cob1", b.clock.Now()) },
		func(p *payment.Payment) error { p.Enrol("a1", "m1", b.clock.Now()); return nil },
		func(p *payment.Payment) error { return p.GiveBack(b.clock.Now()) },
	}
	want := p.State()
	for i := 0; ; i++ {
		got, err := b.Get(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.State(), want) {
			t.Fatalf("after %d changes:\ngot  %+v\nwant %+v", i, got.State(), want)
		}
		if i == len(steps) {
			break
		}
		changed, err := b.Update(t.Context(), nil, o.ID, func(p *payment.Payment, _ app.Seat) error { return steps[i](p) })
		if err != nil {
			t.Fatal(err)
		}
		if want = changed.State(); want.Version != int64(i+2) {
			t.Errorf("version %d after %d changes", want.Version, i+1)
		}
	}
}

func atomic(t *testing.T, b *bench) {
	o := b.order(1, 1)
	b.accept(t, o, b.approved)
	if got := b.events(t); got != "PagamentoRecebido PagamentoProcessado" {
		t.Errorf("events: %s", got)
	}
	if err := b.Insert(t.Context(), payment.Accept(o, b.clock.Now()), nil); !store.IsUnique(err) {
		t.Errorf("the same id again: %v", err)
	}
	if got := b.events(t); got != "PagamentoRecebido PagamentoProcessado" {
		t.Errorf("a failed insert left an event: %s", got)
	}
}

func keys(t *testing.T, b *bench) {
	key := idempotency.Key{Scope: "POST /x", Value: "k", Request: "r"}
	first := b.order(1, 1)
	if err := b.Insert(t.Context(), payment.Accept(first, b.clock.Now()), &key); err != nil {
		t.Fatal(err)
	}
	second := b.order(2, 2)
	if err := b.Insert(t.Context(), payment.Accept(second, b.clock.Now()), &key); !errors.Is(err, idempotency.ErrRace) {
		t.Fatalf("the same key: %v", err)
	}
	if _, err := b.Get(t.Context(), second.ID); !errors.Is(err, app.ErrNotFound) {
		t.Errorf("the loser is stored: %v", err)
	}
	if id, ok, err := b.Answered(t.Context(), key); id != first.ID || !ok || err != nil {
		t.Errorf("answered: %s %v %v", id, ok, err)
	}
	other := key
	other.Request = "another body"
	if _, _, err := b.Answered(t.Context(), other); !errors.Is(err, idempotency.ErrReused) {
		t.Errorf("another body: %v", err)
	}
	b.clock.Jump(idempotency.Life)
	if _, ok, err := b.Answered(t.Context(), key); ok || err != nil {
		t.Errorf("expired: %v %v", ok, err)
	}
	if err := b.Insert(t.Context(), payment.Accept(second, b.clock.Now()), &key); err != nil {
		t.Errorf("an expired key: %v", err)
	}
}

func answers(t *testing.T, b *bench) {
	id := b.accept(t, b.order(1, 1), b.approved)
	key := idempotency.Key{Scope: "POST /y", Value: "k", Request: "r"}
	unit := b.Keyed(key, func() idempotency.Answer { return idempotency.Answer{Status: 202, Resource: id, Body: []byte("{}")} })
	refund := func(p *payment.Payment, _ app.Seat) error { return p.RequestRefund("x", b.clock.Now()) }
	if _, err := b.Update(t.Context(), unit, id, refund); err != nil {
		t.Fatal(err)
	}
	if a, ok, err := b.Answer(t.Context(), key); !ok || err != nil || string(a.Body) != "{}" || a.Status != 202 {
		t.Errorf("%+v %v %v", a, ok, err)
	}
	if _, err := b.Update(t.Context(), unit, id, refund); !errors.Is(err, idempotency.ErrRace) {
		t.Errorf("the key again: %v", err)
	}
}

func once(t *testing.T, b *bench) {
	id := b.accept(t, b.order(1, 1))
	runs := 0
	unit := func(ctx context.Context, fn func(store.Tx) error) error {
		return b.box.Once(ctx, "payments.analise", bus.Event{ID: "e1"}, fn)
	}
	for range 3 {
		p, err := b.Update(t.Context(), unit, id, func(p *payment.Payment, _ app.Seat) error {
			runs++
			b.approved(p)
			return nil
		})
		if err != nil || p.Status() != payment.Approved {
			t.Fatalf("%v %v", p, err)
		}
	}
	if runs != 1 || b.events(t) != "PagamentoRecebido PagamentoProcessado" {
		t.Errorf("%d runs, events %s", runs, b.events(t))
	}
}

// take lets a payment claim its seat and gives the answers of Look and Take.
func (b *bench) take(t *testing.T, id string) string {
	t.Helper()
	var look, take app.Claim
	_, err := b.Update(t.Context(), nil, id, func(_ *payment.Payment, s app.Seat) (err error) {
		if look, err = s.Look(t.Context()); err == nil {
			take, err = s.Take(t.Context())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	claims := []string{"free", "ours", "paid", "undecided"}
	return claims[look] + " " + claims[take]
}

func seats(t *testing.T, b *bench) {
	first, second := b.accept(t, b.order(1, 1)), b.accept(t, b.order(1, 1))
	otherCourse, otherPerson := b.accept(t, b.order(1, 2)), b.accept(t, b.order(2, 1))
	for _, c := range []struct{ id, want string }{
		{first, "free ours"}, {first, "ours ours"}, {second, "undecided undecided"}, {otherCourse, "free ours"}, {otherPerson, "free ours"},
	} {
		if got := b.take(t, c.id); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	b.change(t, first, b.approved)
	if got := b.take(t, second); got != "paid paid" {
		t.Errorf("approved: %s", got)
	}
	b.change(t, first, func(p *payment.Payment) { _ = p.GiveBack(b.clock.Now()) })
	if got := b.take(t, second); got != "free ours" {
		t.Errorf("refunded: %s", got)
	}
	b.change(t, second, b.refused)
	if got := b.take(t, b.accept(t, b.order(1, 1))); got != "free ours" {
		t.Errorf("refused: %s", got)
	}
	if got := b.take(t, otherCourse); got != "ours ours" {
		t.Errorf("another course lost its seat: %s", got)
	}
}

func contested(t *testing.T, b *bench) {
	var ids []string
	for range 12 {
		ids = append(ids, b.accept(t, b.order(1, 1)))
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ours := 0
	for _, id := range ids {
		wg.Go(func() {
			_, err := b.Update(t.Context(), nil, id, func(p *payment.Payment, s app.Seat) error {
				claim, err := s.Take(t.Context())
				if err == nil && claim == app.Ours {
					b.approved(p)
				}
				return err
			})
			p, getErr := b.Get(t.Context(), id)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || getErr != nil {
				t.Errorf("%v %v", err, getErr)
			} else if p.Status() == payment.Approved {
				ours++
			}
		})
	}
	wg.Wait()
	if ours != 1 {
		t.Errorf("%d payments have the one seat", ours)
	}
}

func concurrent(t *testing.T, b *bench) {
	id := b.accept(t, b.order(1, 1))
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, err := b.Update(t.Context(), nil, id, func(p *payment.Payment, _ app.Seat) error {
				p.Enrol("a", fmt.Sprint(i), b.clock.Now())
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if p, err := b.Get(t.Context(), id); err != nil || p.State().Version != 21 {
		t.Errorf("version %d after 20 changes (%v)", p.State().Version, err)
	}
}

func missing(t *testing.T, b *bench) {
	if _, err := b.Get(t.Context(), "none"); !errors.Is(err, app.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	_, err := b.Update(t.Context(), nil, "none", func(*payment.Payment, app.Seat) error { return errors.New("called") })
	if !errors.Is(err, app.ErrNotFound) {
		t.Errorf("update: %v", err)
	}
}

func undone(t *testing.T, b *bench) {
	id := b.accept(t, b.order(1, 1))
	boom := errors.New("boom")
	_, err := b.Update(t.Context(), nil, id, func(p *payment.Payment, s app.Seat) error {
		if _, err := s.Take(t.Context()); err != nil {
			return err
		}
		b.approved(p)
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("%v", err)
	}
	if p, err := b.Get(t.Context(), id); err != nil || p.Status() != payment.Received {
		t.Errorf("%v %v", p, err)
	}
	if got := b.events(t); got != "PagamentoRecebido" {
		t.Errorf("events: %s", got)
	}
	if got := b.take(t, b.accept(t, b.order(1, 1))); got != "free ours" {
		t.Errorf("the seat: %s", got)
	}
}

// limits are those of the facts tests.
var limits = fraud.Limits{Window: time.Hour, PeopleWindow: 24 * time.Hour, PerCard: 5, PerEmail: 5, PerCPF: 5}
