package amqpbus

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
)

// never is a delivery limit of dead letters: looking at them counts as a
// delivery, and no look may drop them. (Not -1: 3.x refuses it.)
const never = 1_000_000_000

const deadSuffix = ".dlq"

func (b *Bus) exchange() string                 { return b.opt.Prefix + ".events" }
func (b *Bus) queue(subscription string) string { return b.opt.Prefix + "." + subscription }

func check(s bus.Subscription) error {
	if strings.HasSuffix(s.Name, deadSuffix) || s.Name == "events" {
		return bus.ErrSubscription.Wrap(fmt.Errorf("name %q is taken", s.Name))
	}
	return s.Check()
}

func sameTypes(a, b bus.Subscription) bool {
	x, y := slices.Clone(a.Types), slices.Clone(b.Types)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(slices.Compact(x), slices.Compact(y))
}

// apply declares exchange, queues and bindings. Repeating it changes nothing.
func (b *Bus) apply(conn *amqp.Connection, subs []bus.Subscription) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	if err := ch.ExchangeDeclare(b.exchange(), amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return fmt.Errorf("exchange %s: %w", b.exchange(), err)
	}
	for _, s := range subs {
		q := b.queue(s.Name)
		// The .dlq first: from the moment the queue exists it may need it.
		if err := b.declareQueue(conn, q+deadSuffix, amqp.Table{
			amqp.QueueTypeArg:  amqp.QueueTypeQuorum,
			"x-delivery-limit": int32(never),
		}); err != nil {
			return err
		}
		if err := b.declareQueue(conn, q, amqp.Table{
			amqp.QueueTypeArg:           amqp.QueueTypeQuorum,
			"x-single-active-consumer":  true,
			"x-delivery-limit":          int32(b.opt.DeliveryLimit),
			"x-dead-letter-exchange":    "",
			"x-dead-letter-routing-key": q + deadSuffix,
			"x-dead-letter-strategy":    "at-least-once",
			"x-overflow":                "reject-publish", // at-least-once asks for it
		}); err != nil {
			return err
		}
		for _, t := range s.Types {
			if err := ch.QueueBind(q, t, b.exchange(), false, nil); err != nil {
				return fmt.Errorf("bind %s to %s: %w", q, t, err)
			}
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
	again, err := conn.Channel()
	if err != nil {
		return err
	}
	defer again.Close()
	if _, err := again.QueueDeclarePassive(name, true, false, false, false, nil); err != nil {
		return fmt.Errorf("queue %s: %w", name, err)
	}
	return nil
}
