package bustest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
)

var (
	errDown    = fault.New(fault.Unavailable, "teste-fora-do-ar", fault.Text{PT: "fora do ar", EN: "down"})
	errInvalid = fault.New(fault.Invalid, "teste-invalido", fault.Text{PT: "inválido", EN: "invalid"})
)

func competing(t *testing.T, e *env) {
	b := e.open()
	r := NewRecorder() // shared: overlaps across consumers show
	sub := bus.Subscription{Name: "teste.dupla", Types: []string{TypeA}, MaxInFlight: 4, Handler: r.Handle(nil)}
	first := e.subscribe(b, sub)
	second := e.subscribe(b, sub)
	events := e.series(TypeA, 20, 30)
	e.publish(b, events[:200]...)
	r.AwaitDone(t, 50)
	drained := make(chan error, 1)
	go func() { drained <- first.Drain(e.ctx) }()
	e.publish(b, events[200:400]...)
	r.AwaitDone(t, 250)
	if err := <-drained; err != nil {
		t.Fatalf("drain: %v", err)
	}
	third := e.subscribe(e.open(), sub) // another bus on the same storage, as another process would
	e.drain(second)
	e.publish(b, events[400:]...)
	r.AwaitDone(t, len(events))
	r.CheckOrder(t)
	e.drain(third)
}

func orderUnderFailures(t *testing.T, e *env) {
	b := e.open()
	r := NewRecorder()
	e.subscribe(b, bus.Subscription{Name: "teste.ordem", Types: []string{TypeA}, MaxInFlight: 8, Backoff: time.Millisecond,
		Handler: r.Handle(func(_ context.Context, ev bus.Event, try int) error {
			h := fnv.New32()
			_, _ = h.Write([]byte(ev.Subject + ev.Sequence))
			if try <= int(h.Sum32()%3) { // a third succeeds at once, a third on the second try, a third on the third
				if h.Sum32()%2 == 0 {
					return errDown
				}
				return errors.New("unforeseen")
			}
			return nil
		})})
	events := e.series(TypeA, 10, 20)
	for i := 0; i < len(events); i += 20 {
		e.publish(b, events[i:i+20]...)
	}
	r.AwaitDone(t, len(events))
	r.CheckOrder(t)
	for s, got := range r.bySubj {
		if len(got) != 20 {
			t.Errorf("subject %s: %d events, want 20", s, len(got))
		}
	}
	e.deadLetters(b, "teste.ordem", 0)
}

func waitingSubject(t *testing.T, e *env) {
	b := e.open()
	r := NewRecorder()
	healed := make(chan struct{})
	e.subscribe(b, bus.Subscription{Name: "teste.espera", Types: []string{TypeA}, MaxInFlight: 4, Backoff: 50 * time.Millisecond,
		Handler: r.Handle(func(_ context.Context, ev bus.Event, _ int) error {
			if ev.Subject == "doente" && Number(ev) == 1 {
				select {
				case <-healed:
				default:
					return errDown
				}
			}
			return nil
		})})
	for i := 1; i <= 40; i++ {
		e.publish(b, e.event(TypeA, "doente", i))
	}
	e.publish(b, e.series(TypeA, 20, 50)...)
	r.AwaitDone(t, 1000)
	if n, _ := r.Done(); n != 1000 {
		t.Errorf("%d events handled while one subject waits, want 1000", n)
	}
	for i := 41; i <= 50; i++ {
		e.publish(b, e.event(TypeA, "doente", i))
	}
	close(healed)
	r.AwaitDone(t, 1050)
	r.CheckOrder(t)
}

func poison(t *testing.T, e *env) {
	b := e.open()
	r := NewRecorder()
	e.subscribe(b, bus.Subscription{Name: "teste.veneno", Types: []string{TypeA}, MaxAttempts: 3, Backoff: time.Millisecond,
		Handler: r.Handle(func(_ context.Context, ev bus.Event, _ int) error {
			if ev.Subject == "s1" && Number(ev) == 2 {
				return errors.New("cannot digest this")
			}
			return nil
		})})
	events := e.series(TypeA, 3, 5)
	e.publish(b, events...)
	r.AwaitDone(t, 14)
	r.CheckOrder(t)
	dead := e.deadLetters(b, "teste.veneno", 1)[0]
	if dead.Subscription != "teste.veneno" || dead.Event.Subject != "s1" || Number(dead.Event) != 2 {
		t.Errorf("wrong event parked: %+v", dead)
	}
	if dead.Reason != "cannot digest this" || dead.Kind != "internal" || dead.Attempts != 3 || time.Since(dead.ParkedAt).Abs() > time.Minute {
		t.Errorf("wrong circumstances: reason %q, kind %q, %d attempts, parked at %s", dead.Reason, dead.Kind, dead.Attempts, dead.ParkedAt)
	}
	if again := e.deadLetters(b, "teste.veneno", 1); again[0].Event.ID != dead.Event.ID {
		t.Errorf("looking at dead letters changed them: %+v", again)
	}
	if other, err := b.DeadLetters(e.ctx, "teste.outra", 10); err == nil && len(other) > 0 {
		t.Errorf("another subscription has dead letters: %+v", other)
	}
}

func hopeless(t *testing.T, e *env) {
	kinds := []fault.Kind{fault.Malformed, fault.Invalid, fault.NotFound, fault.Forbidden, fault.Unauthenticated}
	b := e.open()
	r := NewRecorder()
	e.subscribe(b, bus.Subscription{Name: "teste.perdido", Types: []string{TypeA}, MaxAttempts: 5, MaxInFlight: 1,
		Handler: r.Handle(func(_ context.Context, ev bus.Event, _ int) error {
			if n := Number(ev); n < len(kinds) {
				return fault.New(kinds[n], "teste-perdido", fault.Text{EN: "hopeless"})
			}
			return nil
		})})
	for n := range len(kinds) + 1 {
		e.publish(b, e.event(TypeA, "s", n))
	}
	r.AwaitDone(t, 1)
	for i, d := range e.deadLetters(b, "teste.perdido", len(kinds)) {
		if d.Kind != kinds[i].String() || d.Attempts != 1 || Number(d.Event) != i {
			t.Errorf("dead letter %d: kind %s, %d attempts, event %d; want %s, 1, %d", i, d.Kind, d.Attempts, Number(d.Event), kinds[i], i)
		}
	}
	if some, err := b.DeadLetters(e.ctx, "teste.perdido", 2); err != nil || len(some) != 2 || Number(some[0].Event) != 0 {
		t.Errorf("the oldest two: %+v, %v", some, err)
	}
}

func transient(t *testing.T, e *env) {
	const failures = 9 // far more than MaxAttempts
	b := e.open()
	r := NewRecorder()
	e.subscribe(b, bus.Subscription{Name: "teste.teima", Types: []string{TypeA}, MaxAttempts: 2, Backoff: time.Millisecond,
		Handler: r.Handle(func(_ context.Context, ev bus.Event, try int) error {
			if try <= failures {
				return []error{errDown, context.DeadlineExceeded, fault.New(fault.Exhausted, "teste-demais", fault.Text{})}[try%3]
			}
			return nil
		})})
	ev := e.event(TypeA, "s", 1)
	start := time.Now()
	e.publish(b, ev)
	r.AwaitDone(t, 1)
	if r.tries[ev.ID] != failures+1 {
		t.Errorf("%d tries, want %d", r.tries[ev.ID], failures+1)
	}
	if took, least := time.Since(start), 3*(1<<failures-1)*time.Millisecond/4; took < least {
		t.Errorf("took %s: the pauses do not double (at least %s)", took, least)
	}
	e.deadLetters(b, "teste.teima", 0)
}

func panicking(t *testing.T, e *env) {
	b := e.open()
	r := NewRecorder()
	e.subscribe(b, bus.Subscription{Name: "teste.panico", Types: []string{TypeA}, MaxAttempts: 2, Backoff: time.Millisecond,
		Handler: r.Handle(func(_ context.Context, ev bus.Event, try int) error {
			if Number(ev) == 1 || try == 1 {
				panic("boom")
			}
			return nil
		})})
	e.publish(b, e.event(TypeA, "s", 1), e.event(TypeA, "s", 2))
	r.AwaitDone(t, 1)
	if d := e.deadLetters(b, "teste.panico", 1)[0]; d.Reason != "panic: boom" || d.Kind != "internal" || d.Attempts != 2 {
		t.Errorf("%+v", d)
	}
}

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
	for i := range 20 {
		var events []bus.Event
		for k := range 100 {
			events = append(events, e.event(TypeA, fmt.Sprintf("s%d", i*100+k), 1))
		}
		e.publish(b, events...) // a slow consumer does not hold up publishers
	}
	r.await(t, "three handlers", func() bool { return r.running == 3 })
	close(gate)
	r.AwaitDone(t, 2000)
	if r.peak != 3 {
		t.Errorf("%d handlers at a time, want 3", r.peak)
	}
}
