package amqpbus_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
	"trama/platform/bus/amqpbus"
	"trama/platform/bus/bustest"
	"trama/platform/fault"
)

func TestContract(t *testing.T) {
	bustest.Run(t, func(t *testing.T) func() bus.Bus {
		p := newPlace(t)
		return func() bus.Bus { return p.open(nil) }
	}, bustest.MayRepeat)
}

// Publish must not send into the void.
func TestUnroutableEvents(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil)
	e := event(bustest.TypeA, "s", 1)
	if err := b.Publish(t.Context(), e); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("before Declare: %v, want Unavailable", err)
	}
	if err := b.Declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), e); err != nil {
		t.Errorf("a system without subscriptions: %v", err)
	}
	r := bustest.NewRecorder()
	sub := bus.Subscription{Name: "teste.rota", Types: []string{bustest.TypeA}, Handler: r.Handle(nil)}
	if err := b.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	// An operator deletes the queue: the next event that is wanted finds out, the
	// topology is made anew, and publishing it again, as the relay does, arrives.
	if _, err := p.channel().QueueDelete(p.queue("teste.rota"), false, false, false); err != nil {
		t.Fatal(err)
	}
	other, wanted := event(bustest.TypeB, "s", 2), event(bustest.TypeA, "s", 3)
	if err := b.Publish(t.Context(), other); err != nil {
		t.Errorf("an event nobody wants: %v", err)
	}
	if err := b.Publish(t.Context(), other, wanted, other); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a wanted event without a queue: %v, want Unavailable", err)
	}
	bustest.Eventually(t, "publish works again", func() bool { return b.Publish(t.Context(), wanted) == nil })
	subscribe(t, b, sub)
	r.AwaitDone(t, 1)
}

// Messages of foreigners that are no events are parked with the reason, and the
// events around them flow.
func TestForeignMessagesAreParked(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil)
	r := bustest.NewRecorder()
	sub := bus.Subscription{Name: "teste.estranho", Types: []string{bustest.TypeA}, Handler: r.Handle(nil)}
	if err := b.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	publish(t, b, event(bustest.TypeA, "s", 1))
	ch := p.channel()
	bodies := []string{`{"id":`, `{"specversion":"1.0","id":"x","source":"/x","type":"t"}`, "\xff\x00 not text", ``}
	for i, body := range bodies {
		if err := ch.Publish("", p.queue(sub.Name), true, false, amqp.Publishing{MessageId: string(rune('a' + i)), Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, b, event(bustest.TypeA, "s", 2))
	subscribe(t, b, sub)
	r.AwaitDone(t, 2)
	r.CheckOrder(t)
	var dead []bus.DeadLetter
	bustest.Eventually(t, "the dead letters", func() (ok bool) {
		var err error
		dead, err = b.DeadLetters(t.Context(), sub.Name, 10)
		return err == nil && len(dead) == len(bodies)
	})
	for i, want := range []string{"unexpected end of JSON", "subject is missing", "invalid character", "unexpected end of JSON"} {
		if d := dead[i]; d.Kind != "malformed" || !strings.Contains(d.Reason, want) || d.Event.ID != string(rune('a'+i)) || d.ParkedAt.IsZero() {
			t.Errorf("dead letter %d: %+v, want a reason with %q", i, d, want)
		}
	}
	if string(dead[1].Event.Data) != bodies[1] {
		t.Errorf("the message is not shown: %s", dead[1].Event.Data)
	}
}

// An event of a type that the subscription has given up is acknowledged unseen.
func TestFormerTypeIsSkipped(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil)
	r := bustest.NewRecorder()
	sub := bus.Subscription{Name: "teste.antes", Types: []string{bustest.TypeA, bustest.TypeB}, Handler: r.Handle(nil)}
	if err := b.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	publish(t, b, event(bustest.TypeB, "s", 1), event(bustest.TypeA, "s", 2))
	sub.Types = sub.Types[:1]
	c := subscribe(t, b, sub)
	r.AwaitDone(t, 1)
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if q, err := p.channel().QueueDeclarePassive(p.queue(sub.Name), true, false, false, false, nil); err != nil || q.Messages != 0 {
		t.Errorf("%d messages left, %v", q.Messages, err)
	}
	if n, _ := r.Done(); n != 1 {
		t.Errorf("%d events handled, want 1", n)
	}
}

// The broker itself moves an event that came back too often, and DeadLetters
// says so.
func TestDeliveryLimit(t *testing.T) {
	p := newPlace(t)
	limit := func(o *amqpbus.Options) { o.DeliveryLimit = 2 }
	entered := make(chan struct{}, 1)
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
	bustest.Eventually(t, "the dead letter", func() bool {
		dead, err := b.DeadLetters(t.Context(), sub.Name, 10)
		return err == nil && len(dead) == 1 && dead[0].Event.ID == e.ID && strings.Contains(dead[0].Reason, "delivery_limit") &&
			time.Since(dead[0].ParkedAt).Abs() < time.Minute
	})
}

// An event held for long moves to a new channel, before the broker loses
// patience, and its attempts go with it.
func TestRecyclingKeepsAttempts(t *testing.T) {
	p := newPlace(t)
	b := p.open(func(o *amqpbus.Options) { o.RecycleAfter = 100 * time.Millisecond })
	var tries atomic.Int32
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.recicla", Types: []string{bustest.TypeA}, MaxAttempts: 3,
		Backoff: 300 * time.Millisecond, // so that every pause sees a new channel
		Handler: r.Handle(func(_ context.Context, e bus.Event, _ int) error {
			if bustest.Number(e) == 1 {
				tries.Add(1)
				return errors.New("no")
			}
			return nil
		})})
	publish(t, b, event(bustest.TypeA, "s", 1), event(bustest.TypeA, "s", 2))
	r.AwaitDone(t, 1)
	dead, err := b.DeadLetters(t.Context(), "teste.recicla", 10)
	// A channel that ends while the dead letter is on its way makes the event come
	// again, with its attempts anew.
	if err != nil || len(dead) != 1 || dead[0].Attempts != 3 || tries.Load()%3 != 0 {
		t.Errorf("%d tries, dead letters %+v, %v; want 3 tries and one dead letter", tries.Load(), dead, err)
	}
}

// A queue made with other arguments is used as it is.
func TestQueueWithOtherArguments(t *testing.T) {
	p := newPlace(t)
	name := "teste.velha"
	if _, err := p.channel().QueueDeclare(p.queue(name), true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum}); err != nil {
		t.Fatal(err)
	}
	b := p.open(nil)
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: name, Types: []string{bustest.TypeA}, Handler: r.Handle(nil)})
	publish(t, b, event(bustest.TypeA, "s", 1))
	r.AwaitDone(t, 1)
}

// Looking at dead letters, also at a part of them, changes neither their number
// nor their order.
func TestLookingAtDeadLettersChangesNothing(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil)
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.mira", Types: []string{bustest.TypeA}, MaxAttempts: 1, MaxInFlight: 1,
		Handler: r.Handle(func(_ context.Context, e bus.Event, _ int) error {
			if bustest.Number(e) < 10 {
				return errors.New("no")
			}
			return nil
		})})
	for n := 1; n <= 10; n++ {
		publish(t, b, event(bustest.TypeA, "s", n))
	}
	r.AwaitDone(t, 1)
	for _, limit := range []int{3, 5, 0, 1, 9} {
		dead, err := b.DeadLetters(t.Context(), "teste.mira", limit)
		if err != nil {
			t.Fatal(err)
		}
		if want := min(limit+9*(1-min(limit, 1)), 9); len(dead) != want {
			t.Errorf("limit %d: %d dead letters, want %d", limit, len(dead), want)
		}
		for i, d := range dead {
			if bustest.Number(d.Event) != i+1 {
				t.Errorf("limit %d: place %d holds event %d", limit, i, bustest.Number(d.Event))
			}
		}
	}
}
