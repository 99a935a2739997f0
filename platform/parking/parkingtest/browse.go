package parkingtest

import (
	"fmt"
	"time"

	"trama/platform/bus"
	"trama/platform/parking"
)

// pages lists everything, limit at a time.
func (r *rig) pages(f parking.Filter, limit int) (out []parking.Entry) {
	r.Helper()
	for after := ""; ; {
		some, next, err := r.lot.List(r.ctx, f, after, limit)
		r.must(err)
		if len(some) > limit {
			r.Fatalf("%d letters on a page of %d", len(some), limit)
		}
		out = append(out, some...)
		if after = next; next == "" {
			return out
		}
	}
}

func ids(entries []parking.Entry) (out []string) {
	for _, e := range entries {
		out = append(out, e.ID)
	}
	return out
}

func listing(r *rig) {
	r.queue("a", bus.Dead, 2)
	r.queue("b", bus.Waiting, 1)
	r.must(r.lot.Park(r.ctx, "another", r.letter("z", "z", bus.Dead)))
	for limit := 1; limit < 8; limit++ {
		same(r, fmt.Sprint("pages of ", limit), ids(r.pages(parking.Filter{}, limit)), "z", "a-0", "a-1", "a-2", "b-0", "b-1")
	}
	same(r, "of one subscription", ids(r.pages(parking.Filter{Subscription: sub, State: bus.Dead}, 2)), "a-0")
	e := r.pages(parking.Filter{Subscription: sub}, 10)[0]
	if e.Subscription != sub || e.Subject != "a" || e.State != bus.Dead || e.BehindIt != 2 || e.Tries != 1 || e.LastKind != "internal" ||
		e.LastCode != "erro-interno" || e.LastError != "it broke" || e.ParkedAt.IsZero() || e.ParkedBy != "host:1" || e.Type == "" || e.Position == 0 {
		r.Errorf("the first: %+v", e)
	}
	// A page goes on where the last one ended, whatever went away in between.
	some, next, err := r.lot.List(r.ctx, parking.Filter{Subscription: sub}, "", 2)
	r.must(err)
	r.must(r.lot.Done(r.ctx, sub, ids(some)...))
	rest, _, err := r.lot.List(r.ctx, parking.Filter{Subscription: sub}, next, 100)
	r.must(err)
	same(r, "the rest", ids(rest), "a-2", "b-0", "b-1")
}

func filtering(r *rig) {
	begin := r.clock.Now()
	r.queue("a", bus.Dead, 1)
	r.later()
	mid := r.clock.Now()
	l := bus.Letter{ID: "b", Subject: "b", State: bus.Dead, Type: "other", Body: event("b", "b")}
	l.Note(bus.Attempt{At: mid, Kind: "conflict", Code: "taken", Error: "seat 12 of 018f2f6e-7b5c-7aaa-8bbb-0123456789ab is taken"})
	r.park(l)
	for _, c := range []struct {
		f    parking.Filter
		want []string
	}{
		{parking.Filter{}, []string{"a-0", "a-1", "b"}},
		{parking.Filter{Subscription: "no"}, nil},
		{parking.Filter{Subject: "a"}, []string{"a-0", "a-1"}},
		{parking.Filter{Type: "other"}, []string{"b"}},
		{parking.Filter{Kind: "conflict"}, []string{"b"}},
		{parking.Filter{Code: "erro-interno"}, []string{"a-0"}},
		{parking.Filter{Error: "seat # of # is taken"}, []string{"b"}},
		{parking.Filter{State: bus.Behind}, []string{"a-1"}},
		{parking.Filter{IDs: []string{"b", "a-1", "none"}}, []string{"a-1", "b"}},
		{parking.Filter{From: mid}, []string{"b"}},
		{parking.Filter{From: begin, To: mid}, []string{"a-0", "a-1"}},
		{parking.Filter{State: bus.Dead, Kind: "internal"}, []string{"a-0"}},
	} {
		same(r, fmt.Sprintf("%+v", c.f), ids(r.pages(c.f, 10)), c.want...)
	}
	r.later()
	now := r.clock.Now()
	r.retry(parking.Filter{Kind: "conflict"}, 1, 0)
	same(r, "not touched since", ids(r.pages(parking.Filter{ActedBefore: now}, 10)), "a-0", "a-1")
}

func grouping(r *rig) {
	begin := r.clock.Now()
	for i := range 3 {
		l := bus.Letter{ID: fmt.Sprint("s", i), Subject: fmt.Sprint("s", i), State: bus.Dead, Type: "T", Body: []byte("x")}
		l.Note(bus.Attempt{At: r.clock.Now(), Kind: "conflict", Code: "taken", Error: fmt.Sprintf("seat %d is taken\nmore %d", 10+i, i)})
		r.park(l)
		r.later()
	}
	r.queue("a", bus.Dead, 5)
	r.queue("w", bus.Waiting, 5)
	causes, err := r.lot.Causes(r.ctx, parking.Filter{State: bus.Dead})
	r.must(err)
	if len(causes) != 2 {
		r.Fatalf("causes: %+v", causes)
	}
	c := causes[0]
	if c.Subscription != sub || c.Type != "T" || c.Kind != "conflict" || c.Code != "taken" || c.Error != "seat # is taken" || c.Count != 3 ||
		c.Oldest.Before(begin) || !c.Newest.After(c.Oldest.Add(time.Second)) || c.Example != "s0" {
		r.Errorf("the first: %+v", c)
	}
	equal(r, "letters of the second", causes[1].Count, 1)
	r.retry(parking.Filter{Subscription: sub, Type: c.Type, Kind: c.Kind, Code: c.Code, Error: c.Error}, 3, 0)
}

func counting(r *rig) {
	none, err := r.lot.Counts(r.ctx)
	r.must(err)
	equal(r, "subscriptions at first", len(none), 0)
	r.queue("a", bus.Dead, 3)
	r.later()
	r.queue("b", bus.Dead, 0)
	r.queue("w", bus.Waiting, 2)
	first, err := r.lot.Get(r.ctx, sub, "a-0")
	r.must(err)
	w, err := r.lot.Get(r.ctx, sub, "w-0")
	r.must(err)
	all, err := r.lot.Counts(r.ctx)
	r.must(err)
	want := parking.Count{Subscription: sub, Waiting: 1, Behind: 5, Dead: 2, OldestDead: first.ParkedAt, NextDue: w.Due}
	if len(all) != 1 || all[0] != want {
		r.Errorf("got  %+v\nwant %+v", all, want)
	}
}
