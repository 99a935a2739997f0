package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/store"
	"trama/platform/telemetry"
)

const (
	poll         = time.Second     // how often requests, and jumps of the clock, are looked for
	longestPause = 5 * time.Second // after the store failed
	lastWords    = 5 * time.Second // for the result of a run when the process ends
	longestText  = 4 << 10         // bytes of a note or an error that are kept
)

// Config is what a Runner is made of.
type Config struct {
	Tasks   []Task
	Ledger  Ledger
	Leaser  store.Leaser // of the same store
	Process string       // who runs: "host:pid"
	Clock   clock.Clock
	Log     *slog.Logger
	// Crash may die at "timer.fired" (a task is due, nothing is written),
	// "task.claimed" (the claim is committed, nothing is done) and "task.done" (Run
	// returned, its result is not written). nil outside tests.
	Crash     *crash.Points
	Telemetry *telemetry.Recorder // may be nil
	Rand      func() float64      // in [0,1), for jitter; default math/rand
}

// Runner works tasks. Any number of them, in any number of processes, may work
// the same tasks.
type Runner struct{ Config }

// New makes a runner; an error names a task that cannot work.
func New(c Config) (*Runner, error) {
	seen := map[string]bool{}
	for _, t := range c.Tasks {
		if err := t.check(c.Clock.Now()); err != nil {
			return nil, fmt.Errorf("task %q: %w", t.Name, err)
		}
		if seen[t.Name] {
			return nil, fmt.Errorf("task %q: there are two of it", t.Name)
		}
		seen[t.Name] = true
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	return &Runner{c}, nil
}

// Run works the tasks until ctx ends and the runs under way have come to an end.
func (r *Runner) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, t := range r.Tasks {
		w := &worker{Runner: r, task: t, log: r.Log.With("task", t.Name)}
		all.Go(func() { w.keep(ctx) })
	}
	all.Wait()
}

// worker works one task.
type worker struct {
	*Runner
	task Task
	log  *slog.Logger
}

// keep leads the task term after term. An outage of the store is logged once.
func (w *worker) keep(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		begun := w.Clock.Now()
		err := w.term(ctx)
		if ctx.Err() != nil {
			return
		}
		if w.Clock.Now().Sub(begun) > time.Minute {
			pause = firstPause // it had been well
		}
		if pause == firstPause {
			w.log.WarnContext(ctx, "task: it waits for its store or its lease", "error", err)
		}
		_ = w.Clock.Wait(ctx, pause)
		pause = min(2*pause, longestPause)
	}
}

// term leads the task until ctx ends, the lease is lost or the store fails.
func (w *worker) term(ctx context.Context) error {
	lease, err := w.Leaser.Lease(ctx, leasePrefix+w.task.Name)
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	defer func() {
		if err := lease.Release(); err != nil {
			w.log.WarnContext(ctx, "task: its lease could not be given back", "error", err)
		}
	}()
	held, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-lease.Lost():
			cancel(errLeaseLost)
		case <-held.Done():
		}
	})
	defer watch.Wait()
	defer cancel(nil)
	now := w.Clock.Now()
	if err := w.Ledger.Enter(held, w.task.Name, w.task.About, w.task.schedule(), w.task.first(now).Add(w.jitter())); err != nil {
		return err
	}
	for held.Err() == nil {
		pause, err := w.step(held)
		if err != nil && held.Err() == nil {
			return err
		}
		_ = w.Clock.Wait(held, pause)
	}
	return context.Cause(held)
}

// step does what is to be done now, and gives how long nothing else will be.
func (w *worker) step(ctx context.Context) (time.Duration, error) {
	s, err := w.Ledger.State(ctx, w.task.Name)
	if err != nil {
		return 0, err
	}
	now := w.Clock.Now()
	regular := w.task.next(now)
	switch latest := regular.Add(w.task.Jitter); {
	case s.Running():
		return 0, w.bury(ctx, s, now)
	case !s.RequestedAt.IsZero():
		return 0, w.run(ctx, s)
	case s.Next.After(latest): // the clock went back
		return 0, w.Ledger.Move(ctx, s, latest)
	case now.Before(s.Next):
		return min(s.Next.Sub(now), poll), nil
	case w.task.Missed == Skip && now.Sub(s.Next) > lateness:
		w.log.WarnContext(ctx, "task: a time was missed and is left out", "at", s.Next)
		return 0, w.Ledger.Move(ctx, s, regular.Add(w.jitter()))
	}
	w.Crash.At("timer.fired")
	return 0, w.run(ctx, s)
}

// bury ends a run whose process is gone: the lease is ours and the run is not. A
// task that kills its process again and again is given growing pauses.
func (w *worker) bury(ctx context.Context, s State, now time.Time) error {
	o := Outcome{End: now, Next: s.Next, Result: Failed, Error: "interrompida: o processo " + s.RunningBy + " acabou durante a execução"}
	if w.task.Missed == RunOnce {
		again := now
		if s.Streak > 0 {
			again = now.Add(backoff(s.Streak))
		}
		o.Next = sooner(s.Next, again)
	}
	w.log.WarnContext(ctx, "task: a run ended with its process", "process", s.RunningBy, "since", s.RunningSince, "next", o.Next)
	w.count(ctx, o, now.Sub(s.RunningSince))
	return w.Ledger.Finish(ctx, s, o)
}

func (w *worker) jitter() time.Duration {
	return time.Duration(w.Rand() * float64(w.task.Jitter))
}

func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
