package lane

import (
	"context"
	"slices"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
	"trama/platform/telemetry"
)

// parkFailed parks the head of a line, whose handler failed, and all that is in
// hand behind it.
func (d *Dispatcher) parkFailed(s *share, x Delivery, a attempt) {
	d.mu.Lock()
	xs := slices.Clone(s.ln.queue) // x is the first
	d.mu.Unlock()
	head := d.letter(x)
	d.judge(&head, a)
	if err := d.park(append([]bus.Letter{head}, d.behind(xs[1:])...)); err != nil {
		// Not durable, so not counted. The cause is usually the same, and the
		// handler may succeed as soon as the Parking would.
		if next := d.stall(s.ln); !next.IsZero() {
			d.report("event handler failed and the event cannot be parked; it will be tried again", &head, a.err, next)
		}
		return
	}
	d.reportTry(&head, a.err)
	d.settleParked(s, xs)
	d.mu.Lock()
	d.block(s.ln, head.State, head.Due)
	d.mu.Unlock()
}

// parkBehind parks what is in hand of a line that has letters.
func (d *Dispatcher) parkBehind(t *turn) {
	s, xs := &t.shares[0], t.xs
	s.n = 0
	if err := d.park(d.behind(xs)); err != nil {
		d.stall(s.ln)
		return
	}
	d.settleParked(s, xs)
}

// bury parks a message that is no event. Its line is not blocked: nothing
// follows, and many such messages leave nothing in memory.
func (d *Dispatcher) bury(s *share, x Delivery) {
	s.n = 0
	l := d.letter(x)
	if err := d.park([]bus.Letter{l}); err != nil {
		d.stall(s.ln)
		return
	}
	d.reportTry(&l, bus.ErrMalformed.Wrap(x.Bad))
	d.settleParked(s, []Delivery{x})
}

func (d *Dispatcher) park(letters []bus.Letter) error {
	err := d.sub.Parking.Park(d.work, d.sub.Name, letters...)
	d.answered(err)
	return err
}

// settleParked tells the driver that xs, from the head of the line, are safe.
func (d *Dispatcher) settleParked(s *share, xs []Delivery) {
	d.cfg.Crash.At("consumer.parked")
	d.cfg.Telemetry.Add(d.work, "trama.bus.parked", int64(len(xs)), d.labels...)
	for _, x := range xs {
		d.stream.Settle(x, Done)
	}
	s.n = len(xs)
}

func (d *Dispatcher) behind(xs []Delivery) []bus.Letter {
	out := make([]bus.Letter, len(xs))
	for i, x := range xs {
		out[i] = d.letter(x)
	}
	return out
}

// letter makes a letter of a delivery: Behind, or Dead when it is no event.
func (d *Dispatcher) letter(x Delivery) bus.Letter {
	now := d.cfg.Clock.Now()
	l := bus.Letter{ID: x.Event.ID, Subject: x.subject(), State: bus.Behind, Body: x.Body, Type: x.Event.Type,
		TraceID: traceID(x.Event), ParkedAt: now, ParkedBy: d.cfg.Process}
	if l.Body == nil {
		// It was an event when it came; if it cannot be encoded, it is dead later.
		l.Body, _ = bus.Encode(x.Event)
	}
	if x.Bad != nil {
		l.ID, l.State = l.Subject, bus.Dead
		l.Note(noted(attempt{err: bus.ErrMalformed.Wrap(x.Bad), at: now}))
	}
	return l
}

func traceID(e bus.Event) string {
	return telemetry.TraceID(telemetry.WithTraceParent(context.Background(), e.TraceParent))
}

// judge notes a failed try in a letter and decides what comes of it.
func (d *Dispatcher) judge(l *bus.Letter, a attempt) {
	l.Note(noted(a))
	f := fault.As(a.err)
	if exhausted(f.Kind, l.Tries, d.sub.MaxAttempts) {
		l.State, l.Due = bus.Dead, time.Time{}
		return
	}
	l.State = bus.Waiting
	l.Due = d.cfg.Clock.Now().Add(pause(d.sub.Backoff, d.sub.MaxBackoff, l.Tries, f.RetryAfter, d.cfg.Jitter()))
}

func noted(a attempt) bus.Attempt {
	f := fault.As(a.err)
	return bus.Attempt{At: a.at, Took: a.took, Kind: f.Kind.String(), Code: f.Code, Error: cut(a.err.Error())}
}
