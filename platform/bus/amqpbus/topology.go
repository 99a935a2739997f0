package amqpbus

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
)

// never is a delivery limit of the .dlq: returning from there must not drop
// anything. (Not -1: 3.x refuses it.)
const never = 1_000_000_000

const (
	deadSuffix = ".dlq"
	logName    = "log"
)

func (b *Bus) exchange() string                 { return b.opt.Prefix + ".events" }
func (b *Bus) queue(subscription string) string { return b.opt.Prefix + "." + subscription }

func (b *Bus) logQueue() string { return b.opt.Prefix + "." + logName }

func check(s bus.Subscription) error {
	if strings.HasSuffix(s.Name, deadSuffix) || s.Name == "events" || s.Name == logName {
		return bus.ErrSubscription.Wrap(fmt.Errorf("name %q is taken", s.Name))
	}
	return s.Check()
}

// sameTypes says whether two declarations of a subscription mean the same topology.
func sameTypes(a, b bus.Subscription) bool {
	same := func(x, y []string) bool {
		x, y = slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y))
		return slices.Equal(slices.Compact(x), slices.Compact(y))
	}
	return same(a.Types, b.Types) && same(a.Former, b.Former)
}

// apply declares exchange, log, queues and bindings. Repeating it changes nothing.
func (b *Bus) apply(conn *amqp.Connection, subs []bus.Subscription) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	if err := ch.ExchangeDeclare(b.exchange(), amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return fmt.Errorf("exchange %s: %w", b.exchange(), err)
	}
	if err := b.declareLog(conn); err != nil {
		return err
	}
	for _, s := range subs {
		if err := b.declareQueues(conn, b.queue(s.Name)); err != nil {
			return err
		}
		if err := b.bind(ch, s); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bus) declareLog(conn *amqp.Connection) error {
	if b.opt.LogOff {
		return nil
	}
	args := amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeStream}
	if b.opt.LogMaxBytes > 0 {
		args[amqp.StreamMaxLenBytesArg] = b.opt.LogMaxBytes
	}
	if b.opt.LogMaxAge > 0 {
		args[amqp.StreamMaxAgeArg] = fmt.Sprintf("%ds", max(1, int64(b.opt.LogMaxAge/time.Second)))
	}
	return b.declareQueue(conn, b.logQueue(), args)
}

func (b *Bus) declareQueues(conn *amqp.Connection, q string) error {
	// The .dlq first: from the moment the queue exists it may need it.
	if err := b.declareQueue(conn, q+deadSuffix, amqp.Table{
		amqp.QueueTypeArg:  amqp.QueueTypeQuorum,
		"x-delivery-limit": int32(never),
	}); err != nil {
		return err
	}
	return b.declareQueue(conn, q, amqp.Table{
		amqp.QueueTypeArg:            amqp.QueueTypeQuorum,
		amqp.SingleActiveConsumerArg: true,
		"x-delivery-limit":           int32(b.opt.DeliveryLimit),
		"x-dead-letter-exchange":     "",
		"x-dead-letter-routing-key":  q + deadSuffix,
		"x-dead-letter-strategy":     "at-least-once",
		amqp.QueueOverflowArg:        amqp.QueueOverflowRejectPublish, // at-least-once asks for it
	})
}

func (b *Bus) bind(ch *amqp.Channel, s bus.Subscription) error {
	q := b.queue(s.Name)
	for _, t := range s.Types {
		if err := ch.QueueBind(q, t, b.exchange(), false, nil); err != nil {
			return fmt.Errorf("bind %s to %s: %w", q, t, err)
		}
	}
	for _, t := range s.Former {
		if slices.Contains(s.Types, t) {
			continue
		}
		if err := ch.QueueUnbind(q, t, b.exchange(), nil); err != nil {
			return fmt.Errorf("unbind %s from %s: %w", q, t, err)
		}
	}
	return nil
}

// declareQueue uses a channel of its own, since a refusal closes it.
func (b *Bus) declareQueue(conn *amqp.Connection, name string, args amqp.Table) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	_, err = ch.QueueDeclare(name, true, false, false, false, args)
	var refused *amqp.Error
	if !errors.As(err, &refused) || refused.Code != amqp.PreconditionFailed {
		if err != nil {
			return fmt.Errorf("queue %s: %w", name, err)
		}
		return nil
	}
	b.log.Warn("event bus: a queue exists with other arguments and is used as it is", "queue", name, "error", refused.Reason)
	if _, err := inspect(conn, name); err != nil {
		return fmt.Errorf("queue %s: %w", name, err)
	}
	return nil
}

// inspect asks for a queue that exists. It uses a channel of its own, since a
// refusal closes it.
func inspect(conn *amqp.Connection, name string) (amqp.Queue, error) {
	ch, err := conn.Channel()
	if err != nil {
		return amqp.Queue{}, err
	}
	defer ch.Close()
	return ch.QueueDeclarePassive(name, true, false, false, false, nil)
}
