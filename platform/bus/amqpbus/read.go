package amqpbus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
)

const (
	// markType is the content type of a mark: no event, but the log's end at some
	// moment.
	markType = "application/x-trama-mark"
	// readWindow is the prefetch of a reader.
	readWindow = 200
	// skew is how much earlier than Query.From reading begins: the broker's clock
	// may be behind the producers'.
	skew = time.Minute
)

var errLogOff = errors.New("the event log is switched off (Options.LogOff)")

// Read implements bus.Bus. Positions are the stream's offsets, in decimal. A
// reader that follows goes on by itself after a lost connection; for another it
// is Unavailable, and it may go on after the last position it was given.
func (b *Bus) Read(ctx context.Context, q bus.Query, fn func(bus.LogEntry) error) error {
	if b.opt.LogOff {
		return unavailable("read", errLogOff)
	}
	r := &reader{b: b, q: q, fn: fn, last: -1}
	if q.After != "" {
		n, err := strconv.ParseInt(q.After, 10, 64)
		if err != nil || n < 0 || n == math.MaxInt64 {
			return fmt.Errorf("amqpbus: read: %w", bus.ErrMalformed.Wrap(fmt.Errorf("%q is no position of this log", q.After)))
		}
		r.last = n
	}
	for pause, at := firstPause, r.last; ; pause = min(2*pause, longestPause) {
		err := r.read(ctx)
		var lost *lostError
		switch {
		case !errors.As(err, &lost):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !q.Follow || b.life.Err() != nil:
			return unavailable("read", lost.error)
		}
		if r.last > at {
			pause, at = firstPause, r.last
		}
		if pause == firstPause {
			b.log.Warn("event bus: reading the log was interrupted; will go on", "error", lost.error)
		}
		if err := b.clock.Wait(ctx, pause); err != nil {
			return err
		}
	}
}

// lostError is the broker's, not the caller's.
type lostError struct{ error }

// reader is one Read under way.
type reader struct {
	b     *Bus
	q     bus.Query
	fn    func(bus.LogEntry) error
	last  int64 // position dealt with; -1: none
	given int
}

// read reads on one connection, from r.last to the end.
func (r *reader) read(ctx context.Context) error {
	s, err := r.b.reading()
	if err != nil {
		return &lostError{err}
	}
	main, err := r.b.openTail(ctx, r.start())
	if err != nil {
		return &lostError{err}
	}
	defer main.close()
	end := int64(math.MaxInt64)
	if !r.q.Follow {
		if end, err = r.b.logEnd(ctx, s); err != nil {
			return &lostError{err}
		}
	}
	for r.last+1 < end {
		at, m, err := main.next(ctx)
		if err != nil {
			return &lostError{err}
		}
		if at <= r.last {
			continue
		}
		if at >= end {
			return nil
		}
		r.last = at
		if m.ContentType == markType {
			continue
		}
		e, err := bus.Decode(m.Body)
		if err != nil {
			r.b.log.Warn("event bus: what is no event was put into the log by somebody else", "position", at, "error", err)
			continue
		}
		if !r.q.Selects(e) {
			continue
		}
		if err := r.fn(bus.LogEntry{Position: strconv.FormatInt(at, 10), Event: e}); err != nil {
			return err
		}
		if r.given++; r.given == r.q.Limit {
			return nil
		}
	}
	return nil
}

// start is where the broker is to begin. Beyond the end means: with what comes next.
func (r *reader) start() any {
	switch {
	case r.last >= 0:
		return r.last + 1
	case !r.q.From.IsZero():
		return r.q.From.Add(-skew)
	}
	return "first"
}

// reading gives the session, once the connection for consuming is being made.
func (b *Bus) reading() (*session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	if b.session == nil {
		return nil, b.publish.why()
	}
	b.startConsume.Do(func() { b.work.Go(b.consume.run) })
	return b.session, nil
}

// logEnd puts a mark at the end of the log and gives its position. (The broker
// tells neither the number of messages, which is seconds old, nor the last offset.)
func (b *Bus) logEnd(ctx context.Context, s *session) (int64, error) {
	if s.blocked.Load() {
		return 0, errBlocked
	}
	t, err := b.openTail(ctx, "next")
	if err != nil {
		return 0, err
	}
	defer t.close()
	id := rand.Text()
	if err := s.send(ctx, []outgoing{{key: b.logQueue(), strict: true,
		msg: amqp.Publishing{ContentType: markType, DeliveryMode: amqp.Persistent, MessageId: id}}}); err != nil {
		return 0, err
	}
	for {
		at, m, err := t.next(ctx)
		if err != nil {
			return 0, err
		}
		if m.ContentType == markType && m.MessageId == id {
			return at, nil
		}
	}
}

// tail is a consumer of the log.
type tail struct {
	ch         *amqp.Channel
	deliveries <-chan amqp.Delivery
	unacked    int
}

// openTail begins at the offset. What is confirmed from now on comes, wherever it
// begins.
func (b *Bus) openTail(ctx context.Context, offset any) (*tail, error) {
	conn, ok := b.consume.await(ctx)
	if !ok {
		return nil, ctx.Err()
	}
	return handOver(ctx, b, func() (*tail, error) {
		ch, err := conn.Channel()
		if err != nil {
			return nil, err
		}
		t := &tail{ch: ch}
		if err = ch.Qos(readWindow, 0, false); err == nil {
			t.deliveries, err = ch.Consume(b.logQueue(), "", false, false, false, false, amqp.Table{"x-stream-offset": offset})
		}
		if err == nil {
			// The broker answers Consume before it looks for the offset, but this after.
			err = ch.Qos(readWindow, 0, false)
		}
		if err != nil {
			_ = ch.Close()
			return nil, err
		}
		return t, nil
	}, (*tail).close)
}

// next gives the next message with its offset. Acknowledging is asking for more.
func (t *tail) next(ctx context.Context) (int64, amqp.Delivery, error) {
	select {
	case <-ctx.Done():
		return 0, amqp.Delivery{}, ctx.Err()
	case m, ok := <-t.deliveries:
		if !ok {
			return 0, m, errors.New("the broker ended the reading")
		}
		if t.unacked++; t.unacked >= readWindow/2 {
			t.unacked = 0
			if err := m.Ack(true); err != nil {
				return 0, m, err
			}
		}
		at, ok := m.Headers["x-stream-offset"].(int64)
		if !ok {
			return 0, m, errors.New("the log is not a stream")
		}
		return at, m, nil
	}
}

func (t *tail) close() { _ = t.ch.Close() }
