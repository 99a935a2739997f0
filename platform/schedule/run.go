package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"trama/platform/fault"
	"trama/platform/telemetry"
)

var errLeaseLost = errors.New("the lease was lost; another process may have taken over")

// run does one run: claimed, done, its result written.
func (w *worker) run(ctx context.Context, s State) error {
	start := w.Clock.Now()
	s, ok, err := w.Ledger.Claim(ctx, s, w.Process, start, w.task.next(start).Add(w.jitter()))
	if err != nil || !ok { // not ours: whoever claimed it has the lease, or will find that it has not
		return err
	}
	w.Crash.At("task.claimed")
	res, err := w.do(ctx)
	w.Crash.At("task.done")
	end := w.Clock.Now()
	o := w.outcome(ctx, s, end, res, err)
	w.count(ctx, o, end.Sub(start))
	return w.finish(ctx, s, o)
}

// do calls Run within its time.
func (w *worker) do(outer context.Context) (res Result, err error) {
	ctx, cancel := context.WithTimeout(outer, w.task.timeout())
	defer cancel()
	ctx, span := w.Telemetry.Span(ctx, telemetry.Internal, w.task.Name)
	if span == nil { // nothing is recorded; events of the run still name their trace
		ctx = telemetry.Start(ctx)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if err != nil && outer.Err() == nil {
			if ctx.Err() != nil {
				err = fmt.Errorf("tempo esgotado (%s): %w", short(w.task.timeout()), err)
			}
			f := fault.As(err)
			w.log.WarnContext(ctx, "task: a run failed", "kind", f.Kind.String(), "code", f.Code, "trace", telemetry.TraceID(ctx), "error", err)
		}
		span.End(err)
	}()
	return w.task.Run(ctx)
}

// outcome says what a run's end means. Its context tells whether somebody ended it.
func (w *worker) outcome(ctx context.Context, s State, end time.Time, res Result, err error) Outcome {
	regular := s.Next
	if w.task.Cron == "" { // the pause begins now
		regular = end.Add(s.Next.Sub(s.RunningSince))
	}
	o := Outcome{End: end, Next: regular, Result: OK, Note: cut(res.Note)}
	switch {
	case err == nil:
		if !res.Next.IsZero() {
			o.Next = sooner(regular, res.Next)
		}
	case ctx.Err() != nil:
		o.Result, o.Error = Stopped, cut("interrompida: "+err.Error())
		if w.task.Missed == RunOnce {
			o.Next = end
		}
	default:
		o.Result, o.Error = Failed, cut(err.Error())
		o.Next = sooner(regular, end.Add(backoff(s.Streak+1)))
	}
	return o
}

// finish writes the result: until that succeeds, or once more within a last
// moment when the process ends or has lost its lease.
func (w *worker) finish(ctx context.Context, s State, o Outcome) error {
	for first := true; ; first = false {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
		err := w.Ledger.Finish(last, s, o)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if first {
			w.log.WarnContext(ctx, "task: the result of a run waits to be written", "error", err)
		}
		_ = w.Clock.Wait(ctx, firstPause)
	}
}

// count tells the telemetry.
func (w *worker) count(ctx context.Context, o Outcome, took time.Duration) {
	task := slog.String("task", w.task.Name)
	w.Telemetry.Add(ctx, "trama.task.runs", 1, task, slog.String("result", string(o.Result)))
	w.Telemetry.Seconds(ctx, "trama.task.duration", took.Seconds(), task)
}

// cut bounds a text that is kept.
func cut(s string) string {
	if len(s) > longestText {
		s = s[:longestText]
	}
	return strings.ToValidUTF8(s, "")
}
