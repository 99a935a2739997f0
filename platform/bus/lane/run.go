package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
	"trama/platform/telemetry"
)

// worker serves ready lines until there is none, then goes.
func (d *Dispatcher) worker() {
	for {
		d.mu.Lock()
		if len(d.queue) == 0 || d.draining {
			d.workers--
			if d.draining && d.workers == 0 {
				close(d.idle)
			}
			d.mu.Unlock()
			return
		}
		ln := d.queue[0]
		d.queue[0] = nil // let a finished line be collected
		d.queue = d.queue[1:]
		ln.state = running
		x := ln.queue[0]
		d.mu.Unlock()

		if err := d.try(x); err == nil {
			d.finish(ln, x, Outcome{Verdict: Done, Attempts: x.Attempts + 1})
		} else {
			d.fail(ln, x, err)
		}
	}
}

// try runs the handler once. The panic becomes an Internal fault.
func (d *Dispatcher) try(x Delivery) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{value: p, stack: string(debug.Stack())}
		}
	}()
	return d.sub.Handler(telemetry.WithTraceParent(d.work, x.Event.TraceParent), x.Event)
}

// panicError is a recovered panic; not a fault, so its kind is Internal.
type panicError struct {
	value any
	stack string
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// fail decides about a failed try.
func (d *Dispatcher) fail(ln *line, x Delivery, err error) {
	if d.work.Err() != nil { // interrupted: whatever it says, the try does not count
		d.finish(ln, x, Outcome{Verdict: Returned, Attempts: x.Attempts})
		return
	}
	f := fault.As(err)
	x.Attempts++
	out := Outcome{Attempts: x.Attempts, Kind: f.Kind.String(), Reason: cut(err.Error())}
	if exhausted(f.Kind, x.Attempts, d.sub.MaxAttempts) {
		out.Verdict = Dead
		d.report(slog.LevelError, "event parked as a dead letter", x, f, err, time.Time{})
		d.finish(ln, x, out)
		return
	}
	out.Verdict = Again
	out.Due = d.cfg.Clock.Now().Add(pause(d.sub.Backoff, x.Attempts, f.RetryAfter, d.cfg.Jitter()))
	x.Due = out.Due
	d.report(slog.LevelWarn, "event handler failed; it will be tried again", x, f, err, out.Due)
	d.again(ln, x, out)
}

func (d *Dispatcher) report(level slog.Level, msg string, x Delivery, f *fault.Error, err error, next time.Time) {
	attrs := []slog.Attr{
		slog.String("subscription", d.sub.Name), slog.String("event", x.Event.ID), slog.String("type", x.Event.Type),
		slog.String("kind", f.Kind.String()), slog.String("code", f.Code), slog.Int("attempt", x.Attempts),
		slog.String("error", cut(err.Error())),
	}
	if id := telemetry.TraceID(telemetry.WithTraceParent(context.Background(), x.Event.TraceParent)); id != "" {
		attrs = append(attrs, slog.String("trace_id", id))
	}
	if p := (*panicError)(nil); errors.As(err, &p) {
		attrs = append(attrs, slog.String("stack", p.stack))
	}
	if !next.IsZero() {
		attrs = append(attrs, slog.Time("next_try", next))
	}
	d.cfg.Logger.LogAttrs(d.work, level, msg, attrs...)
}

// finish takes x out of its line with a final verdict and lets the line go on.
func (d *Dispatcher) finish(ln *line, x Delivery, out Outcome) {
	d.mu.Lock()
	ln.queue = ln.queue[1:]
	spilling := ln.spilling
	ln.state = settling
	if spilling { // empty now; the driver may Resume as soon as it hears the verdict
		ln.state = parked
	}
	d.mu.Unlock()

	d.cfg.Settle(x, out)

	d.mu.Lock()
	d.held--
	d.bytes -= x.bytes()
	if !spilling { // else it is the driver's to move, and perhaps already has
		if len(ln.queue) > 0 {
			d.enqueue(ln) // this worker is free for it
		} else {
			delete(d.lines, ln.subject)
		}
	}
	d.signalRoom()
	d.mu.Unlock()
}

// again leaves x at the head of its line until it is due.
func (d *Dispatcher) again(ln *line, x Delivery, out Outcome) {
	d.mu.Lock()
	if x.epoch != d.epoch { // forgotten: it comes again as a new delivery
		d.mu.Unlock()
		d.finish(ln, x, Outcome{Verdict: Returned, Attempts: x.Attempts})
		return
	}
	ln.queue[0] = x
	d.held-- // a waiting head is counted as a waiter instead
	var behind []Delivery
	if d.cfg.Spill {
		behind = append(behind, ln.queue[1:]...)
		ln.queue = ln.queue[:1]
		ln.spilling = true
		d.held -= len(behind)
		for _, b := range behind {
			d.bytes -= b.bytes()
		}
	}
	d.mu.Unlock()

	d.cfg.Settle(x, out)
	for _, b := range behind {
		d.cfg.Settle(b, Outcome{Verdict: Behind, Attempts: b.Attempts})
	}

	d.mu.Lock()
	if d.draining {
		ln.state = waiting
		d.waiters++
		d.mu.Unlock()
		d.giveBack(ln)
		return
	}
	d.sleep(ln, out.Due)
	d.signalRoom()
	d.mu.Unlock()
}

// sleep makes ln wait until due, then ready again.
func (d *Dispatcher) sleep(ln *line, due time.Time) {
	ln.state = waiting
	d.waiters++
	ctx := d.timers
	d.wait.Go(func() {
		if d.cfg.Clock.Wait(ctx, due.Sub(d.cfg.Clock.Now())) != nil {
			return // drained or forgotten meanwhile
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if ctx.Err() != nil || d.draining {
			return
		}
		d.waiters--
		d.held++
		d.enqueue(ln)
		d.staff()
		d.signalRoom()
	})
}

// Drain takes nothing new, waits for the handlers under way and gives back the
// rest as Returned. When ctx ends it interrupts the handlers, whose tries then
// do not count, and waits Grace for them; the error names how many did not come
// back. To be called once.
func (d *Dispatcher) Drain(ctx context.Context) error {
	d.mu.Lock()
	d.draining = true
	d.stop()
	var idle []*line
	for _, ln := range d.lines {
		if ln.state != running {
			idle = append(idle, ln)
		}
	}
	d.queue = nil
	if d.workers == 0 {
		close(d.idle)
	}
	d.mu.Unlock()
	d.wait.Wait()
	for _, ln := range idle {
		d.giveBack(ln)
	}
	err := d.await(ctx)
	d.interrupt()
	d.mu.Lock()
	var rest []*line
	for _, ln := range d.lines {
		if ln.state != running {
			rest = append(rest, ln)
		}
	}
	d.mu.Unlock()
	for _, ln := range rest { // what stood behind the handlers that have now ended
		d.giveBack(ln)
	}
	return err
}

// await waits until no worker is left.
func (d *Dispatcher) await(ctx context.Context) error {
	select {
	case <-d.idle:
		return nil
	case <-ctx.Done():
	}
	d.interrupt()
	grace, cancel := context.WithCancel(context.Background())
	defer cancel()
	late := make(chan struct{})
	go func() {
		if d.cfg.Clock.Wait(grace, d.cfg.Grace) == nil {
			close(late)
		}
	}()
	select {
	case <-d.idle:
		return nil
	case <-late:
		d.mu.Lock()
		n := d.workers
		d.mu.Unlock()
		return bus.ErrUnavailable.Wrap(fmt.Errorf("%s: %d handlers do not end though interrupted %s ago", d.sub.Name, n, d.cfg.Grace))
	}
}

// giveBack returns everything in the line. Nobody else touches it any more.
func (d *Dispatcher) giveBack(ln *line) {
	d.mu.Lock()
	queue := ln.queue
	ln.queue = nil
	delete(d.lines, ln.subject)
	d.mu.Unlock()
	for _, x := range queue {
		d.cfg.Settle(x, Outcome{Verdict: Returned, Attempts: x.Attempts})
	}
}
