package amqpbus

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
	"trama/platform/fault"
)

var (
	errClosed  = errors.New("the bus is closed")
	errBlocked = errors.New("the broker takes no messages (resource alarm)")
)

// eventType is the content type of an encoded event.
const eventType = "application/cloudevents+json"

// Publish implements bus.Publisher.
func (b *Bus) Publish(ctx context.Context, events ...bus.Event) error {
	if len(events) == 0 {
		return nil
	}
	out := make([]outgoing, 0, 2*len(events))
	for _, e := range events {
		body, err := bus.Encode(e)
		if err != nil {
			return err
		}
		msg := amqp.Publishing{ContentType: eventType, DeliveryMode: amqp.Persistent,
			MessageId: e.ID, Type: e.Type, Timestamp: e.Time, Body: body}
		out = append(out, outgoing{exchange: b.exchange(), key: e.Type, msg: msg})
		if !b.opt.LogOff {
			out = append(out, outgoing{key: b.logQueue(), msg: msg, strict: true})
		}
	}
	if err := ctx.Err(); err != nil {
		return waited(err)
	}
	s, err := b.ready()
	if err != nil {
		return err
	}
	if err := s.send(ctx, out); err != nil {
		return err
	}
	b.opt.Crash.At("bus.published")
	return nil
}

// ready gives the session to publish through, or why there is none.
func (b *Bus) ready() (*session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, unavailable("publish", errClosed)
	case !b.declared:
		return nil, unavailable("publish", errors.New("no subscription was declared yet: the event could reach nobody"))
	case b.session == nil:
		return nil, unavailable("publish", b.publish.why())
	case len(b.pending) > 0:
		return nil, unavailable("publish", errors.New("the queues of declared subscriptions are not there yet"))
	case b.session.blocked.Load():
		return nil, unavailable("publish", errBlocked)
	}
	return b.session, nil
}

func unavailable(what string, err error) error {
	return fmt.Errorf("amqpbus: %s: %w", what, bus.ErrUnavailable.Wrap(err))
}

// waited turns a caller's impatience into a fault.
func waited(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("amqpbus: publish: %w", fault.As(err))
	}
	return unavailable("publish", err)
}

// bounded runs f, which talks to the broker and knows no context, and stops
// waiting for it when ctx ends. f ends by itself when the connection does.
func bounded(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
