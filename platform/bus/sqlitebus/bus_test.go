package sqlitebus_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/sqlitebus"
	"trama/platform/clock"
	"trama/platform/fault"
	"trama/platform/id"
)

func TestContract(t *testing.T) {
	dirs := map[bus.Bus]string{}
	bustest.Run(t, func(t *testing.T) func() bus.Bus {
		dir := t.TempDir()
		return func() bus.Bus {
			b := open(t, dir)
			dirs[b] = dir
			return b
		}
	}, bustest.MayRepeat, bustest.Raw(func(t *testing.T, b bus.Bus, _, typ string, body []byte) {
		onFile(t, filepath.Join(dirs[b], "bus.db"), func(db *sql.DB) error {
			_, err := db.Exec(`INSERT INTO event (id, type, subject, body, at) VALUES (hex(randomblob(8)), ?, 's', ?, 0)`, typ, string(body))
			return err
		})
	}))
}

func TestOpenRefusesUnwritableFolder(t *testing.T) {
	if _, err := sqlitebus.Open(t.Context(), sqlitebus.Options{Dir: "/proc/bus"}); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v, want Unavailable", err)
	}
	if _, err := sqlitebus.Open(t.Context(), sqlitebus.Options{}); err == nil {
		t.Error("no folder: no error")
	}
}

// The embedded log drops a repeated id, so a relay's repetition is not even seen.
func TestRepeatedIDIsDeliveredOnce(t *testing.T) {
	b := open(t, t.TempDir())
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.uma", Handler: r.Handle(nil)})
	events := series(1, 30)
	publish(t, b, events[:70]...)
	publish(t, b, events[60:100]...)
	publish(t, b, events[:70]...) // nothing new at all
	publish(t, b, append(events[90:], events...)...)
	r.AwaitDone(t, len(events))
	end := series(31, 31)
	publish(t, b, end...)
	r.AwaitDone(t, len(events)+len(end))
	if n, successes := r.Done(); successes != n {
		t.Errorf("%d events delivered %d times", n, successes)
	}
	r.CheckOrder(t)
}

// Fifty thousand events behind a consumer that stands still stay on disk.
func TestBacklogDoesNotGrowMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("publishes 50,000 events")
	}
	b := open(t, t.TempDir())
	ids := id.New(clock.System{}, rand.Reader)
	const batches, batch = 50, 1000
	gate := make(chan struct{})
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.fila",
		Handler: r.Handle(func(context.Context, bus.Event, int) error { <-gate; return nil })})
	before := heap()
	for i := range batches {
		var list []bus.Event
		for k := range batch {
			list = append(list, bustest.NewEvent(ids, bustest.TypeA, fmt.Sprint("s", k), i))
		}
		publish(t, b, list...)
	}
	grown := int64(heap()) - int64(before)
	t.Logf("the heap grew by %d KiB", grown>>10)
	if grown > 12<<20 {
		t.Error("the backlog is in memory")
	}
	if n, err := b.Backlog(t.Context(), "teste.fila"); n != batches*batch || err != nil {
		t.Errorf("backlog %d, %v; want all of them", n, err)
	}
	close(gate)
	r.AwaitDone(t, batches*batch)
	r.CheckOrder(t)
	bustest.Eventually(t, "no backlog", func() bool {
		n, err := b.Backlog(t.Context(), "teste.fila")
		return n == 0 && err == nil
	})
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What nobody of a subscription wants costs it nothing, and its cursor passes it.
func TestCursorPassesOtherTypes(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	ids := id.New(clock.System{}, rand.Reader)
	for i := range 20 {
		var list []bus.Event
		for k := range 500 {
			list = append(list, bustest.NewEvent(ids, bustest.TypeB, fmt.Sprint("s", k), i))
		}
		publish(t, b, list...)
	}
	r := bustest.NewRecorder()
	c := subscribe(t, b, bus.Subscription{Name: "teste.raro", Handler: r.Handle(nil)})
	publish(t, b, bustest.NewEvent(ids, bustest.TypeA, "s", 1))
	r.AwaitDone(t, 1)
	publish(t, b, bustest.NewEvent(ids, bustest.TypeB, "s", 2))
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query(t, dir, `SELECT cursor FROM subscription WHERE name = 'teste.raro'`); got < 10_001 {
		t.Errorf("cursor %d, want at least 10001", got)
	}
}

// A row that somebody spoiled is parked; the others flow on, and Read passes it over.
func TestSpoiledRowIsParked(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	events := series(1, 3)
	publish(t, b, events...)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	query(t, dir, `UPDATE event SET body = '{' WHERE seq = 2 RETURNING seq`)
	b = open(t, dir)
	r := bustest.NewRecorder()
	p := lot(t, t.TempDir())
	subscribe(t, b, bus.Subscription{Name: "teste.resto", Handler: r.Handle(nil), Parking: p})
	r.AwaitDone(t, len(events)-1)
	bustest.Eventually(t, "the dead letter", func() bool {
		blocked, err := p.Blocked(t.Context(), "teste.resto")
		if err != nil || len(blocked) != 1 || blocked[0].State != bus.Dead {
			return false
		}
		front, err := p.Front(t.Context(), "teste.resto", blocked[0].Subject, 10)
		return err == nil && len(front) == 1 && string(front[0].Body) == "{"
	})
	if got := read(t, b, bus.Query{}); len(got) != len(events)-1 {
		t.Errorf("read %d events, want %d", len(got), len(events)-1)
	}
}

// Ten idle subscriptions and another user of the same file: the one poller of a
// process must not be felt.
func TestIdleCostsNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("waits nine seconds")
	}
	dir := t.TempDir()
	b, _ := open(t, dir), open(t, dir)
	for i := range 10 {
		if err := b.Declare(t.Context(), bus.Subscription{Name: fmt.Sprint("teste.ocioso", i), Types: []string{bustest.TypeA}}); err != nil {
			t.Fatal(err)
		}
		go func() { // as a consumer's stream waits, without what package lane does
			_ = b.Read(t.Context(), bus.Query{Types: []string{bustest.TypeA}, Follow: true}, func(bus.LogEntry) error { return nil })
		}()
	}
	timer := time.NewTimer(7 * time.Second) // until the pollers have calmed down
	<-timer.C
	const span = 2 * time.Second
	used := cpu(t)
	timer.Reset(span)
	<-timer.C
	used = cpu(t) - used
	t.Logf("two idle buses, ten readers: %.2f %% of a core", 100*used.Seconds()/span.Seconds())
	if used > span*3/100 { // two processes' worth: 0.6 % each when the machine is quiet
		t.Errorf("%s of CPU in %s", used, span)
	}
}

// cpu adds up what the kernel counted for each thread, in nanoseconds: the
// usual getrusage counts whole ticks, too coarse for work this small.
func cpu(t *testing.T) (sum time.Duration) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/schedstat")
	if err != nil || len(files) == 0 {
		t.Skip("this system does not tell the CPU time of threads")
	}
	for _, f := range files {
		var ns int64
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		if _, err := fmt.Sscan(string(text), &ns); err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

// Events of another process are found soon even when this one has been idle.
func TestForeignEventsArriveSoon(t *testing.T) {
	dir := t.TempDir()
	here, there := open(t, dir), open(t, dir) // to SQLite, two buses are two processes
	got := make(chan struct{}, 1)
	subscribe(t, here, bus.Subscription{Name: "teste.vizinho",
		Handler: func(context.Context, bus.Event) error { got <- struct{}{}; return nil }})
	var best time.Duration = time.Hour
	for _, e := range series(1, 5) {
		publish(t, there, e)
		start := time.Now()
		select {
		case <-got:
		case <-time.After(bustest.Patience):
			t.Fatal("not delivered")
		}
		best = min(best, time.Since(start))
	}
	if best > 100*time.Millisecond {
		t.Errorf("the best of 20 took %s", best)
	}
}

// A subscription without work or without a place for failures is refused.
func TestSubscribeWantsHandlerAndParking(t *testing.T) {
	b := open(t, t.TempDir())
	work := func(context.Context, bus.Event) error { return nil }
	for _, s := range []bus.Subscription{
		{Name: "teste.nada", Types: []string{bustest.TypeA}, Parking: lot(t, t.TempDir())},
		{Name: "teste.nada", Types: []string{bustest.TypeA}, Handler: work},
	} {
		if _, err := b.Subscribe(t.Context(), s); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v, want Invalid", err)
		}
	}
}
