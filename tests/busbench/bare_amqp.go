package main

import (
	"context"
	"errors"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
)

// watermillID is the header in which Watermill looks for a message's UUID.
const watermillID = "_watermill_message_uuid"

// bareAMQP is amqp091-go in plain loops: a channel per producer, all of a batch
// sent before the first confirm is awaited; one consuming channel, an
// acknowledgement per event.
type bareAMQP struct {
	b       *bench
	effects *bareEffects
	batch   bool
	out, in *amqp.Connection
	mu      sync.Mutex
	chs     map[int]*amqp.Channel
	stop    context.CancelFunc
	work    sync.WaitGroup
}

func openBareAMQP(batch bool) func(context.Context, *bench) (side, error) {
	return func(ctx context.Context, b *bench) (side, error) {
		effects, err := openBareEffects(ctx, b)
		if err != nil {
			return nil, err
		}
		return newBareAMQP(b, effects, batch)
	}
}

func newBareAMQP(b *bench, effects *bareEffects, batch bool) (*bareAMQP, error) {
	a := &bareAMQP{b: b, effects: effects, batch: batch, chs: map[int]*amqp.Channel{}, stop: func() {}}
	var err error
	if a.out, err = amqp.Dial(b.amqpURL); err != nil {
		return nil, err
	}
	b.later(func() { _ = a.out.Close() })
	b.dropAtEnd(b.name, b.name)
	ch, err := a.out.Channel()
	if err != nil {
		return nil, err
	}
	defer ch.Close()
	return a, errors.Join(
		ch.ExchangeDeclare(b.name, amqp.ExchangeTopic, true, false, false, false, nil),
		quorumQueue(ch, b.name),
		ch.QueueBind(b.name, eventType, b.name, false, nil))
}

func quorumQueue(ch *amqp.Channel, name string) error {
	_, err := ch.QueueDeclare(name, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum})
	return err
}

func (a *bareAMQP) channel(producer int) (*amqp.Channel, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ch := a.chs[producer]; ch != nil {
		return ch, nil
	}
	ch, err := a.out.Channel()
	if err != nil {
		return nil, err
	}
	a.chs[producer] = ch
	return ch, ch.Confirm(false)
}

func (a *bareAMQP) publish(ctx context.Context, producer int, events []bus.Event) error {
	ch, err := a.channel(producer)
	if err != nil {
		return err
	}
	confirms := make([]*amqp.DeferredConfirmation, len(events))
	for i, e := range events {
		confirms[i], err = ch.PublishWithDeferredConfirm(a.b.name, eventType, true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, MessageId: e.ID, Headers: amqp.Table{watermillID: e.ID}, Body: a.b.body})
		if err != nil {
			return err
		}
	}
	for _, c := range confirms {
		if ok, err := c.WaitContext(ctx); err != nil || !ok {
			return errors.Join(errors.New("not confirmed"), err)
		}
	}
	return nil
}

func (a *bareAMQP) consume(ctx context.Context, done func(ids ...string)) error {
	var err error
	if a.in, err = amqp.Dial(a.b.amqpURL); err != nil {
		return err
	}
	a.b.later(func() { _ = a.in.Close() })
	ch, err := a.in.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(16*parallel, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.Consume(a.b.name, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	ctx, a.stop = context.WithCancel(ctx)
	pumped := make(chan amqp.Delivery, 16*parallel) // the client's channel has no buffer, so no batch would be seen in it
	go func() {
		defer close(pumped)
		for d := range deliveries {
			pumped <- d // never waits: the prefetch is no larger
		}
	}()
	workers, most := parallel, 1
	if a.batch {
		workers, most = 4, batchSize
	}
	for range workers {
		a.work.Go(func() {
			for a.handle(ctx, pumped, most, done) == nil {
			}
		})
	}
	return nil
}

// handle takes up to most deliveries that are there, in one transaction.
func (a *bareAMQP) handle(ctx context.Context, deliveries <-chan amqp.Delivery, most int, done func(ids ...string)) error {
	var list []amqp.Delivery
	select {
	case d, ok := <-deliveries:
		if !ok {
			return errors.New("closed")
		}
		list = append(list, d)
	case <-ctx.Done():
		return ctx.Err()
	}
	for len(list) < most {
		select {
		case d, ok := <-deliveries:
			if ok {
				list = append(list, d)
				continue
			}
		default:
		}
		break
	}
	ids, subjects := make([]string, len(list)), make([]string, len(list))
	for i, d := range list {
		ids[i], subjects[i] = d.MessageId, "aluno"
	}
	var err error
	if a.batch {
		err = a.effects.all(ctx, ids, subjects)
	} else {
		err = a.effects.one(ctx, ids[0], subjects[0])
	}
	if err != nil {
		if ctx.Err() == nil {
			a.b.log.Error("bare handler", "error", err)
		}
		return err
	}
	done(ids...)
	for _, d := range list {
		if err := d.Ack(false); err != nil {
			return err
		}
	}
	return nil
}

func (a *bareAMQP) close() {
	a.stop()
	a.work.Wait()
}
