package schedule_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"trama/platform/clock"
	"trama/platform/schedule"
	"trama/platform/store"
)

// bench is a store with a clock; runners of several "processes" work on it. It
// lives in a synctest bubble, where time passes when everybody sleeps.
type bench struct {
	t      *testing.T
	path   string
	db     store.DB
	clock  *clock.Shifted
	ledger *schedule.SQL
	begun  time.Time
	log    *diary
	config func(*schedule.Config) // changes a runner before it starts
}

func bubble(t *testing.T, test func(b *bench)) {
	path := filepath.Join(t.TempDir(), "x.db")
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, path: path, db: openSQLite(t, path), clock: &clock.Shifted{}, log: &diary{}, begun: time.Now()}
		b.ledger = schedule.NewSQL(b.db, b.clock)
		closing(t, b.db)
		test(b)
	})
}

// start starts a process; stop ends it in order.
func (b *bench) start(process string, tasks ...schedule.Task) (stop func()) {
	b.t.Helper()
	c := schedule.Config{Tasks: tasks, Ledger: b.ledger, Leaser: b.db, Process: process, Clock: b.clock, Log: slog.New(b.log)}
	if b.config != nil {
		b.config(&c)
	}
	r, err := schedule.New(c)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		r.Run(ctx)
		close(done)
	}()
	stop = func() {
		cancel()
		<-done
	}
	b.t.Cleanup(stop)
	return stop
}

// sleep lets time pass.
func (b *bench) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (b *bench) state(name string) schedule.State {
	b.t.Helper()
	s, err := b.ledger.State(b.t.Context(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) request(name string) {
	b.t.Helper()
	if err := b.ledger.Request(b.t.Context(), name, "ana"); err != nil {
		b.t.Fatal(err)
	}
}

// runs notes when runs began, by the clock of the bubble.
type runs struct {
	b  *bench
	mu sync.Mutex
	at []time.Duration
}

func (r *runs) note() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = append(r.at, time.Since(r.b.begun).Truncate(time.Second))
	return len(r.at)
}

func (r *runs) want(what string, want ...time.Duration) {
	r.b.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if fmt.Sprint(r.at) != fmt.Sprint(want) {
		r.b.t.Fatalf("%s: runs at %v, want %v\n%s", what, r.at, want, r.b.log.text())
	}
}

// task makes a task that notes its runs and ends well at once.
func (b *bench) task(name string) (schedule.Task, *runs) {
	r := &runs{b: b}
	return schedule.Task{Name: name, About: "Uma tarefa.", Every: 10 * time.Minute, Run: func(context.Context) (schedule.Result, error) {
		return schedule.Result{Note: fmt.Sprintf("%d vezes", r.note())}, nil
	}}, r
}

// diary is a log handler that keeps messages with their attributes.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) Enabled(context.Context, slog.Level) bool { return true }
func (d *diary) WithAttrs([]slog.Attr) slog.Handler       { return d }
func (d *diary) WithGroup(string) slog.Handler            { return d }
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
