package bustest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/parking"
)

func backPressure(t *testing.T, e *env) {
	b := e.open()
	r := NewRecorder()
	gate := make(chan struct{})
	e.subscribe(b, bus.Subscription{Name: "teste.lento", Types: []string{TypeA}, MaxInFlight: 3,
		Handler: r.Handle(func(ctx context.Context, _ bus.Event, _ int) error {
			select {
			case <-gate:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})})
	count := 20_000
	if testing.Short() {
		count = 2_000
	}
	for i := range count / 500 {
		var events []bus.Event
		for k := range 500 {
			events = append(events, e.event(TypeA, fmt.Sprintf("s%d", i*500+k), 1))
		}
		e.publish(b, events...) // a slow consumer does not hold up publishers
	}
	r.await(t, "three handlers", func() bool { return r.running == 3 })
	close(gate)
	r.AwaitDone(t, count)
	if r.peak != 3 {
		t.Errorf("%d handlers at a time, want 3", r.peak)
	}
}

func drainResumes(t *testing.T, e *env) {
	b := e.open()
	r := NewRecorder()
	entered, gate := make(chan struct{}, 100), make(chan struct{})
	sub := bus.Subscription{Name: "teste.para", Types: []string{TypeA}, MaxInFlight: 2,
		Handler: r.Handle(func(context.Context, bus.Event, int) error {
			entered <- struct{}{}
			<-gate
			return nil
		})}
	c := e.subscribe(b, sub)
	events := e.series(TypeA, 5, 20)
	e.publish(b, events...)
	<-entered
	<-entered // two are under way
	drained := make(chan error, 1)
	go func() { drained <- c.Drain(e.ctx) }()
	select {
	case err := <-drained:
		t.Fatalf("drain did not wait for the handlers: %v", err)
	case <-entered:
		t.Fatal("a draining consumer took something new")
	case <-time.After(100 * time.Millisecond): // nothing must happen, so there is no event to await
	}
	close(gate)
	if err := <-drained; err != nil {
		t.Fatalf("drain: %v", err)
	}
	if err := c.Drain(e.ctx); err != nil {
		t.Errorf("second drain: %v", err)
	}
	if n, _ := r.Done(); n != 2 {
		t.Errorf("%d events handled, want the 2 that were under way", n)
	}
	sub.Handler = r.Handle(nil)
	e.subscribe(b, sub)
	r.AwaitDone(t, len(events))
	r.CheckOrder(t)
	e.checkOnce(r)
}

func drainInterrupts(t *testing.T, e *env) {
	b := e.open()
	r := NewRecorder()
	entered := make(chan struct{}, 1)
	sub := bus.Subscription{Name: "teste.corta", Types: []string{TypeA}, MaxAttempts: 1,
		Handler: r.Handle(func(ctx context.Context, _ bus.Event, _ int) error {
			entered <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})}
	for i := range 3 { // more often than any limit of the driver may bear
		c := e.subscribe(b, sub)
		if i == 0 {
			e.publish(b, e.event(TypeA, "s", 1), e.event(TypeA, "s", 2))
		}
		<-entered
		short, cancel := context.WithTimeout(e.ctx, 10*time.Millisecond)
		if err := c.Drain(short); err != nil {
			t.Errorf("drain with handlers that obey: %v", err)
		}
		cancel()
	}
	sub.Handler = r.Handle(nil)
	e.subscribe(b, sub)
	r.AwaitDone(t, 2)
	r.CheckOrder(t)
	e.letters(parking.Filter{Subscription: "teste.corta"}, 0) // one attempt was allowed, and none was spent
}

func reopen(t *testing.T, e *env) {
	b := e.open()
	r := NewRecorder()
	sub := bus.Subscription{Name: "teste.volta", Types: []string{TypeA}, MaxInFlight: 4, Backoff: time.Millisecond, MaxBackoff: 100 * time.Millisecond}
	var up, valid atomic.Bool
	sub.Handler = r.Handle(func(_ context.Context, ev bus.Event, _ int) error {
		switch {
		case ev.Subject == "s3" && Number(ev) == 4 && !up.Load():
			return errDown
		case ev.Subject == "s5" && Number(ev) == 5 && !valid.Load():
			return errInvalid
		}
		return nil
	})
	c := e.subscribe(b, sub)
	e.publish(b, e.series(TypeA, 10, 10)...)
	r.AwaitDone(t, 87) // s3 waits from its fourth event, s5 from its fifth
	e.letters(parking.Filter{Subscription: sub.Name}, 13)
	e.drain(c)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = e.open()
	up.Store(true)
	e.declare(b, sub)
	e.publish(b, e.event(TypeA, "s3", 11), e.event(TypeA, "s5", 11))
	c = e.subscribe(b, sub)
	r.AwaitDone(t, 95)
	e.letters(parking.Filter{Subscription: sub.Name}, 7) // s5 is dead, with all behind it
	valid.Store(true)
	e.retry(sub.Name, 1)
	r.AwaitDone(t, 102)
	r.CheckOrder(t)
	e.drain(c)
	e.checkOnce(r)
	e.letters(parking.Filter{Subscription: sub.Name}, 0)
}
