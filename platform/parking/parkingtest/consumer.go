package parkingtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"trama/platform/bus"
	"trama/platform/parking"
)

func order(r *rig) {
	r.queue("a", bus.Waiting, 3)
	r.park(r.letter("b-0", "b", bus.Dead), r.letter("a-4", "a", bus.Behind))
	r.wantFront("a", "a-0:waiting", "a-1:behind", "a-2:behind", "a-3:behind", "a-4:behind")
	r.wantFront("b", "b-0:dead")
	first, err := r.lot.Front(r.ctx, sub, "a", 2)
	r.must(err)
	if len(first) != 2 || first[0].ID != "a-0" || first[1].ID != "a-1" {
		r.Errorf("the first two: %v", first)
	}
}

func parkTwice(r *rig) {
	r.queue("a", bus.Dead, 2)
	changed := r.letter("a-0", "a", bus.Waiting)
	changed.Body = event("a-0", "other")
	r.park(changed, r.letter("a-1", "a", bus.Waiting), r.letter("a-3", "a", bus.Waiting))
	r.wantFront("a", "a-0:dead", "a-1:behind", "a-2:behind", "a-3:behind")
	e, err := r.lot.Get(r.ctx, sub, "a-0")
	r.must(err)
	if !bytes.Equal(e.Body, event("a-0", "a")) {
		r.Error("parking again changed the letter")
	}
	r.park() // nothing is nothing
}

func promotion(r *rig) {
	r.park(r.letter("a-0", "a", bus.Behind), r.letter("a-1", "a", bus.Behind), r.letter("a-2", "a", bus.Behind), r.letter("a-3", "a", bus.Behind))
	r.wantFront("a", "a-0:waiting", "a-1:behind", "a-2:behind", "a-3:behind")
	same(r, "due at once", r.woken(), "a")
	r.must(r.lot.Done(r.ctx, sub, "a-0"))
	r.wantFront("a", "a-1:waiting", "a-2:behind", "a-3:behind")
	same(r, "due after the first was done", r.woken(), "a")
	r.must(r.lot.Done(r.ctx, sub, "a-1", "a-2", "gone"))
	r.wantFront("a", "a-3:waiting")
	r.must(r.lot.Done(r.ctx, sub, "a-3"))
	r.must(r.lot.Done(r.ctx, sub, "a-3"))
	r.wantFront("a")
	all, err := r.lot.Blocked(r.ctx, sub)
	r.must(err)
	equal(r, "blocked subjects", len(all), 0)

	r.queue("b", bus.Dead, 2)
	r.must(r.lot.Done(r.ctx, sub, "b-1")) // from the middle
	r.wantFront("b", "b-0:dead", "b-2:behind")
}

func wholeLetter(r *rig) {
	now := r.clock.Now()
	l := bus.Letter{ID: "a", Subject: "s", State: bus.Waiting, Body: event("a", "s"), Type: "T", TraceID: strings.Repeat("ab", 16),
		Due: now.Add(time.Minute), Tries: 2, ParkedAt: now.Add(-time.Hour), ParkedBy: "elsewhere:7", Replay: "r1",
		History: []bus.Attempt{
			{At: now.Add(-time.Second), Took: time.Millisecond, Kind: "timeout", Code: "tempo-esgotado", Error: "late\nvery late"},
			{At: now, Took: 3, Kind: "internal", Code: "erro-interno", Error: strings.Repeat("é", 2000)},
		}}
	r.park(l)
	got, err := r.lot.Front(r.ctx, sub, "s", 1)
	r.must(err)
	if len(got) != 1 || !reflect.DeepEqual(got[0], l) {
		r.Fatalf("got  %+v\nwant %+v", got, l)
	}
	r.park(bus.Letter{ID: "b", Subject: "b", State: bus.Dead, Body: []byte("x")})
	e, err := r.lot.Get(r.ctx, sub, "b")
	r.must(err)
	if e.ParkedBy != "host:1" || e.ParkedAt.IsZero() || e.Position == 0 || e.Subscription != sub {
		r.Errorf("filled in: %+v", e)
	}
}

func failing(r *rig) {
	r.queue("a", bus.Waiting, 1)
	l := r.letter("a-0", "a", bus.Waiting)
	l.Note(bus.Attempt{At: r.clock.Now(), Kind: "conflict", Code: "c", Error: "order 17 is closed"})
	l.State, l.Due = bus.Dead, time.Time{}
	r.must(r.lot.Failed(r.ctx, sub, l))
	r.wantFront("a", "a-0:dead", "a-1:behind")
	e, err := r.lot.Get(r.ctx, sub, "a-0")
	r.must(err)
	if e.Tries != 2 || len(e.History) != 2 || e.LastKind != "conflict" || e.LastCode != "c" || e.LastError != "order 17 is closed" || e.BehindIt != 1 {
		r.Errorf("after the failure: %+v", e)
	}
	r.must(r.lot.Failed(r.ctx, sub, bus.Letter{ID: "gone", State: bus.Dead})) // dropped meanwhile: no error
	if _, err := r.lot.Get(r.ctx, sub, "gone"); !errors.Is(err, parking.ErrNotFound) {
		r.Errorf("a letter that is not there: %v", err)
	}
}

func waking(r *rig) {
	r.queue("soon", bus.Waiting, 3)
	r.queue("dead", bus.Dead, 3)
	same(r, "due now", r.woken())
	r.clock.Jump(2 * time.Hour)
	same(r, "due in two hours", r.woken(), "soon")
	for i := range 5 {
		r.queue(fmt.Sprint("more-", i), bus.Waiting, 0)
	}
	r.clock.Jump(2 * time.Hour)
	some, held, err := r.lot.Woken(r.ctx, sub, r.clock.Now(), 2)
	r.must(err)
	if len(some) != 2 || held || some[0].Subject != "soon" || some[0].State != bus.Waiting || some[0].Due.IsZero() {
		r.Errorf("the two due longest: %v, held %v", some, held)
	}
	all, err := r.lot.Blocked(r.ctx, sub)
	r.must(err)
	states := map[string]bus.LetterState{}
	for _, b := range all {
		states[b.Subject] = b.State
	}
	if len(all) != 7 || states["dead"] != bus.Dead || states["soon"] != bus.Waiting {
		r.Errorf("blocked: %v", all)
	}
	if _, held, err := r.lot.Woken(r.ctx, "nobody.knows", r.clock.Now(), 2); err != nil || held {
		r.Errorf("of a subscription without letters: held %v, %v", held, err)
	}
}

func apart(r *rig) {
	r.queue("a", bus.Dead, 1)
	r.must(r.lot.Park(r.ctx, "another", r.letter("a-0", "a", bus.Behind)))
	r.must(r.lot.Done(r.ctx, "another", "a-0"))
	r.wantFront("a", "a-0:dead", "a-1:behind")
	all, err := r.lot.Blocked(r.ctx, "another")
	r.must(err)
	equal(r, "blocked in the other", len(all), 0)
}

func reopening(r *rig) {
	r.queue("a", bus.Dead, 2)
	r.lot = r.Open(r.T, r.clock)
	r.wantFront("a", "a-0:dead", "a-1:behind", "a-2:behind")
	r.park(r.letter("a-3", "a", bus.Behind))
	r.must(r.lot.Done(r.ctx, sub, "a-0"))
	r.wantFront("a", "a-1:waiting", "a-2:behind", "a-3:behind")
}

// oddBytes: what is no event may be anything, and what went wrong too.
func oddBytes(r *rig) {
	l := bus.Letter{ID: "x\x00\xff", Subject: "x\x00\xff", Type: "\x00", State: bus.Dead, Body: []byte{0, 255, 0, 1}}
	l.Note(bus.Attempt{At: r.clock.Now(), Kind: "malformed", Code: "evento-malformado", Error: "\x00\xff\nsecond"})
	r.park(l)
	got, err := r.lot.Front(r.ctx, sub, "x\x00\xff", 1)
	r.must(err)
	if len(got) != 1 || !bytes.Equal(got[0].Body, l.Body) {
		r.Fatalf("got %v", got)
	}
	r.must(r.lot.Done(r.ctx, sub, l.ID))
	r.wantFront("x\x00\xff")
}

func leasing(r *rig) {
	long := strings.Repeat("a", 99)
	for _, name := range []string{sub, long + "1", long + "2"} {
		one, err := r.lot.Lease(r.ctx, name)
		r.must(err)
		tired, cancel := context.WithTimeout(r.ctx, 30*time.Millisecond)
		if _, err := r.Open(r.T, r.clock).Lease(tired, name); err == nil {
			r.Errorf("%s: two hold the lease", name)
		}
		cancel()
		defer func() { r.must(one.Release()) }()
	}
	other, err := r.lot.Lease(r.ctx, "other")
	r.must(err)
	r.must(other.Release())
	select {
	case <-other.Lost():
	default:
		r.Error("not lost after the release")
	}
	if !slices.Equal([]bool{len(parking.LeaseName(long+"1")) <= 64, parking.LeaseName(long+"1") != parking.LeaseName(long+"2")}, []bool{true, true}) {
		r.Error("names of leases")
	}
}
