package bustest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"trama/platform/bus"
)

// read gives what q selects.
func (e *env) read(b bus.Bus, q bus.Query) []bus.LogEntry {
	e.t.Helper()
	var got []bus.LogEntry
	if err := b.Read(e.ctx, q, func(x bus.LogEntry) error { got = append(got, x); return nil }); err != nil {
		e.t.Fatalf("read %+v: %v", q, err)
	}
	return got
}

// expectLog reads q and wants exactly the events that pick selects of all, in
// order of each subject.
func (e *env) expectLog(b bus.Bus, q bus.Query, all []bus.Event, pick func(bus.Event) bool) []bus.LogEntry {
	e.t.Helper()
	got := e.read(b, q)
	wanted := map[string]bool{}
	for _, ev := range all {
		if pick == nil || pick(ev) {
			wanted[ev.ID] = true
		}
	}
	last := map[string]int{}
	seen := map[string]bool{}
	for _, x := range got {
		ev := x.Event
		if !wanted[ev.ID] || seen[ev.ID] || x.Position == "" {
			e.t.Errorf("%+v: not wanted, or twice, or without a position: %+v", q, x)
		}
		seen[ev.ID] = true
		if Number(ev) < last[ev.Subject] {
			e.t.Errorf("%+v: subject %s: %d after %d", q, ev.Subject, Number(ev), last[ev.Subject])
		}
		last[ev.Subject] = Number(ev)
	}
	if len(got) != len(wanted) {
		e.t.Errorf("%+v: %d events, want %d", q, len(got), len(wanted))
	}
	return got
}

func readLog(t *testing.T, e *env) {
	b := e.open()
	e.declare(b, bus.Subscription{Name: "teste.diario", Types: []string{TypeA}}) // the log keeps what nobody wants, too
	if got := e.read(b, bus.Query{}); len(got) != 0 {
		t.Errorf("an empty log has %d events", len(got))
	}
	all := e.series(TypeA, 3, 10)
	for i := range 30 {
		all = append(all, e.event(TypeB, fmt.Sprint("s", i%3), 11+i/3))
	}
	e.publish(b, all...)
	Pause(20 * time.Millisecond) // so that the next events have a later time
	mark := time.Now().UTC().Truncate(time.Millisecond)
	late := e.series(TypeA, 1, 5)
	for i := range late {
		late[i].Subject = "tarde"
	}
	e.publish(b, late...)
	all = append(all, late...)

	got := e.expectLog(b, bus.Query{}, all, nil)
	if len(got) != len(all) {
		t.FailNow()
	}
	for _, at := range []int{0, 17, len(got) - 1} {
		after := map[string]bool{}
		for _, x := range got[at+1:] {
			after[x.Event.ID] = true
		}
		e.expectLog(b, bus.Query{After: got[at].Position}, all, func(ev bus.Event) bool { return after[ev.ID] })
	}
	e.expectLog(b, bus.Query{Types: []string{TypeB}}, all, func(ev bus.Event) bool { return ev.Type == TypeB })
	e.expectLog(b, bus.Query{Types: []string{TypeA, TypeB}, Subject: "s1"}, all, func(ev bus.Event) bool { return ev.Subject == "s1" })
	e.expectLog(b, bus.Query{ID: all[40].ID}, all, func(ev bus.Event) bool { return ev.ID == all[40].ID })
	e.expectLog(b, bus.Query{From: mark}, all, func(ev bus.Event) bool { return !ev.Time.Before(mark) })
	first := e.read(b, bus.Query{Limit: 7, Types: []string{TypeA}})
	if len(first) != 7 {
		t.Errorf("limit 7: %d events", len(first))
	}
	rest := e.read(b, bus.Query{After: first[len(first)-1].Position, Types: []string{TypeA}})
	if len(first)+len(rest) != 35 {
		t.Errorf("in two portions %d events, want 35", len(first)+len(rest))
	}
	enough := errors.New("enough")
	if err := b.Read(e.ctx, bus.Query{}, func(bus.LogEntry) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("read gave %v, want the error of fn", err)
	}
}

func followLog(t *testing.T, e *env) {
	b := e.open()
	e.publish(b, e.series(TypeA, 1, 3)...)
	old := e.read(b, bus.Query{})
	if len(old) != 3 {
		t.Fatalf("%d events, want 3", len(old))
	}
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	got, ended := make(chan bus.Event, 100), make(chan error, 1)
	go func() {
		ended <- b.Read(ctx, bus.Query{After: old[0].Position, Types: []string{TypeA}, Follow: true}, func(x bus.LogEntry) error {
			got <- x.Event
			return nil
		})
	}()
	want := func(n int) {
		t.Helper()
		select {
		case ev := <-got:
			if Number(ev) != n {
				t.Errorf("event %d, want %d", Number(ev), n)
			}
		case err := <-ended:
			t.Fatalf("following ended with %v", err)
		case <-time.After(Patience):
			t.Fatalf("event %d does not come", n)
		}
	}
	want(2)
	want(3)
	for n := 4; n <= 8; n++ { // what is published while somebody follows
		e.publish(b, e.event(TypeB, "s0", n), e.event(TypeA, "s0", n))
		want(n)
	}
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("following ended with %v, want the context's error", err)
		}
	case <-time.After(Patience):
		t.Fatal("following does not end with its context")
	}
}

func backlog(t *testing.T, e *env) {
	b := e.open()
	r := NewRecorder()
	sub := bus.Subscription{Name: "teste.atraso", Types: []string{TypeA}, Handler: r.Handle(nil)}
	e.declare(b, sub)
	is := func(want int64) {
		t.Helper()
		Eventually(t, "the backlog", func() bool { // engines count now and then
			n, err := b.Backlog(e.ctx, sub.Name)
			if err != nil {
				t.Fatalf("backlog: %v", err)
			}
			return n == want
		})
	}
	is(0)
	e.publish(b, e.series(TypeA, 5, 10)...)
	e.publish(b, e.series(TypeB, 5, 10)...) // not its own
	is(50)
	e.subscribe(b, sub)
	r.AwaitDone(t, 50)
	is(0)
}
