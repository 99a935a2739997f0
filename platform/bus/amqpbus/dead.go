package amqpbus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
	"trama/platform/bus/lane"
)

// Headers of a dead letter.
const (
	headerSubscription = "x-trama-subscription"
	headerReason       = "x-trama-reason"
	headerKind         = "x-trama-kind"
	headerAttempts     = "x-trama-attempts"
	headerParkedAt     = "x-trama-parked-at" // RFC 3339
)

// How many dead letters, and bytes of them, are read at once.
const (
	deadRead  = 1000
	deadBytes = 64 << 20
)

// park moves a message to the .dlq and waits until it is safe there. False: the
// channel it came on has ended (it comes again) or Drain has lost patience.
func (c *consumer) park(at *attached, body []byte, id, typ string, out lane.Outcome) bool {
	q := c.b.queue(c.sub.Name) + deadSuffix
	msg := outgoing{key: q, strict: true, msg: amqp.Publishing{
		ContentType: "application/cloudevents+json", DeliveryMode: amqp.Persistent, MessageId: id, Type: typ, Body: body,
		Headers: amqp.Table{headerSubscription: c.sub.Name, headerReason: strings.ToValidUTF8(out.Reason, "?"),
			headerKind: out.Kind, headerAttempts: int64(out.Attempts),
			headerParkedAt: c.b.clock.Now().Format(time.RFC3339Nano)}}}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := c.b.send(at.life, msg)
		if err == nil {
			return true
		}
		if at.life.Err() != nil {
			return false
		}
		if pause == firstPause {
			c.log.Error("event bus: cannot park a dead letter; will go on trying", "subscription", c.sub.Name, "event", id, "error", err)
		}
		if c.b.clock.Wait(at.life, pause) != nil {
			return false
		}
	}
}

// DeadLetters implements bus.Bus. A limit of 0 or less means 100.
func (b *Bus) DeadLetters(ctx context.Context, subscription string, limit int) ([]bus.DeadLetter, error) {
	if limit <= 0 {
		limit = 100
	}
	b.mu.Lock()
	s := b.session
	b.mu.Unlock()
	if s == nil {
		return nil, unavailable("dead letters", b.publish.why())
	}
	var list []bus.DeadLetter
	err := bounded(ctx, func() (err error) {
		b.readingDead.Lock() // two readers would share the queue between them
		defer b.readingDead.Unlock()
		if ctx.Err() != nil { // nobody waits any more
			return ctx.Err()
		}
		list, err = b.readDead(s.conn, subscription)
		return err
	})
	if err != nil {
		return nil, unavailable("dead letters", err)
	}
	slices.SortStableFunc(list, func(x, y bus.DeadLetter) int { return x.ParkedAt.Compare(y.ParkedAt) })
	return list[:min(limit, len(list))], nil
}

// readDead reads the .dlq and puts everything back, in order.
func (b *Bus) readDead(conn *amqp.Connection, subscription string) ([]bus.DeadLetter, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	defer ch.Close()
	var list []bus.DeadLetter
	var tags []uint64
	seen := map[string]bool{}
	for bytes := 0; len(tags) < deadRead && bytes < deadBytes; {
		d, ok, err := ch.Get(b.queue(subscription)+deadSuffix, false)
		var refused *amqp.Error
		if errors.As(err, &refused) && refused.Code == amqp.NotFound {
			return nil, nil // no such subscription
		}
		if err != nil {
			return nil, err // the end of the channel puts everything back
		}
		if !ok {
			break
		}
		tags = append(tags, d.DeliveryTag)
		bytes += len(d.Body)
		if x := deadLetter(subscription, d); x.Event.ID == "" || !seen[x.Event.ID] {
			seen[x.Event.ID] = true
			list = append(list, x)
		}
	}
	for _, tag := range tags { // reject, never nack: since 4.3 the two count differently
		if err := ch.Reject(tag, true); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func deadLetter(subscription string, d amqp.Delivery) bus.DeadLetter {
	x := bus.DeadLetter{Subscription: subscription, Kind: text(d.Headers, headerKind), Reason: text(d.Headers, headerReason)}
	if n, ok := d.Headers[headerAttempts].(int64); ok {
		x.Attempts = int(n)
	}
	if at, err := time.Parse(time.RFC3339Nano, text(d.Headers, headerParkedAt)); err == nil {
		x.ParkedAt = at.UTC()
	}
	if x.Kind == "" { // the broker moved it
		brokerDeath(&x, d.Headers)
	}
	e, err := bus.Decode(d.Body)
	if err != nil { // no event: show what there is
		e = bus.Event{ID: d.MessageId, Type: cmp.Or(d.Type, d.RoutingKey), Data: asJSON(d.Body)}
	}
	x.Event = e
	return x
}

// brokerDeath reads the broker's own account of a dead letter.
func brokerDeath(x *bus.DeadLetter, headers amqp.Table) {
	x.Kind, x.Reason = "internal", "moved by the broker"
	deaths, _ := headers["x-death"].([]any)
	if len(deaths) == 0 {
		return
	}
	first, _ := deaths[0].(amqp.Table)
	if reason := text(first, "reason"); reason != "" {
		x.Reason = fmt.Sprintf("moved by the broker: %s (returned too often: lost connections, or it kills its process)", reason)
	}
	if at, ok := first["time"].(time.Time); ok {
		x.ParkedAt = at.UTC()
	}
	if n, ok := headers["x-delivery-count"].(int64); ok {
		x.Attempts = int(n)
	}
}

func text(t amqp.Table, key string) string {
	s, _ := t[key].(string)
	return s
}

// asJSON gives the message's text as the data of an event, cut at 4 KiB.
func asJSON(body []byte) json.RawMessage {
	if len(body) <= 4<<10 && json.Valid(body) {
		return slices.Clone(body)
	}
	out, err := json.Marshal(strings.ToValidUTF8(string(body[:min(len(body), 4<<10)]), "?"))
	if err != nil {
		return nil
	}
	return out
}
