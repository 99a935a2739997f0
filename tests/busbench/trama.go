package main

import (
	"context"

	"trama/platform/bus"
	"trama/platform/bus/amqpbus"
	"trama/platform/bus/pgbus"
	"trama/platform/bus/sqlitebus"
)

// How our handlers work.
const (
	oneByOne     = iota // Box.Once
	inBatches           // Box.OnceAll
	emptyHandler        // nothing
)

// ours is one of our buses, with default settings.
type ours struct {
	bus      bus.Bus
	effects  *effects
	handler  int
	consumer bus.Consumer
}

func openAMQPBus(log, batch bool) func(context.Context, *bench) (side, error) {
	return func(ctx context.Context, b *bench) (side, error) {
		x, err := amqpbus.Open(ctx, amqpbus.Options{URL: b.amqpURL, Prefix: b.name, Logger: b.log, LogOff: !log})
		if err != nil {
			return nil, err
		}
		q := b.name + "." + subscription
		b.dropAtEnd(b.name+".events", q, q+".dlq", b.name+".log")
		return ourSide(ctx, b, x, handlerOf(batch))
	}
}

func openPGBus(batch bool) func(context.Context, *bench) (side, error) {
	return func(ctx context.Context, b *bench) (side, error) {
		x, err := pgbus.Open(pgbus.Options{URL: b.pgURL, Logger: b.log})
		if err != nil {
			return nil, err
		}
		return ourSide(ctx, b, x, handlerOf(batch))
	}
}

func openSQLiteBus(handler int) func(context.Context, *bench) (side, error) {
	return func(ctx context.Context, b *bench) (side, error) {
		x, err := sqlitebus.Open(ctx, sqlitebus.Options{Dir: b.path("bus"), Logger: b.log})
		if err != nil {
			return nil, err
		}
		return ourSide(ctx, b, x, handler)
	}
}

func handlerOf(batch bool) int {
	if batch {
		return inBatches
	}
	return oneByOne
}

func ourSide(ctx context.Context, b *bench, x bus.Bus, handler int) (side, error) {
	o := &ours{bus: x, effects: b.effects, handler: handler}
	err := x.Declare(ctx, bus.Subscription{Name: subscription, Types: []string{eventType}})
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

func (o *ours) publish(ctx context.Context, _ int, events []bus.Event) error {
	return o.bus.Publish(ctx, events...)
}

func (o *ours) consume(ctx context.Context, done func(ids ...string)) (err error) {
	s := bus.Subscription{Name: subscription, Types: []string{eventType}, MaxInFlight: parallel, MaxBatch: batchSize, Parking: o.effects.parking()}
	switch o.handler {
	case inBatches:
		s.Batch = func(ctx context.Context, events []bus.Event) error {
			if err := o.effects.all(ctx, events); err != nil {
				return err
			}
			ids := make([]string, len(events))
			for i, e := range events {
				ids[i] = e.ID
			}
			done(ids...)
			return nil
		}
	case oneByOne:
		s.Handler = func(ctx context.Context, e bus.Event) error {
			if err := o.effects.one(ctx, e); err != nil {
				return err
			}
			done(e.ID)
			return nil
		}
	default:
		s.Handler = func(_ context.Context, e bus.Event) error {
			done(e.ID)
			return nil
		}
	}
	o.consumer, err = o.bus.Subscribe(ctx, s)
	return err
}

func (o *ours) close() {
	if o.consumer != nil {
		_ = o.consumer.Drain(context.Background())
	}
	_ = o.bus.Close()
}
