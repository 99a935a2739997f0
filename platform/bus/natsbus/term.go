package natsbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"trama/platform/bus"
	"trama/platform/bus/lane"
)

const saveEvery = 200 * time.Millisecond

// term is one term of a subscription: a lane.Stream.
type term struct {
	b        *Bus
	sub      bus.Subscription
	places   *places
	reader   *reader
	wanted   []string // NATS subjects
	progress *progress

	life   context.Context // ends with its cause when the term cannot go on
	broken context.CancelCauseFunc
	unlink func() bool
	work   sync.WaitGroup
	saved  place // the saver's, and Close's after it
}

var errLost = errors.New("the connection was lost")

func (b *Bus) openTerm(ctx context.Context, s bus.Subscription) (lane.Stream, error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	b.mu.Lock()
	link := b.link // before the consumer is made, so that no loss after it is missed
	b.mu.Unlock()
	p, err := b.find(ctx)
	if err != nil {
		return nil, err
	}
	at, err := loadCursor(ctx, p, s.Name)
	if err != nil {
		return nil, unavailable("cursor of "+s.Name, err)
	}
	ok, err := belongs(ctx, p, at)
	if err != nil {
		return nil, unavailable("cursor of "+s.Name, err)
	}
	if !ok {
		b.log.Error("event bus: the log is not the one that the cursor belongs to; the subscription begins again at its beginning",
			"subscription", s.Name, "sequence", at.Seq)
		at = place{}
	}
	t := &term{b: b, sub: s, places: p, progress: newProgress(at), saved: at}
	for _, typ := range s.Types {
		t.wanted = append(t.wanted, b.subjectOf(typ))
	}
	from := after(at.Seq)
	from.InactiveThreshold = 10 * time.Minute // of a process that died
	if t.reader, err = b.read(ctx, p, s.Types, from); err != nil {
		return nil, unavailable("read for "+s.Name, err)
	}
	t.life, t.broken = context.WithCancelCause(context.Background())
	t.unlink = context.AfterFunc(link, func() { t.broken(errLost) })
	t.work.Go(t.saver)
	return t, nil
}

// Run implements lane.Stream.
func (t *term) Run(ctx context.Context, d *lane.Dispatcher) error {
	both, cancel := context.WithCancel(t.life)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	for {
		err := t.reader.next(both, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
			return t.offer(both, d, m, place{Seq: meta.Sequence.Stream, Stored: meta.Timestamp})
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case t.life.Err() != nil:
			return unavailable("read for "+t.sub.Name, context.Cause(t.life))
		case err != nil:
			return unavailable("read for "+t.sub.Name, err)
		}
	}
}

// offer waits until there is room for the event.
func (t *term) offer(ctx context.Context, d *lane.Dispatcher, m jetstream.Msg, at place) error {
	if !slices.Contains(t.wanted, m.Subject()) {
		t.progress.see(at, true)
		return nil
	}
	x := lane.Delivery{Ref: at.Seq}
	x.Event, x.Body, x.Bad = eventOf(m)
	if x.Bad == nil {
		if slices.Contains(t.sub.Former, x.Event.Type) {
			t.progress.see(at, true)
			return nil
		}
		x.Bad = check(t.sub, x.Event)
	}
	for t.progress.full() {
		select {
		case <-t.progress.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t.progress.see(at, false)
	for !d.Offer(x) {
		select {
		case <-d.Room():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Settle implements lane.Stream. What is Returned keeps the cursor where it is.
func (t *term) Settle(x lane.Delivery, v lane.Verdict) {
	if v == lane.Done {
		t.progress.done(x.Ref)
	}
}

// saver stores the cursor now and then.
func (t *term) saver() {
	for t.b.opt.Clock.Wait(t.life, saveEvery) == nil {
		if err := t.save(t.life); err != nil {
			t.broken(err)
		}
	}
}

func (t *term) save(ctx context.Context) error {
	at := t.progress.mark()
	if at == t.saved {
		return nil
	}
	ctx, cancel := t.b.bounded(ctx)
	defer cancel()
	t.b.opt.Crash.At("bus.cursor")
	if err := saveCursor(ctx, t.places, t.sub.Name, at); err != nil {
		return fmt.Errorf("cursor of %s: %w", t.sub.Name, err)
	}
	t.b.opt.Crash.At("bus.acked")
	t.saved = at
	return nil
}

// Close implements lane.Stream.
func (t *term) Close(ctx context.Context) error {
	t.unlink()
	t.broken(errClosed)
	t.work.Wait()
	if !t.b.conn.IsConnected() {
		return nil // what is not stored is delivered again
	}
	err := t.save(ctx)
	t.reader.close(ctx)
	return err
}
