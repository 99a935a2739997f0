package lane

import (
	"errors"
	"log/slog"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
)

// reportTry tells of a failed try that is stored: once, with what operators need.
func (d *Dispatcher) reportTry(l *bus.Letter, err error) {
	if l.State == bus.Dead {
		d.cfg.Telemetry.Add(d.work, "trama.bus.dead", 1, d.labels...)
		d.report("event given up: it is a dead letter, and its subject waits behind it", l, err, time.Time{})
		return
	}
	d.cfg.Telemetry.Add(d.work, "trama.bus.retries", 1, d.labels...)
	d.report("event handler failed; it will be tried again", l, err, l.Due)
}

// report logs one failed try; next is zero when there is no other.
func (d *Dispatcher) report(msg string, l *bus.Letter, err error, next time.Time) {
	f := fault.As(err)
	level := slog.LevelError
	attrs := []slog.Attr{
		slog.String("subscription", d.sub.Name), slog.String("event", l.ID), slog.String("type", l.Type),
		slog.String("kind", f.Kind.String()), slog.String("code", f.Code), slog.Int("attempt", l.Tries),
		slog.String("error", cut(err.Error())),
	}
	if l.TraceID != "" {
		attrs = append(attrs, slog.String("trace_id", l.TraceID))
	}
	if l.Replay != "" {
		attrs = append(attrs, slog.String("replay", l.Replay))
	}
	if p := (*panicError)(nil); errors.As(err, &p) {
		attrs = append(attrs, slog.String("stack", p.stack))
	}
	if !next.IsZero() {
		level = slog.LevelWarn
		attrs = append(attrs, slog.Time("next_try", next))
	}
	d.cfg.Logger.LogAttrs(d.work, level, "event bus: "+msg, attrs...)
}

// answered notes whether the Parking did; an outage is logged when it begins and
// when it is over.
func (d *Dispatcher) answered(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.work.Err() != nil || d.outage == (err != nil) {
		return
	}
	d.outage = err != nil
	if d.outage {
		d.cfg.Logger.LogAttrs(d.work, slog.LevelError, "event bus: the parking does not answer; what fails is kept in hand and tried again",
			slog.String("subscription", d.sub.Name), slog.String("error", cut(err.Error())))
		return
	}
	d.cfg.Logger.LogAttrs(d.work, slog.LevelInfo, "event bus: the parking answers again", slog.String("subscription", d.sub.Name))
}
