package amqpbus_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
	"trama/platform/bus/amqpbus"
	"trama/platform/bus/bustest"
)

// Messages that the subscription cannot take become dead letters with the
// reason, and the events around them flow.
func TestUnacceptableMessages(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil)
	r := bustest.NewRecorder()
	sub := bus.Subscription{Name: "teste.estranho", Types: []string{bustest.TypeA}, Handler: r.Handle(nil)}
	if err := b.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	publish(t, b, event(bustest.TypeA, "s", 1))
	ch := p.channel()
	foreign := p.prefix + ".estrangeira"
	if err := ch.ExchangeDeclare(foreign, amqp.ExchangeFanout, false, true, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(p.queue(sub.Name), "", foreign, false, nil); err != nil {
		t.Fatal(err)
	}
	good := func(n int) string { return encoded(t, event(bustest.TypeA, "x", n)) }
	newer := event(strings.TrimSuffix(bustest.TypeA, "1")+"2", "x", 5)
	cases := []struct{ exchange, contentType, body, reason string }{
		{"", "", `{"id":`, "unexpected end of JSON"},
		{"", "application/json", `{"specversion":"1.0","id":"x","source":"/x","type":"t"}`, "subject is missing"},
		{"", "", "\xff\x00 not text", "invalid character"},
		{"", "", ``, "unexpected end of JSON"},
		{"", "text/plain", good(1), `content type is "text/plain"`},
		{"", "", encoded(t, event(bustest.TypeB, "x", 2)), "is unknown here"},
		{"", eventType, encoded(t, newer), "another version than the v1"},
		{"", eventType, good(3) + strings.Repeat(" ", bus.MaxEventBytes), "more than 1048576"},
		{foreign, eventType, good(4), "came through exchange"},
	}
	for _, c := range cases {
		if err := ch.Publish(c.exchange, p.queue(sub.Name), c.exchange == "", false,
			amqp.Publishing{ContentType: c.contentType, Body: []byte(c.body)}); err != nil {
			t.Fatal(err)
		}
	}
	// Plain JSON, whatever its charset, is taken.
	if err := ch.Publish("", p.queue(sub.Name), true, false, amqp.Publishing{
		ContentType: "Application/JSON; charset=utf-8", Body: []byte(encoded(t, event(bustest.TypeA, "s", 2)))}); err != nil {
		t.Fatal(err)
	}
	subscribe(t, b, sub)
	r.AwaitDone(t, 2)
	r.CheckOrder(t)
	letters := p.awaitLetters(sub.Name, len(cases))
	for _, c := range cases {
		l := find(t, letters, c.body)
		if l.State != bus.Dead || len(l.History) != 1 || !strings.Contains(l.History[0].Error, c.reason) {
			t.Errorf("letter %+v of %.80q, want a dead one with %q", l.History, c.body, c.reason)
		}
	}
	if n, err := b.Backlog(t.Context(), sub.Name); err != nil || n != 0 {
		t.Errorf("backlog %d, %v", n, err)
	}
}

const eventType = "application/cloudevents+json"

func encoded(t *testing.T, e bus.Event) string {
	t.Helper()
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func find(t *testing.T, letters []bus.Letter, body string) bus.Letter {
	t.Helper()
	for _, l := range letters {
		if string(l.Body) == body {
			return l
		}
	}
	t.Errorf("no letter holds %.80q", body)
	return bus.Letter{}
}

// The broker moves an event that came back too often, as one does that kills its
// process; it becomes a dead letter that says so.
func TestDeliveryLimit(t *testing.T) {
	p := newPlace(t)
	limit := func(o *amqpbus.Options) { o.DeliveryLimit = 2 }
	entered := make(chan struct{})
	sub := bus.Subscription{Name: "teste.limite", Types: []string{bustest.TypeA},
		Handler: func(ctx context.Context, _ bus.Event) error {
			entered <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}}
	b := p.open(limit)
	if err := b.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	e := event(bustest.TypeA, "s", 1)
	publish(t, b, e)
	for range 3 { // as three processes that die
		dying := p.open(limit)
		subscribe(t, dying, sub)
		<-entered
		if err := dying.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r := bustest.NewRecorder()
	sub.Handler = r.Handle(nil)
	c := subscribe(t, b, sub)
	l := p.awaitLetters(sub.Name, 1)[0]
	if l.State != bus.Dead || string(l.Body) != encoded(t, e) || l.Type != e.Type ||
		!strings.Contains(l.History[0].Error, "moved by the broker: delivery_limit") {
		t.Errorf("letter %+v", l)
	}
	if n, _ := r.Done(); n != 0 {
		t.Error("it was handled nevertheless")
	}
	emptied(t, p, b, sub, c)
}

// Dead letters that an earlier version left at the broker move to the parking,
// each with its reason.
func TestDeadLettersOfAnEarlierVersion(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil)
	sub := bus.Subscription{Name: "teste.legado", Types: []string{bustest.TypeA}, Handler: bustest.NewRecorder().Handle(nil)}
	if err := b.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	ch, dlq := p.channel(), p.queue(sub.Name)+".dlq"
	body := encoded(t, event(bustest.TypeA, "s", 1))
	for body, headers := range map[string]amqp.Table{
		body:    {"x-trama-reason": "no such course", "x-trama-kind": "not_found", "x-trama-attempts": int64(3)},
		`{"not`: {"x-trama-reason": "unexpected end", "x-trama-kind": "malformed", "x-trama-attempts": int64(1)},
		`lost`:  nil,
	} {
		if err := ch.Publish("", dlq, true, false, amqp.Publishing{Headers: headers, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	c := subscribe(t, b, sub)
	letters := p.awaitLetters(sub.Name, 3)
	for body, reason := range map[string]string{body: "after 3 attempts (not_found): no such course", `{"not`: "unexpected end", `lost`: "without a reason"} {
		if l := find(t, letters, body); l.State != bus.Dead || !strings.Contains(l.History[0].Error, reason) {
			t.Errorf("letter %+v, want a reason with %q", l, reason)
		}
	}
	emptied(t, p, b, sub, c)
}

// emptied drains the consumer and looks whether the queue is empty then. (What
// was acknowledged just before may have come back; another term takes it.)
func emptied(t *testing.T, p *place, b bus.Bus, sub bus.Subscription, c bus.Consumer) {
	t.Helper()
	ch := p.channel()
	bustest.Eventually(t, "the .dlq is empty", func() bool {
		if err := c.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		q, err := ch.QueueDeclarePassive(p.queue(sub.Name)+".dlq", true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if q.Messages > 0 {
			c = subscribe(t, b, sub)
		}
		return q.Messages == 0
	})
}
