package sqlitebus_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/sqlitebus"
	"trama/platform/clock"
	"trama/platform/fault"
	"trama/platform/id"
)

func TestReadSelects(t *testing.T) {
	b := open(t, t.TempDir())
	events := series(1, 200) // more than one step of a walk
	other := bustest.NewEvent(id.New(clock.System{}, rand.Reader), bustest.TypeB, "s1", 1)
	events = slices.Insert(events, 300, other)
	publish(t, b, events...)
	var ofS1 []bus.Event
	for _, e := range events {
		if e.Subject == "s1" {
			ofS1 = append(ofS1, e)
		}
	}
	for name, c := range map[string]struct {
		q    bus.Query
		want []bus.Event
	}{
		"all":                 {bus.Query{}, events},
		"limit":               {bus.Query{Limit: 7}, events[:7]},
		"after":               {bus.Query{After: "290", Limit: 20}, events[290:310]},
		"type":                {bus.Query{Types: []string{bustest.TypeB}}, []bus.Event{other}},
		"both types":          {bus.Query{Types: []string{bustest.TypeA, bustest.TypeB}}, events},
		"no such type":        {bus.Query{Types: []string{"x"}}, nil},
		"subject":             {bus.Query{Subject: "s1"}, ofS1},
		"subject and type":    {bus.Query{Subject: "s1", Types: []string{bustest.TypeB}}, []bus.Event{other}},
		"subject, not type":   {bus.Query{Subject: "s2", Types: []string{bustest.TypeB}}, nil},
		"id":                  {bus.Query{ID: events[700].ID}, events[700:701]},
		"id of other subject": {bus.Query{ID: events[700].ID, Subject: "x"}, nil},
		"id, too late":        {bus.Query{ID: events[700].ID, After: "701"}, nil},
		"after the end":       {bus.Query{After: "99999"}, nil},
	} {
		if got := read(t, b, c.q); !slices.Equal(got, idsOf(c.want...)) {
			t.Errorf("%s: %d events, want %d", name, len(got), len(c.want))
		}
	}
}

func TestReadEndsWithItsCallersError(t *testing.T) {
	b := open(t, t.TempDir())
	publish(t, b, series(1, 1)...)
	enough := errors.New("enough")
	calls := 0
	if err := b.Read(t.Context(), bus.Query{Follow: true}, func(bus.LogEntry) error { calls++; return enough }); err != enough || calls != 1 {
		t.Errorf("%v after %d calls, want the first one's error", err, calls)
	}
	if err := b.Read(t.Context(), bus.Query{After: "x"}, nil); fault.KindOf(err) != fault.Malformed {
		t.Errorf("bad position: %v, want Malformed", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, follow := range []bool{true, false} {
		err := b.Read(ended, bus.Query{After: "4", Follow: follow}, func(bus.LogEntry) error { return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ended context, follow %t: %v", follow, err)
		}
	}
	if _, err := b.Backlog(t.Context(), "teste.ninguem"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("backlog of nobody: %v, want Invalid", err)
	}
}

// A follower sees what was there, what this process publishes and what others do,
// each once and in order, and can go on from any position.
func TestReadFollows(t *testing.T) {
	dir := t.TempDir()
	here, there := open(t, dir), open(t, dir)
	events := series(1, 120)
	publish(t, here, events[:100]...)
	got := make(chan bus.LogEntry, len(events))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	q := bus.Query{Follow: true, Subject: "s3"}
	follow := func() {
		ended <- here.Read(ctx, q, func(e bus.LogEntry) error { got <- e; return nil })
	}
	go follow()
	var last bus.LogEntry
	await := func(numbers ...int) {
		t.Helper()
		for _, want := range numbers {
			select {
			case last = <-got:
			case <-time.After(bustest.Patience):
				t.Fatalf("number %d does not come", want)
			}
			if bustest.Number(last.Event) != want || last.Event.Subject != "s3" {
				t.Fatalf("number %d of %s, want %d of s3", bustest.Number(last.Event), last.Event.Subject, want)
			}
		}
	}
	await(numbers(1, 25)...)
	publish(t, here, events[100:200]...)
	await(numbers(26, 50)...)
	publish(t, there, events[200:300]...)
	publish(t, here, events[300:400]...)
	await(numbers(51, 100)...)
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("%v, want the context's error", err)
	}
	publish(t, here, events[400:]...)
	q.After, ctx = last.Position, t.Context()
	go follow()
	await(numbers(101, 120)...)
	if err := here.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v, want Unavailable when the bus closes", err)
	}
}

func numbers(from, to int) (out []int) {
	for n := from; n <= to; n++ {
		out = append(out, n)
	}
	return out
}

// From a time on, nothing published since is left out, even when the clock was set
// back; what is older is left out as long as it was not.
func TestReadFrom(t *testing.T) {
	c := &clock.Shifted{}
	b := openWith(t, sqlitebus.Options{Dir: t.TempDir(), Clock: c})
	events := series(1, 100)
	var times []time.Time
	for i, e := range events {
		c.Jump(time.Minute)
		times = append(times, c.Now())
		publish(t, b, e)
		if i%7 == 0 {
			publish(t, b, e) // leaves a gap
		}
	}
	for _, i := range []int{0, 1, 2, 50, 199, 398, 399} {
		if got := read(t, b, bus.Query{From: times[i]}); !slices.Equal(got, idsOf(events[i:]...)) {
			t.Errorf("from the time of %d: %d events, want %d", i, len(got), len(events)-i)
		}
	}
	if got := read(t, b, bus.Query{From: times[0].Add(-time.Hour)}); len(got) != len(events) {
		t.Errorf("from long ago: %d events", len(got))
	}
	if got := read(t, b, bus.Query{From: c.Now().Add(time.Hour)}); len(got) != 0 {
		t.Errorf("from the future: %d events", len(got))
	}
	if got := read(t, b, bus.Query{From: times[390], After: "5"}); !slices.Equal(got, idsOf(events[390:]...)) {
		t.Errorf("from a time, after an earlier position: %d events, want 10", len(got))
	}
	if got, want := read(t, b, bus.Query{From: times[10], After: "350"}), read(t, b, bus.Query{After: "350"}); !slices.Equal(got, want) {
		t.Errorf("from a time, after a later position: %d events, want %d", len(got), len(want))
	}
	c.Jump(-24 * time.Hour)
	late := series(101, 300)
	publish(t, b, late...)
	for _, i := range []int{0, 395} {
		if got := read(t, b, bus.Query{From: times[i]}); !slices.Equal(got, idsOf(append(events[i:], late...)...)) {
			t.Errorf("after the clock was set back, from the time of %d: %d events, want %d", i, len(got), len(events)-i+len(late))
		}
	}
}

func TestBacklogCounts(t *testing.T) {
	b := open(t, t.TempDir())
	r := bustest.NewRecorder()
	events := series(1, 10)
	publish(t, b, events...)
	publish(t, b, bustest.NewEvent(id.New(clock.System{}, rand.Reader), bustest.TypeB, "x", 1))
	s := bus.Subscription{Name: "teste.atraso", Types: []string{bustest.TypeA}}
	if err := b.Declare(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	backlog := func(want int64) {
		t.Helper()
		if n, err := b.Backlog(t.Context(), s.Name); n != want || err != nil {
			t.Errorf("backlog %d, %v; want %d", n, err, want)
		}
	}
	backlog(40)
	s.Handler = r.Handle(nil)
	c := subscribe(t, b, s)
	r.AwaitDone(t, 40)
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	backlog(0)
	publish(t, b, series(11, 11)...)
	backlog(4)
}
