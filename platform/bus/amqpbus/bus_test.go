package amqpbus_test

import (
	"context"
	"errors"
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
		return func() bus.Bus {
			b := p.open(nil)
			if err := b.Declare(t.Context()); err != nil { // the suite also publishes without any subscription
				t.Fatal(err)
			}
			return b
		}
	}, bustest.MayRepeat, bustest.Raw(func(t *testing.T, b bus.Bus, subscription, _ string, body []byte) {
		p := b.(*noting).p
		if err := p.channel().Publish("", p.queue(subscription), true, false, amqp.Publishing{Body: body}); err != nil {
			t.Fatal(err)
		}
	}))
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

// A type that the subscription has given up is not sent to it any more, and what
// is there of it already is acknowledged unseen.
func TestFormerTypeIsSkipped(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil)
	r := bustest.NewRecorder()
	sub := bus.Subscription{Name: "teste.antes", Types: []string{bustest.TypeA, bustest.TypeB}, Handler: r.Handle(nil)}
	if err := b.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	publish(t, b, event(bustest.TypeB, "s", 1), event(bustest.TypeA, "s", 2))
	sub.Types, sub.Former = sub.Types[:1], sub.Types[1:]
	if err := b.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	publish(t, b, event(bustest.TypeB, "s", 3))
	if n, err := b.Backlog(t.Context(), sub.Name); err != nil || n != 2 {
		t.Errorf("backlog %d, %v; want 2: the queue is still bound by its former type", n, err)
	}
	c := subscribe(t, b, sub)
	r.AwaitDone(t, 1)
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Backlog(t.Context(), sub.Name); err != nil || n != 0 {
		t.Errorf("backlog %d, %v; want 0", n, err)
	}
	if n, _ := r.Done(); n != 1 {
		t.Errorf("%d events handled, want 1", n)
	}
	p.awaitLetters(sub.Name, 0)
}

// Subscribing asks for the work and for the place to park in.
func TestSubscribeNeedsHandlerAndParking(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil).(*noting).Bus
	sub := bus.Subscription{Name: "teste.falta", Types: []string{bustest.TypeA}, Parking: p.lot}
	if _, err := b.Subscribe(t.Context(), sub); !errors.Is(err, bus.ErrSubscription) {
		t.Errorf("without a handler: %v", err)
	}
	sub.Handler, sub.Parking = func(context.Context, bus.Event) error { return nil }, nil
	if _, err := b.Subscribe(t.Context(), sub); !errors.Is(err, bus.ErrSubscription) {
		t.Errorf("without a parking: %v", err)
	}
	for _, name := range []string{"events", "log", "x.dlq"} {
		if err := b.Declare(t.Context(), bus.Subscription{Name: name, Types: sub.Types}); !errors.Is(err, bus.ErrSubscription) {
			t.Errorf("name %s: %v", name, err)
		}
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

// The backlog counts what waits at the broker and what is in hand here.
func TestBacklog(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil)
	backlog := func(name string) int64 {
		n, err := b.Backlog(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := backlog("teste.ninguem"); n != 0 {
		t.Errorf("of a subscription that does not exist: %d", n)
	}
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	sub := bus.Subscription{Name: "teste.fila", Types: []string{bustest.TypeA}, MaxInFlight: 1,
		Handler: func(context.Context, bus.Event) error { entered <- struct{}{}; <-leave; return nil }}
	if err := b.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		publish(t, b, event(bustest.TypeA, "s", n))
	}
	if n := backlog(sub.Name); n != 10 {
		t.Errorf("before anybody consumes: %d, want 10", n)
	}
	c := subscribe(t, b, sub)
	<-entered
	bustest.Eventually(t, "ten in hand", func() bool { return backlog(sub.Name) == 10 })
	close(leave)
	bustest.Eventually(t, "nothing left", func() bool { return backlog(sub.Name) == 0 })
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := backlog(sub.Name); n != 0 {
		t.Errorf("after the drain: %d", n)
	}
}

// The broker closes a consumer's channel, as it does for an acknowledgement that
// makes no sense and after consumer_timeout: a new term begins, nothing is lost.
func TestTermBeginsAgain(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil)
	r := bustest.NewRecorder()
	entered, leave := make(chan struct{}), make(chan struct{})
	sub := bus.Subscription{Name: "teste.mandato", Types: []string{bustest.TypeA},
		Handler: r.Handle(func(_ context.Context, e bus.Event, try int) error {
			if bustest.Number(e) == 1 && try == 1 {
				close(entered)
				<-leave
			}
			return nil
		})}
	subscribe(t, b, sub)
	publish(t, b, event(bustest.TypeA, "s", 1), event(bustest.TypeA, "s", 2))
	<-entered
	if err := amqpbus.BreakAck(b.(*noting).Bus, sub.Name); err != nil {
		t.Fatal(err)
	}
	close(leave)
	r.AwaitDone(t, 2)
	r.CheckOrder(t)
}

// An operator deletes the queue under its consumer: the next term makes it anew.
func TestQueueDeletedUnderItsConsumer(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil)
	r := bustest.NewRecorder()
	sub := bus.Subscription{Name: "teste.apagada", Types: []string{bustest.TypeA}, Handler: r.Handle(nil)}
	subscribe(t, b, sub)
	ch := p.channel()
	bustest.Eventually(t, "it consumes", func() bool {
		q, err := ch.QueueDeclarePassive(p.queue(sub.Name), true, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		return q.Consumers == 1
	})
	if _, err := ch.QueueDelete(p.queue(sub.Name), false, false, false); err != nil {
		t.Fatal(err)
	}
	e := event(bustest.TypeA, "s", 1)
	bustest.Eventually(t, "publish works", func() bool { return b.Publish(t.Context(), e) == nil })
	r.AwaitDone(t, 1)
}

// Two processes share a subscription; when the one that works loses its broker
// for good, the other goes on though the first still lives.
func TestAnotherProcessTakesOver(t *testing.T) {
	p := newPlace(t)
	x := newProxy(p)
	r := bustest.NewRecorder()
	sub := bus.Subscription{Name: "teste.rodizio", Types: []string{bustest.TypeA}, Handler: r.Handle(nil)}
	first := p.open(through(x))
	subscribe(t, first, sub)
	second := p.open(nil)
	if err := second.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	publish(t, second, event(bustest.TypeA, "s", 1))
	r.AwaitDone(t, 1)
	subscribe(t, second, sub)
	publish(t, second, event(bustest.TypeA, "s", 2))
	r.AwaitDone(t, 2)
	x.setDown(true)
	for n := 3; n <= 20; n++ {
		publish(t, second, event(bustest.TypeA, "s", n))
	}
	r.AwaitDone(t, 20)
	r.CheckOrder(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := first.Ping(ctx); err == nil {
		t.Error("the first process has its broker: the test proves nothing")
	}
}
