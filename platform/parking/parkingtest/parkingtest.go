// Package parkingtest is the contract suite of bus.Parking and parking.Admin.
// Every adapter runs it; what it does not prove, no consumer may rely on.
package parkingtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/parking"
)

// Lot is what an adapter must be.
type Lot interface {
	bus.Parking
	parking.Admin
}

// Kit is one empty store.
type Kit struct {
	// Open gives another handle on the store, as another process would have. The
	// process name is "host:1".
	Open func(t *testing.T, c clock.Clock) Lot
	// Handled says whether an inbox would find the key handled.
	Handled func(t *testing.T, subscription, key string) bool
}

const sub = "escola.teste"

// limit bounds every test.
const limit = 60 * time.Second

// Run proves the promises; fresh makes an empty store.
func Run(t *testing.T, fresh func(t *testing.T) Kit) {
	for name, test := range map[string]func(r *rig){
		"order within a subject":          order,
		"parking again changes nothing":   parkTwice,
		"nobody is behind nothing":        promotion,
		"all of a letter comes back":      wholeLetter,
		"failed tries":                    failing,
		"who is woken":                    waking,
		"subscriptions are apart":         apart,
		"letters outlive the process":     reopening,
		"odd bytes":                       oddBytes,
		"lease":                           leasing,
		"retry":                           retrying,
		"an act during a try":             actDuringTry,
		"edit":                            editing,
		"edit of what was no event":       editingNoEvent,
		"drop":                            dropping,
		"list page by page":               listing,
		"filters":                         filtering,
		"causes":                          grouping,
		"counts":                          counting,
		"hold and release":                holding,
		"audit":                           auditing,
		"bulk acts in a loop":             bulk,
		"operators beside a consumer":     beside,
		"two operators do one thing once": twoOperators,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			t.Cleanup(cancel)
			c := &clock.Shifted{}
			kit := fresh(t)
			test(&rig{T: t, Kit: kit, lot: kit.Open(t, c), clock: c, ctx: ctx})
		})
	}
}

// rig is one test's store and what it does with it.
type rig struct {
	*testing.T
	Kit
	lot   Lot
	clock *clock.Shifted
	ctx   context.Context
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// later makes time pass, so that what is due then is not due now.
func (r *rig) later() { r.clock.Jump(time.Second) }

func event(id, subject string) []byte {
	return eventWith(id, subject, "br.trama.teste.Fato.v1", `{}`)
}

func eventWith(id, subject, typ, data string) []byte {
	body, err := bus.Encode(bus.Event{SpecVersion: "1.0", ID: id, Source: "/teste", Type: typ, Subject: subject,
		Time: time.UnixMilli(1).UTC(), DataContentType: "application/json", Data: json.RawMessage(data)})
	if err != nil {
		panic(err) // the arguments are the suite's own
	}
	return body
}

// letter makes one that failed once, or is behind.
func (r *rig) letter(id, subject string, state bus.LetterState) bus.Letter {
	l := bus.Letter{ID: id, Subject: subject, State: state, Body: event(id, subject), Type: "br.trama.teste.Fato.v1"}
	if state == bus.Behind {
		return l
	}
	l.Note(bus.Attempt{At: r.clock.Now(), Kind: "internal", Code: "erro-interno", Error: "it broke"})
	if state == bus.Waiting {
		l.Due = r.clock.Now().Add(time.Hour)
	}
	return l
}

// park parks letters.
func (r *rig) park(letters ...bus.Letter) {
	r.Helper()
	r.must(r.lot.Park(r.ctx, sub, letters...))
}

// queue parks a first letter and n behind it: "<subject>-0" and so on.
func (r *rig) queue(subject string, first bus.LetterState, n int) {
	r.Helper()
	all := []bus.Letter{r.letter(subject+"-0", subject, first)}
	for i := range n {
		all = append(all, r.letter(fmt.Sprintf("%s-%d", subject, i+1), subject, bus.Behind))
	}
	r.park(all...)
}

// front gives "id:state" of a subject's letters in order.
func (r *rig) front(subject string) []string {
	r.Helper()
	letters, err := r.lot.Front(r.ctx, sub, subject, 1000)
	r.must(err)
	var out []string
	for _, l := range letters {
		out = append(out, l.ID+":"+string(l.State))
	}
	return out
}

func (r *rig) wantFront(subject string, want ...string) {
	r.Helper()
	if got := r.front(subject); !slices.Equal(got, want) {
		r.Fatalf("%s: %v, want %v", subject, got, want)
	}
}

// woken gives the subjects due now, sorted.
func (r *rig) woken() []string {
	r.Helper()
	all, _, err := r.lot.Woken(r.ctx, sub, r.clock.Now(), 1000)
	r.must(err)
	var out []string
	for _, b := range all {
		out = append(out, b.Subject)
	}
	slices.Sort(out)
	return out
}

// acts gives "act letter" of all audit rows.
func (r *rig) acts() []string {
	r.Helper()
	all, _, err := r.lot.Audit(r.ctx, parking.Filter{}, "", 10_000)
	r.must(err)
	var out []string
	for _, a := range all {
		out = append(out, a.Act+" "+a.Letter)
	}
	return out
}

func equal[T comparable](r *rig, what string, got, want T) {
	r.Helper()
	if got != want {
		r.Errorf("%s: %v, want %v", what, got, want)
	}
}

func same(r *rig, what string, got []string, want ...string) {
	r.Helper()
	if !slices.Equal(got, want) {
		r.Errorf("%s: %q, want %q", what, got, want)
	}
}
