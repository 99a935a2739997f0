package lane

import (
	"log/slog"

	"trama/platform/bus"
	"trama/platform/fault"
	"trama/platform/telemetry"
)

// plain says whether the head of the line may go into a batch.
func (ln *line) plain() bool {
	return !ln.blocked && ln.solo == 0 && len(ln.queue) > 0 && ln.queue[0].Bad == nil
}

// gather fills a batch: from ln and the ready lines after it, of each what
// stands at its head, no event twice. d.mu is held.
func (d *Dispatcher) gather(t *turn, ln *line) {
	if t.ids == nil {
		t.ids = map[string]struct{}{}
	}
	clear(t.ids)
	for {
		n := 0
		for n < len(ln.queue) && len(t.ids) < d.sub.MaxBatch && ln.queue[n].Bad == nil && t.fresh(ln.queue[n].Event.ID) {
			n++
		}
		t.add(ln, n)
		if len(t.ids) == d.sub.MaxBatch || len(d.ready) == 0 || !d.ready[0].plain() {
			return
		}
		if _, twice := t.ids[d.ready[0].queue[0].Event.ID]; twice {
			return
		}
		ln = d.pop()
	}
}

// fresh notes an id; false: it is in the batch already.
func (t *turn) fresh(id string) bool {
	_, twice := t.ids[id]
	t.ids[id] = struct{}{}
	return !twice
}

// workBatch handles the events of several lines in one call. When that fails
// they are tried alone, each line in its order, so that one that fails fails
// alone.
func (d *Dispatcher) workBatch(t *turn) {
	if len(t.xs) == 1 {
		d.workOne(t)
		return
	}
	events := make([]bus.Event, len(t.xs))
	for i, x := range t.xs {
		events[i] = x.Event
	}
	d.cfg.Crash.At("consumer.received")
	a := d.tryAll(events)
	if a.err == nil {
		d.cfg.Crash.At("consumer.handled")
		for _, x := range t.xs {
			d.stream.Settle(x, Done)
		}
		return
	}
	if d.work.Err() == nil {
		f := fault.As(a.err)
		d.cfg.Logger.LogAttrs(d.work, slog.LevelInfo, "event bus: a batch failed; its events are tried one by one",
			slog.String("subscription", d.sub.Name), slog.Int("events", len(events)),
			slog.String("kind", f.Kind.String()), slog.String("code", f.Code), slog.String("error", cut(a.err.Error())))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range t.shares {
		s := &t.shares[i]
		s.ln.solo, s.n = s.n, 0
	}
}

// tryAll calls the batch handler. Its span is a child of nobody's: the events
// come from many traces.
func (d *Dispatcher) tryAll(events []bus.Event) attempt {
	ctx := d.work
	var span *telemetry.Span
	if d.cfg.Telemetry != nil {
		ctx, span = d.cfg.Telemetry.Span(ctx, telemetry.Consumer, d.sub.Name, slog.Int("events", len(events)))
		for _, e := range events {
			span.Link(e.TraceParent)
		}
	}
	a := d.measured(ctx, func() error { return d.sub.Batch(ctx, events) }, events...)
	span.End(a.err)
	return a
}
