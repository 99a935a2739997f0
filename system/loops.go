package system

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"trama/platform/clock"
	"trama/platform/module"
	"trama/platform/store"
)

// loopRunner keeps one loop of a module running: again after an error or panic,
// with growing pauses; alone among all processes where the loop asks for it.
type loopRunner struct {
	loop   module.Loop
	module string
	leaser store.Leaser // nil: no lease wanted
	clock  clock.Clock
	log    *slog.Logger
}

// leaseName is the lease that a loop of this name needs.
func leaseName(l module.Loop) string { return "loop-" + l.Name }

func (r loopRunner) run(ctx context.Context) {
	pause := time.Second
	for ctx.Err() == nil {
		begun := r.clock.Now()
		err := r.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if r.clock.Now().Sub(begun) > time.Minute {
			pause = time.Second // it had been running well
		}
		r.log.Error("background work failed; it starts again after a pause", "error", err, "pause", pause.String())
		_ = r.clock.Wait(ctx, pause)
		pause = min(2*pause, time.Minute)
	}
}

var (
	errLeaseLost = errors.New("the lease was lost; another process may have taken over")
	errEnded     = errors.New("it ended although nobody asked it to")
)

// once runs the loop under its lease until it ends or the lease is lost. Its
// error is nil only when ctx has ended.
func (r loopRunner) once(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if r.leaser == nil {
		return early(ctx, r.loop.Run(ctx), errEnded)
	}
	lease, err := r.leaser.Lease(ctx, leaseName(r.loop))
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	defer func() {
		if releaseErr := lease.Release(); releaseErr != nil {
			r.log.Warn("releasing the lease", "error", releaseErr)
		}
	}()
	held, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-lease.Lost():
			cancel(errLeaseLost)
		case <-held.Done():
		}
	}()
	err = r.loop.Run(held)
	if context.Cause(held) == errLeaseLost {
		return early(ctx, nil, errLeaseLost)
	}
	return early(ctx, err, errEnded)
}

// early gives the error of a loop that ended before ctx did; why stands in where
// it gave none.
func early(ctx context.Context, err, why error) error {
	if err == nil && ctx.Err() == nil {
		return why
	}
	return err
}
