package amqpbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
	"trama/platform/bus/lane"
)

const (
	// movedWindow is the prefetch of the .dlq.
	movedWindow = 16
	// termPatience is how long a term waits for a connection.
	termPatience = 2 * time.Second
)

// consumer is a running subscription that the Bus drains when it closes.
type consumer struct {
	*lane.Consumer
	b *Bus
}

// Drain implements bus.Consumer.
func (c *consumer) Drain(ctx context.Context) error {
	err := c.Consumer.Drain(ctx)
	c.b.mu.Lock()
	delete(c.b.consumers, c)
	c.b.mu.Unlock()
	return err
}

// Subscribe implements bus.Bus. Without a connection the consumer waits for one.
func (b *Bus) Subscribe(ctx context.Context, s bus.Subscription) (bus.Consumer, error) {
	switch {
	case s.Handler == nil && s.Batch == nil:
		return nil, bus.ErrSubscription.Wrap(fmt.Errorf("%s: no handler", s.Name))
	case s.Parking == nil:
		return nil, bus.ErrSubscription.Wrap(fmt.Errorf("%s: no parking", s.Name))
	}
	if err := b.Declare(ctx, s); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, unavailable("subscribe "+s.Name, errClosed)
	}
	b.startConsume.Do(func() { b.work.Go(b.consume.run) })
	c := &consumer{b: b, Consumer: lane.Consume(lane.Config{Subscription: s, Clock: b.clock, Logger: b.log, Crash: b.opt.Crash,
		Telemetry: b.opt.Telemetry, Window: window(s), Process: b.opt.Process},
		func(ctx context.Context) (lane.Stream, error) { return b.newTerm(ctx, s) })}
	b.consumers[c] = struct{}{}
	return c, nil
}

// window is how many events of s may be in this process: the broker's prefetch.
func window(s bus.Subscription) int {
	return min(max(16*lane.Defaults(s).MaxInFlight, 128), 2000)
}

// term is one term of a subscription: a channel on its queue and one on its .dlq.
// It is a lane.Stream.
type term struct {
	b      *Bus
	sub    bus.Subscription
	events *source
	moved  *source
}

// newTerm waits for a connection and consumes on it. It does not wait for long:
// meanwhile lane holds the lease, and another process may have its broker.
func (b *Bus) newTerm(ctx context.Context, sub bus.Subscription) (lane.Stream, error) {
	soon, cancel := context.WithTimeout(ctx, termPatience)
	defer cancel()
	conn, ok := b.consume.await(soon)
	if !ok {
		return nil, unavailable("consume "+sub.Name, b.consume.why())
	}
	t, err := handOver(ctx, b, func() (*term, error) { return b.attach(conn, sub) },
		func(t *term) { _ = t.Close(b.life) }) // or the broker would serve nobody
	if err != nil {
		return nil, unavailable("consume "+sub.Name, err)
	}
	b.mu.Lock()
	b.terms[sub.Name] = t
	b.mu.Unlock()
	return t, nil
}

// handOver gives what open makes by talking to the broker, which knows no
// context. When ctx ends first, what is made too late is dropped.
func handOver[T any](ctx context.Context, b *Bus, open func() (T, error), drop func(T)) (T, error) {
	type opened struct {
		x   T
		err error
	}
	result := make(chan opened)
	b.work.Go(func() {
		x, err := open()
		select {
		case result <- opened{x, err}:
		case <-ctx.Done():
			if err == nil {
				drop(x)
			}
		}
	})
	select {
	case r := <-result:
		return r.x, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (b *Bus) attach(conn *amqp.Connection, sub bus.Subscription) (*term, error) {
	if err := b.apply(conn, []bus.Subscription{sub}); err != nil {
		return nil, err
	}
	events, err := b.consumeFrom(conn, b.queue(sub.Name), window(sub))
	if err != nil {
		return nil, err
	}
	moved, err := b.consumeFrom(conn, b.queue(sub.Name)+deadSuffix, movedWindow)
	if err != nil {
		_ = events.close(b.life)
		return nil, err
	}
	return &term{b: b, sub: sub, events: events, moved: moved}, nil
}

// Run implements lane.Stream.
func (t *term) Run(ctx context.Context, d *lane.Dispatcher) error {
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case m, ok := <-t.events.deliveries:
			if !ok {
				return t.events.why()
			}
			x, unseen := t.b.judge(t.sub, m)
			err = t.events.offer(ctx, d, x, unseen)
		case m, ok := <-t.moved.deliveries:
			if !ok {
				return t.moved.why()
			}
			err = t.moved.offer(ctx, d, moved(m), false)
		}
		if err != nil {
			return err
		}
	}
}

// Settle implements lane.Stream. What is Returned stays unacknowledged: the
// channel's close gives it back.
func (t *term) Settle(x lane.Delivery, v lane.Verdict) {
	if v != lane.Done {
		return
	}
	if x.Ref&refMoved != 0 {
		t.moved.acks.done(x.Ref &^ refMoved)
	} else {
		t.events.acks.done(x.Ref)
	}
}

// Close implements lane.Stream. The subscription is not cancelled before its
// channel closes: the broker would let the next consumer begin beside us.
func (t *term) Close(ctx context.Context) error {
	t.b.mu.Lock()
	if t.b.terms[t.sub.Name] == t {
		delete(t.b.terms, t.sub.Name)
	}
	t.b.mu.Unlock()
	return errors.Join(t.moved.close(ctx), t.events.close(ctx))
}
