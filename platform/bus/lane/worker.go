package lane

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"trama/platform/bus"
	"trama/platform/telemetry"
)

// turn is what a worker does between two looks at the queue: one event, one
// batch, or one portion of letters. The lines in it are the worker's alone.
type turn struct {
	do     func(*Dispatcher, *turn)
	shares []share
	xs     []Delivery // those of the shares, one after the other
	ids    map[string]struct{}
}

// share is a line's part in a turn.
type share struct {
	ln *line
	n  int // deliveries from its head; in the end, those that have their verdict
}

func (t *turn) add(ln *line, n int) {
	t.shares = append(t.shares, share{ln, n})
	t.xs = append(t.xs, ln.queue[:n]...)
}

// worker serves ready lines until there is none, then goes.
func (d *Dispatcher) worker() {
	var t turn
	for d.next(&t) {
		t.do(d, &t)
	}
}

// next ends a turn and begins another; false: there is none.
func (d *Dispatcher) next(t *turn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, s := range t.shares {
		if d.leave(s.ln, s.n) && i > 0 { // for the first, this worker is free
			d.staff()
		}
	}
	d.tellRoom()
	clear(t.xs)
	t.shares, t.xs = t.shares[:0], t.xs[:0]
	if len(d.ready) == 0 || d.draining {
		d.workers--
		if d.draining && d.workers == 0 {
			close(d.idle)
		}
		return false
	}
	ln := d.pop()
	switch {
	case ln.letters && (!ln.deep || len(ln.queue) == 0):
		ln.letters = false
		t.do = (*Dispatcher).workLetters
		t.add(ln, 0)
	case ln.blocked:
		ln.deep = false
		t.do = (*Dispatcher).parkBehind
		t.add(ln, len(ln.queue))
	case d.sub.Batch != nil && ln.plain():
		t.do = (*Dispatcher).workBatch
		d.gather(t, ln)
	default:
		t.do = (*Dispatcher).workOne
		t.add(ln, 1)
	}
	return true
}

func (d *Dispatcher) pop() *line {
	ln := d.ready[0]
	d.ready[0] = nil // let a finished line be collected
	d.ready = d.ready[1:]
	ln.state = running
	return ln
}

// workOne handles the head of a line.
func (d *Dispatcher) workOne(t *turn) {
	s, x := &t.shares[0], t.xs[0]
	if x.Bad != nil {
		d.bury(s, x)
		return
	}
	d.cfg.Crash.At("consumer.received")
	a := d.try(d.work, x.Event)
	if a.err == nil {
		d.cfg.Crash.At("consumer.handled")
		d.stream.Settle(x, Done)
		return
	}
	s.n = 0
	if d.work.Err() == nil { // else interrupted: whatever it says, the try does not count
		d.parkFailed(s, x, a)
	}
}

// attempt is one call of the handler.
type attempt struct {
	err  error
	at   time.Time
	took time.Duration
}

// try calls the handler for one event.
func (d *Dispatcher) try(ctx context.Context, e bus.Event) attempt {
	ctx = telemetry.WithTraceParent(ctx, e.TraceParent)
	var span *telemetry.Span
	if d.cfg.Telemetry != nil {
		ctx, span = d.cfg.Telemetry.Span(ctx, telemetry.Consumer, d.sub.Name,
			slog.String("event", e.ID), slog.String("type", e.Type))
	}
	a := d.measured(ctx, func() error {
		if d.sub.Batch != nil {
			return d.sub.Batch(ctx, []bus.Event{e})
		}
		return d.sub.Handler(ctx, e)
	}, e)
	span.End(a.err)
	return a
}

// measured calls work, which handles events. A panic is a failure like another.
func (d *Dispatcher) measured(ctx context.Context, work func() error, events ...bus.Event) (a attempt) {
	a.at = d.cfg.Clock.Now()
	for i := range events {
		d.cfg.Telemetry.Seconds(ctx, "trama.bus.delay", max(0, a.at.Sub(events[i].Time).Seconds()), d.labels...)
	}
	begin := time.Now() // a duration: finer than the clock, and no test steers it
	defer func() {
		if p := recover(); p != nil {
			a.err = &panicError{value: p, stack: string(debug.Stack())}
		}
		a.took = time.Since(begin)
		d.cfg.Telemetry.Seconds(ctx, "trama.bus.handling", a.took.Seconds(), d.labels...)
		if a.err == nil {
			d.cfg.Telemetry.Add(ctx, "trama.bus.handled", int64(len(events)), d.labels...)
		}
	}()
	a.err = work()
	return a
}

// panicError is a recovered panic; not a fault, so its kind is Internal.
type panicError struct {
	value any
	stack string
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }
