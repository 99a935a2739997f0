package amqpbus

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
	"trama/platform/bus/lane"
)

// A delivery's Ref is its tag, with this bit when it came from the .dlq.
const refMoved = 1 << 63

// judge turns a message of the queue into a delivery. unseen: it is of a former
// type, and of no interest.
func (b *Bus) judge(sub bus.Subscription, m amqp.Delivery) (x lane.Delivery, unseen bool) {
	x = lane.Delivery{Ref: m.DeliveryTag, Body: m.Body}
	switch {
	case m.Exchange != "" && m.Exchange != b.exchange():
		x.Bad = fmt.Errorf("it came through exchange %q, not %s", m.Exchange, b.exchange())
	case len(m.Body) > bus.MaxEventBytes:
		x.Bad = fmt.Errorf("it has %d bytes, more than %d", len(m.Body), bus.MaxEventBytes)
	case !acceptable(m.ContentType):
		x.Bad = fmt.Errorf("its content type is %q", m.ContentType)
	default:
		x.Event, x.Bad = bus.Decode(m.Body)
		switch {
		case x.Bad != nil || slices.Contains(sub.Types, x.Event.Type):
		case slices.Contains(sub.Former, x.Event.Type):
			return x, true
		default:
			x.Bad = unknown(sub.Types, x.Event.Type)
		}
	}
	return x, false
}

// acceptable: none, or JSON as CloudEvents or plain.
func acceptable(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "", eventType, "application/json":
		return true
	}
	return false
}

// unknown says what is wrong with a type, and names the version that is known.
func unknown(types []string, typ string) error {
	if name, _, ok := cutVersion(typ); ok {
		for _, t := range types {
			if known, version, ok := cutVersion(t); ok && known == name {
				return fmt.Errorf("type %s is another version than the %s that is known here", typ, version)
			}
		}
	}
	return fmt.Errorf("type %q is unknown here", typ)
}

// cutVersion splits "x.y.v2" into "x.y" and "v2".
func cutVersion(typ string) (name, version string, ok bool) {
	i := strings.LastIndexByte(typ, '.')
	if i < 0 || len(typ) < i+3 || typ[i+1] != 'v' || strings.Trim(typ[i+2:], "0123456789") != "" {
		return typ, "", false
	}
	return typ[:i], typ[i+1:], true
}

// moved turns a message of the .dlq into a dead letter: an event, perhaps, that
// will not be handled by itself any more.
func moved(m amqp.Delivery) lane.Delivery {
	x := lane.Delivery{Ref: m.DeliveryTag | refMoved, Body: m.Body, Bad: whyMoved(m.Headers)}
	if e, err := bus.Decode(m.Body); err == nil {
		x.Event = e
	}
	return x
}

// whyMoved reads the reason from what an earlier version of this package wrote,
// or else from the broker's own account.
func whyMoved(headers amqp.Table) error {
	if reason := text(headers, "x-trama-reason"); reason != "" {
		attempts, _ := headers["x-trama-attempts"].(int64)
		return fmt.Errorf("given up by an earlier version after %d attempts (%s): %s", attempts, text(headers, "x-trama-kind"), reason)
	}
	var reason string
	if deaths, _ := headers["x-death"].([]any); len(deaths) > 0 {
		first, _ := deaths[0].(amqp.Table)
		reason = text(first, "reason")
	}
	switch reason {
	case "":
		return errors.New("found in the broker's dead letters, without a reason")
	case "delivery_limit":
		reason += " (returned too often: lost connections, or it kills its process)"
	}
	return fmt.Errorf("moved by the broker: %s", reason)
}

func text(t amqp.Table, key string) string {
	s, _ := t[key].(string)
	return s
}
