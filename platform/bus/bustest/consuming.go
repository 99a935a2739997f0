package bustest

import (
	"context"
	"errors"
	"hash/fnv"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
	"trama/platform/parking"
)

var (
	errDown    = fault.New(fault.Unavailable, "teste-fora-do-ar", fault.Text{PT: "fora do ar", EN: "down"})
	errInvalid = fault.New(fault.Invalid, "teste-invalido", fault.Text{PT: "inválido", EN: "invalid"})
)

// Of several consumers of one name one works; when it ends, another takes over.
func takingOver(t *testing.T, e *env) {
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
	e.checkOnce(r)
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
	e.letters(parking.Filter{Subscription: "teste.ordem"}, 0)
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
