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
	"testing/synctest"
	"time"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/sqlitebus"
	"trama/platform/clock"
	"trama/platform/fault"
	"trama/platform/id"
)

func TestContract(t *testing.T) {
	bustest.Run(t, func(t *testing.T) func() bus.Bus {
		dir := t.TempDir()
		return func() bus.Bus { return open(t, dir) }
	})
}

func open(t testing.TB, dir string) *sqlitebus.Bus {
	t.Helper()
	b, err := sqlitebus.Open(t.Context(), sqlitebus.Options{Dir: dir, Logger: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

var errDown = fault.New(fault.Unavailable, "teste-fora-do-ar", fault.Text{EN: "down"})

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
	subscribe(t, b, bus.Subscription{Name: "teste.uma", Types: []string{bustest.TypeA}, Handler: r.Handle(nil)})
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

// Attempts spent before a restart count after it.
func TestAttemptsSurviveReopening(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	r := bustest.NewRecorder()
	tried := make(chan int, 10)
	sub := bus.Subscription{Name: "teste.soma", Types: []string{bustest.TypeA}, MaxAttempts: 3, Backoff: time.Millisecond,
		Handler: r.Handle(func(_ context.Context, _ bus.Event, try int) error {
			tried <- try
			if try == 2 { // the third try comes a minute later: after the restart
				return errDown.After(2 * time.Second)
			}
			return fmt.Errorf("try %d", try)
		})}
	c := subscribe(t, b, sub)
	publish(t, b, series(1, 1)[0])
	for <-tried != 2 {
	}
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir)
	subscribe(t, b, sub)
	var dead []bus.DeadLetter
	bustest.Eventually(t, "the dead letter", func() bool {
		var err error
		if dead, err = b.DeadLetters(t.Context(), sub.Name, 10); err != nil {
			t.Fatal(err)
		}
		return len(dead) == 1
	})
	if dead[0].Attempts != 3 || dead[0].Reason != "try 3" {
		t.Errorf("%d attempts, reason %q; want 3, try 3", dead[0].Attempts, dead[0].Reason)
	}
}

// Fifty thousand events behind a slow consumer, half of them behind one
// waiting subject, stay on disk.
func TestBacklogDoesNotGrowMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("publishes 50,000 events")
	}
	b := open(t, t.TempDir())
	ids := id.New(clock.System{}, rand.Reader)
	const events, batch = 50_000, 1000
	for i := range events / batch {
		var list []bus.Event
		for k := range batch {
			subject := fmt.Sprint("s", k)
			if k%2 == 0 {
				subject = "doente"
			}
			list = append(list, bustest.NewEvent(ids, bustest.TypeA, subject, i*batch+k))
		}
		publish(t, b, list...)
	}
	before := heap()
	seen := make(chan struct{}, events)
	subscribe(t, b, bus.Subscription{Name: "teste.fila", Types: []string{bustest.TypeA}, Backoff: time.Minute,
		Handler: func(_ context.Context, e bus.Event) error {
			seen <- struct{}{}
			if e.Subject == "doente" {
				return errDown
			}
			return nil
		}})
	for range events/2 + 1 {
		select {
		case <-seen:
		case <-time.After(bustest.Patience):
			t.Fatalf("the backlog does not flow past the waiting subject: %d seen", len(seen))
		}
	}
	grown := int64(heap()) - int64(before)
	t.Logf("the heap grew by %d KiB", grown>>10)
	if grown > 12<<20 {
		t.Error("the backlog is in memory")
	}
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
	c := subscribe(t, b, bus.Subscription{Name: "teste.raro", Types: []string{bustest.TypeA}, Handler: r.Handle(nil)})
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

// A row that somebody spoiled is parked; the others flow on.
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
	subscribe(t, b, bus.Subscription{Name: "teste.resto", Types: []string{bustest.TypeA}, Handler: r.Handle(nil)})
	r.AwaitDone(t, len(events)-1)
	bustest.Eventually(t, "the dead letter", func() bool {
		dead, err := b.DeadLetters(t.Context(), "teste.resto", 10)
		return err == nil && len(dead) == 1 && dead[0].Kind == "malformed"
	})
}

func query(t *testing.T, dir, text string) (n int64) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "bus.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(text).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
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
		subscribe(t, b, bus.Subscription{Name: fmt.Sprint("teste.ocioso", i), Types: []string{bustest.TypeA},
			Handler: func(context.Context, bus.Event) error { return nil }})
	}
	timer := time.NewTimer(7 * time.Second) // until the pollers have calmed down
	<-timer.C
	const span = 2 * time.Second
	used := cpu(t)
	timer.Reset(span)
	<-timer.C
	used = cpu(t) - used
	t.Logf("two idle buses, ten subscriptions: %.2f %% of a core", 100*used.Seconds()/span.Seconds())
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
	subscribe(t, here, bus.Subscription{Name: "teste.vizinho", Types: []string{bustest.TypeA},
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

// A day of outage under a fake clock: the pauses grow to a minute and stay there,
// and nothing is given up.
func TestDayOfOutage(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b, err := sqlitebus.Open(t.Context(), sqlitebus.Options{Dir: dir, Logger: quiet(t), PollInterval: -1,
			Jitter: func() float64 { return 0 }})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		begin, done := time.Now(), make(chan int, 1)
		tries := 0
		c, err := b.Subscribe(t.Context(), bus.Subscription{Name: "teste.dia", Types: []string{bustest.TypeA},
			Handler: func(context.Context, bus.Event) error {
				if tries++; time.Since(begin) < 24*time.Hour {
					return errDown
				}
				done <- tries
				return nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, b, series(1, 1)[0])
		got := <-done
		// 0.2 s doubled nine times is 102 s in ten tries, then one a minute.
		if want := 24*60 + 8; got < want-2 || got > want+3 {
			t.Errorf("%d tries in a day, want about %d", got, want)
		}
		if err := c.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
