package system

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"trama/platform/clock"
	"trama/platform/module"
	"trama/platform/store"
	"trama/platform/store/sqlitestore"
)

// diary is a log handler that keeps messages with their errors.
type diary struct {
	slog.Handler
	mu    sync.Mutex
	lines []string
}

func (d *diary) Handle(_ context.Context, r slog.Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += fmt.Sprintf(" %s=%v", a.Key, a.Value); return true })
	d.lines = append(d.lines, line)
	return nil
}

func (d *diary) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, "\n")
}

func newDiary() (*diary, *slog.Logger) {
	d := &diary{Handler: slog.NewTextHandler(nil, nil)}
	return d, slog.New(d)
}

func TestLoopRunsAgainAfterGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, log := newDiary()
		var runs []time.Duration
		begun := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		loop := module.Loop{Name: "work", Run: func(ctx context.Context) error {
			runs = append(runs, time.Since(begun).Round(time.Second))
			switch len(runs) {
			case 1:
				return errors.New("broken")
			case 2:
				panic("boom")
			case 3:
				return nil // nobody asked it to end
			case 12: // a long good run forgives the past
				_ = clock.System{}.Wait(ctx, 2*time.Minute)
			case 14:
				<-ctx.Done()
				return nil
			}
			return errors.New("broken again")
		}}
		done := make(chan struct{})
		go func() {
			loopRunner{loop: loop, clock: clock.System{}, log: log}.run(ctx)
			close(done)
		}()
		synctest.Wait()
		time.Sleep(20 * time.Minute) // the bubble's time
		synctest.Wait()
		cancel()
		<-done
		pauses := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 121, 2} // seconds before each run after the first
		at := time.Duration(0)
		for i, p := range pauses {
			at += p * time.Second
			if i+1 >= len(runs) || runs[i+1] != at {
				t.Fatalf("run %d came at %v, want %v", i+2, runs[min(i+1, len(runs)-1):], at)
			}
		}
		if len(runs) != len(pauses)+1 {
			t.Errorf("%d runs", len(runs))
		}
		text := d.text()
		for _, want := range []string{"error=broken", "panic: boom", "loops_test.go", errEnded.Error()} {
			if !strings.Contains(text, want) {
				t.Errorf("the log lacks %q", want)
			}
		}
		if n := strings.Count(text, "starts again after a pause"); n != len(pauses) {
			t.Errorf("%d failures logged, want %d", n, len(pauses))
		}
	})
}

func TestLoopEndsAtOnceInItsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, log := newDiary()
		ctx, cancel := context.WithCancel(t.Context())
		loop := module.Loop{Run: func(context.Context) error { return errors.New("broken") }}
		done := make(chan struct{})
		go func() {
			loopRunner{loop: loop, clock: clock.System{}, log: log}.run(ctx)
			close(done)
		}()
		time.Sleep(100 * time.Second) // deep in a long pause
		before := time.Now()
		cancel()
		<-done
		if time.Since(before) != 0 {
			t.Errorf("it took %s to end", time.Since(before))
		}
	})
}

// fakeLease can be lost at will.
type fakeLease struct {
	lost     chan struct{}
	released atomic.Int32
}

func (l *fakeLease) Lost() <-chan struct{} { return l.lost }
func (l *fakeLease) Release() error        { l.released.Add(1); return nil }

type leaserFunc func(ctx context.Context, name string) (store.Lease, error)

func (f leaserFunc) Lease(ctx context.Context, name string) (store.Lease, error) { return f(ctx, name) }

func TestLoopStopsWhenItsLeaseIsLostAndAsksForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, log := newDiary()
		first, second := &fakeLease{lost: make(chan struct{})}, &fakeLease{lost: make(chan struct{})}
		var asked, running atomic.Int32
		leaser := leaserFunc(func(_ context.Context, name string) (store.Lease, error) {
			switch n := asked.Add(1); {
			case name != "loop-mail":
				return nil, fmt.Errorf("asked for %s", name)
			case n == 1:
				return nil, errors.New("engine down")
			case n == 2:
				return first, nil
			}
			return second, nil
		})
		loop := module.Loop{Name: "mail", Leader: true, Run: func(ctx context.Context) error {
			running.Add(1)
			defer running.Add(-1)
			<-ctx.Done()
			return ctx.Err()
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			loopRunner{loop: loop, leaser: leaser, clock: clock.System{}, log: log}.run(ctx)
			close(done)
		}()
		synctest.Wait()
		if running.Load() != 0 {
			t.Fatal("it runs without a lease")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if running.Load() != 1 || first.released.Load() != 0 {
			t.Fatalf("%d running with the first lease", running.Load())
		}
		close(first.lost)
		synctest.Wait()
		if running.Load() != 0 || first.released.Load() != 1 {
			t.Fatalf("%d running after the lease was lost", running.Load())
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if running.Load() != 1 || asked.Load() != 3 {
			t.Fatalf("%d running, %d leases asked for", running.Load(), asked.Load())
		}
		cancel()
		<-done
		if second.released.Load() != 1 {
			t.Error("the second lease was not given back")
		}
		for _, want := range []string{"engine down", errLeaseLost.Error()} {
			if !strings.Contains(d.text(), want) {
				t.Errorf("the log lacks %q:\n%s", want, d.text())
			}
		}
	})
}

// TestOneLeaderAtATime: two hosts' runners over one store, the second works only
// when the first has gone.
func TestOneLeaderAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	_, log := newDiary()
	entered := make(chan int, 2)
	var working atomic.Int32
	start := func(who int) (stop func()) {
		db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		loop := module.Loop{Name: "mail", Leader: true, Run: func(ctx context.Context) error {
			if working.Add(1) > 1 {
				t.Error("two leaders")
			}
			defer working.Add(-1)
			entered <- who
			<-ctx.Done()
			return nil
		}}
		go func() {
			loopRunner{loop: loop, leaser: db, clock: clock.System{}, log: log}.run(ctx)
			close(done)
		}()
		return func() {
			cancel()
			<-done
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	stopFirst := start(1)
	if who := <-entered; who != 1 {
		t.Fatal("who else?")
	}
	stopSecond := start(2)
	select {
	case <-entered:
		t.Fatal("a second leader beside the first")
	case <-time.After(150 * time.Millisecond): // longer than the poll of a lease
	}
	stopFirst()
	if who := <-entered; who != 2 {
		t.Errorf("%d took over", who)
	}
	stopSecond()
}
