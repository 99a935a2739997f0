package pgbus_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/pgbus"
	"trama/platform/clock"
	"trama/platform/enginetest"
	"trama/platform/fault"
	"trama/platform/id"
)

// What would spoil the commit of others is refused, and sizes are no matter.
func TestWhatPostgresCannotKeepIsRefused(t *testing.T) {
	b := open(t, enginetest.PostgresDatabase(t))
	for _, subject := range []string{"a\x00b", "a\xffb"} {
		if err := b.Publish(t.Context(), event(bustest.TypeA, subject, 1)); err == nil || fault.KindOf(err) != fault.Malformed {
			t.Errorf("subject %q: %v, want Malformed", subject, err)
		}
	}
	random := make([]byte, 6000) // cannot be compressed below an index row's limit
	_, _ = rand.Read(random)
	long := fmt.Sprintf("%x", random)
	publish(t, b, event(bustest.TypeA, "curto", 1), event(bustest.TypeA, long, 2))
	if got := logOf(t, b, bus.Query{Subject: long}); !slices.Equal(got, []string{long + " 2"}) {
		t.Errorf("%d events of the long subject", len(got))
	}
}

// Rows that somebody inserted by hand are found by the poll; one that is no event
// becomes a dead letter, and the others flow on.
func TestRowsByHand(t *testing.T) {
	url := enginetest.PostgresDatabase(t)
	b, err := pgbus.Open(pgbus.Options{URL: url, Logger: quiet(t), Poll: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r, p := bustest.NewRecorder(), bustest.NewLot(t)
	subscribe(t, b, bus.Subscription{Name: "teste.mao", Types: []string{bustest.TypeA}, Parking: p, Handler: r.Handle(nil)})
	c := connect(t, url)
	first, second, spoiled, other := event(bustest.TypeA, "s", 1), event(bustest.TypeA, "s", 2), event(bustest.TypeA, "s", 3), event(bustest.TypeB, "s", 4)
	execute(t, c, byHand, columns(t, first)...)
	r.AwaitDone(t, 1)
	execute(t, c, byHand, spoiled.ID, spoiled.Type, spoiled.Subject, []byte("{"))
	row := columns(t, other)
	row[1] = bustest.TypeA // not what its body says
	execute(t, c, byHand, row...)
	execute(t, c, byHand, columns(t, second)...)
	r.AwaitDone(t, 2)
	bustest.Eventually(t, "the dead letters", func() bool {
		blocked, err := p.Blocked(t.Context(), "teste.mao")
		return err == nil && len(blocked) == 2 && blocked[0].State == bus.Dead && blocked[1].State == bus.Dead
	})
	if got := logOf(t, b, bus.Query{}); len(got) != 3 {
		t.Errorf("the log is %v", got)
	}
}

// Pages end by events and by bytes, whatever selects them.
func TestReadAcrossPages(t *testing.T) {
	b := open(t, enginetest.PostgresDatabase(t))
	var want, wantA, wantS []string
	var list []bus.Event
	ids := id.New(clock.System{}, rand.Reader)
	for i := range 700 {
		e := bustest.NewEvent(ids, []string{bustest.TypeA, bustest.TypeB}[i%2], fmt.Sprint("s", i%3), i)
		if i >= 694 {
			e.Data = []byte(`"` + strings.Repeat("x", 900_000) + `"`)
		}
		text := fmt.Sprint(e.Subject, " ", i)
		want = append(want, text)
		if i%2 == 0 {
			wantA = append(wantA, text)
		}
		if i%3 == 0 && i%2 == 0 {
			wantS = append(wantS, text)
		}
		list = append(list, e)
	}
	publish(t, b, list...)
	for name, c := range map[string]struct {
		q    bus.Query
		want []string
	}{
		"all":                  {bus.Query{}, want},
		"both types":           {bus.Query{Types: []string{bustest.TypeB, bustest.TypeA, bustest.TypeB}}, want},
		"one type":             {bus.Query{Types: []string{bustest.TypeA}}, wantA},
		"a type and a subject": {bus.Query{Types: []string{bustest.TypeA}, Subject: "s0"}, wantS},
		"by id":                {bus.Query{ID: list[5].ID}, want[5:6]},
		"limit":                {bus.Query{Limit: 300}, want[:300]},
		"after":                {bus.Query{After: "600"}, want[600:]},
		"from an hour ago":     {bus.Query{From: time.Now().Add(-time.Hour)}, want},
		"from tomorrow":        {bus.Query{From: time.Now().Add(24 * time.Hour)}, nil},
	} {
		if got := logOf(t, b, c.q); !slices.Equal(got, c.want) {
			t.Errorf("%s: %d events, want %d", name, len(got), len(c.want))
		}
	}
	if err := b.Read(t.Context(), bus.Query{After: "x"}, nil); err == nil || fault.KindOf(err) != fault.Malformed {
		t.Errorf("a foreign position: %v, want Malformed", err)
	}
}

// The time of publishing is the publisher's clock: clocks that differ by half a
// minute hide nothing.
func TestFromWithClocksThatDiffer(t *testing.T) {
	url := enginetest.PostgresDatabase(t)
	var slow, fast clock.Shifted
	slow.Jump(-29 * time.Second)
	buses := map[string]*pgbus.Bus{}
	for name, c := range map[string]clock.Clock{"slow": &slow, "fast": &fast} {
		b, err := pgbus.Open(pgbus.Options{URL: url, Logger: quiet(t), Clock: c})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		buses[name] = b
	}
	publish(t, buses["fast"], event(bustest.TypeA, "fast", 1))
	publish(t, buses["slow"], event(bustest.TypeA, "slow", 2))
	if got := logOf(t, buses["fast"], bus.Query{From: time.Now().Add(-10 * time.Second)}); !slices.Equal(got, []string{"fast 1"}) {
		t.Errorf("got %v", got)
	}
	fast.Jump(time.Hour)
	publish(t, buses["fast"], event(bustest.TypeA, "later", 3))
	if got := logOf(t, buses["fast"], bus.Query{From: time.Now().Add(30 * time.Minute)}); !slices.Equal(got, []string{"later 3"}) {
		t.Errorf("got %v", got)
	}
}

// What nobody of a subscription wants costs it nothing, and its cursor passes it.
func TestCursorPassesOtherTypes(t *testing.T) {
	url := enginetest.PostgresDatabase(t)
	b, r := open(t, url), bustest.NewRecorder()
	var list []bus.Event
	for i := range 1000 {
		list = append(list, event(bustest.TypeB, fmt.Sprint("s", i%10), i))
	}
	publish(t, b, list...)
	c := subscribe(t, b, bus.Subscription{Name: "teste.raro", Types: []string{bustest.TypeA}, Parking: bustest.NewLot(t), Handler: r.Handle(nil)})
	publish(t, b, event(bustest.TypeA, "s", 1))
	r.AwaitDone(t, 1)
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := number(t, connect(t, url), `SELECT cursor FROM trama_bus.subscription`); n != 1001 {
		t.Errorf("cursor %d, want 1001", n)
	}
	publish(t, b, event(bustest.TypeA, "s", 2), event(bustest.TypeB, "s", 3))
	if n, err := b.Backlog(t.Context(), "teste.raro"); n != 1 || err != nil {
		t.Errorf("backlog %d, %v; want 1", n, err)
	}
	if _, err := b.Backlog(t.Context(), "teste.nada"); err == nil || fault.KindOf(err) != fault.Invalid {
		t.Errorf("backlog of an undeclared one: %v, want Invalid", err)
	}
}

// What is handled out of order moves the cursor only as far as nothing below is
// missing.
func TestCursorWaitsForTheSlowest(t *testing.T) {
	url := enginetest.PostgresDatabase(t)
	b, r := open(t, url), bustest.NewRecorder()
	sub := bus.Subscription{Name: "teste.preso", Types: []string{bustest.TypeA}, Parking: bustest.NewLot(t)}
	sub.Handler = r.Handle(func(ctx context.Context, e bus.Event, _ int) error {
		if e.Subject == "preso" {
			<-ctx.Done()
		}
		return ctx.Err()
	})
	c := subscribe(t, b, sub)
	publish(t, b, append(append(series("a", 5), event(bustest.TypeA, "preso", 1)), series("b", 14)...)...)
	r.AwaitDone(t, 19)
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.Drain(short); err != nil {
		t.Fatal(err)
	}
	if n := number(t, connect(t, url), `SELECT cursor FROM trama_bus.subscription`); n != 5 {
		t.Errorf("cursor %d, want 5", n)
	}
	sub.Handler = r.Handle(nil)
	subscribe(t, b, sub)
	r.AwaitDone(t, 20)
}

// Ten thousand events behind a slow consumer stay on the server.
func TestBacklogDoesNotGrowMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("publishes 10,000 events")
	}
	url := enginetest.PostgresDatabase(t)
	const events = 10_000
	publishMany(t, url, events)
	b, p := open(t, url), bustest.NewLot(t)
	before := heap()
	entered, gate := make(chan struct{}, events), make(chan struct{})
	subscribe(t, b, bus.Subscription{Name: "teste.fila", Types: []string{bustest.TypeA}, Parking: p, MaxInFlight: 4,
		Handler: func(ctx context.Context, _ bus.Event) error {
			entered <- struct{}{}
			select {
			case <-gate:
			case <-ctx.Done():
			}
			return ctx.Err()
		}})
	for range 4 {
		<-entered
	}
	grown := int64(heap()) - int64(before)
	t.Logf("the heap grew by %d KiB of %d", grown>>10, events*2)
	if grown > 4<<20 {
		t.Error("the backlog is in memory")
	}
	close(gate)
}

// publishMany publishes n events of 2 KB through a bus of its own.
func publishMany(t *testing.T, url string, n int) {
	b := open(t, url)
	ids := id.New(clock.System{}, rand.Reader)
	data := []byte(`"` + strings.Repeat("x", 2000) + `"`)
	for n > 0 {
		var list []bus.Event
		for k := range 500 {
			e := bustest.NewEvent(ids, bustest.TypeA, fmt.Sprint("s", k), n)
			e.Data = data
			list = append(list, e)
		}
		publish(t, b, list...)
		n -= len(list)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // pools give up what they hold at the second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
