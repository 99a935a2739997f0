package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/store"
	"trama/platform/telemetry"
)

// Entry is an event waiting in an outbox.
type Entry struct {
	Key   string // the store's own name for the row
	Event bus.Event
}

// Source is an outbox as the relay sees it; Box is one, document stores have theirs.
type Source interface {
	// Pending gives up to limit events; those of one subject in their order.
	Pending(ctx context.Context, limit int) ([]Entry, error)
	// Done forgets confirmed events. Forgetting one twice is no error.
	Done(ctx context.Context, entries []Entry) error
	// Wake fires when this process has committed events.
	Wake() <-chan struct{}
	// Lease gives one relay at a time the right to run.
	Lease(ctx context.Context) (store.Lease, error)
}

// doneTimeout bounds the forgetting of confirmed events.
const doneTimeout = 10 * time.Second

// Relay carries events from one outbox to the bus.
type Relay struct {
	Source Source
	Bus    bus.Publisher
	Clock  clock.Clock
	Log    *slog.Logger
	Crash  *crash.Points // "relay.read", "relay.published", "relay.forgotten"
	// Telemetry takes a span for each batch, linked to what caused its events, the
	// counter trama.relay.published and the histogram trama.relay.delay, from an
	// event to its confirmation.
	Telemetry *telemetry.Recorder

	// Poll is how often the outbox is looked at without a wake-up, for commits
	// of other processes; 0 means 50 ms.
	Poll time.Duration
	// Batch is how many events are published at once; 0 means 256.
	Batch int
}

// Run relays until ctx ends, then makes one last pass so that an orderly stop
// leaves nothing behind (at most the drain time given). It returns only then.
func (r *Relay) Run(ctx context.Context) error {
	if r.Poll == 0 {
		r.Poll = 50 * time.Millisecond
	}
	if r.Batch == 0 {
		r.Batch = 256
	}
	for ctx.Err() == nil {
		if err := r.hold(ctx); err != nil && ctx.Err() == nil {
			r.Log.Warn("relay: no lease on the outbox", "error", err)
			_ = r.Clock.Wait(ctx, time.Second)
		}
	}
	return nil
}

// hold relays as long as the lease is ours.
func (r *Relay) hold(ctx context.Context) error {
	lease, err := r.Source.Lease(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err := lease.Release(); err != nil {
			r.Log.Warn("relay: releasing the lease", "error", err)
		}
	}()
	pause := time.Duration(0)
	for {
		n, err := r.pass(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			if pause == 0 { // log once per outage, not per try
				r.Log.Warn("relay: publishing is interrupted; events wait in the outbox", "error", err)
			}
			pause = min(max(2*pause, 50*time.Millisecond), 5*time.Second)
		case err == nil && pause > 0:
			r.Log.Info("relay: publishing goes on")
			pause = 0
		}
		if ctx.Err() != nil {
			return r.flush(ctx)
		}
		if n == r.Batch && err == nil {
			continue
		}
		if lost := r.idle(ctx, lease, max(pause, r.Poll), pause > 0); lost {
			return errors.New("the lease was lost")
		}
	}
}

// idle waits for a wake-up, the poll interval, the end or the loss of the lease.
func (r *Relay) idle(ctx context.Context, lease store.Lease, d time.Duration, failing bool) (lost bool) {
	wake := r.Source.Wake()
	if failing {
		wake = nil // during an outage only time helps
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-lease.Lost():
		return true
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	}
	return false
}

// pass publishes one batch and forgets it.
func (r *Relay) pass(ctx context.Context) (int, error) {
	entries, err := r.Source.Pending(ctx, r.Batch)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	r.Crash.At("relay.read")
	if err := r.publish(ctx, entries); err != nil {
		return 0, fmt.Errorf("publish %d events: %w", len(entries), err)
	}
	r.Crash.At("relay.published")
	// Not ctx: an orderly stop between publishing and forgetting would only make
	// the next start publish the same events again.
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), doneTimeout)
	defer cancel()
	if err := r.Source.Done(done, entries); err != nil {
		return 0, err
	}
	r.Crash.At("relay.forgotten")
	return len(entries), nil
}

func (r *Relay) publish(ctx context.Context, entries []Entry) error {
	spanned, span := r.Telemetry.Span(ctx, telemetry.Producer, "publish", slog.Int("events", len(entries)))
	events := make([]bus.Event, len(entries))
	for i := range entries {
		events[i] = entries[i].Event
		span.Link(events[i].TraceParent)
	}
	err := r.Bus.Publish(spanned, events...)
	span.End(err)
	if err != nil {
		return err
	}
	now := r.Clock.Now()
	for i := range events {
		r.Telemetry.Seconds(ctx, "trama.relay.delay", now.Sub(events[i].Time).Seconds())
	}
	r.Telemetry.Add(ctx, "trama.relay.published", int64(len(events)))
	return nil
}

// flush empties the outbox at an orderly stop; what does not go out now waits
// for the next start.
func (r *Relay) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	for {
		n, err := r.pass(ctx)
		if err != nil || n < r.Batch {
			return err
		}
	}
}
