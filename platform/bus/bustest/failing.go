package bustest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
	"trama/platform/parking"
)

func deadLetter(t *testing.T, e *env) {
	b := e.open()
	r := NewRecorder()
	var healed atomic.Bool
	sub := bus.Subscription{Name: "teste.veneno", Types: []string{TypeA}, MaxAttempts: 3, Backoff: time.Millisecond,
		Handler: r.Handle(func(_ context.Context, ev bus.Event, _ int) error {
			if ev.Subject == "s1" && Number(ev) == 2 && !healed.Load() {
				return errors.New("cannot digest this")
			}
			return nil
		})}
	e.subscribe(b, sub)
	e.publish(b, e.series(TypeA, 3, 5)...)
	r.AwaitDone(t, 11)
	dead := e.dead(sub.Name, 1)[0]
	letter, err := e.lot.Get(e.ctx, sub.Name, dead.ID)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := bus.Decode(letter.Body)
	if err != nil || ev.Subject != "s1" || Number(ev) != 2 || letter.ID != ev.ID || letter.Subject != "s1" || letter.Type != TypeA {
		t.Errorf("wrong event parked: %+v, %v", letter, err)
	}
	if dead.LastKind != "internal" || dead.LastError != "cannot digest this" || letter.Tries != 3 || len(letter.History) != 3 ||
		time.Since(letter.ParkedAt).Abs() > time.Minute {
		t.Errorf("wrong circumstances: %+v", letter)
	}
	e.letters(parking.Filter{Subscription: sub.Name, Subject: "s1"}, 4)
	e.publish(b, e.event(TypeA, "s1", 6), e.event(TypeA, "s2", 6))
	r.AwaitDone(t, 12)
	e.letters(parking.Filter{Subscription: sub.Name, Subject: "s1"}, 5)
	healed.Store(true)
	e.retry(sub.Name, 1)
	r.AwaitDone(t, 17)
	e.letters(parking.Filter{Subscription: sub.Name}, 0)
	e.publish(b, e.event(TypeA, "s1", 7)) // the subject is free again
	r.AwaitDone(t, 18)
	r.CheckOrder(t)
	e.checkOnce(r)
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
		e.publish(b, e.event(TypeA, fmt.Sprint("s", n), n))
	}
	r.AwaitDone(t, 1)
	for _, d := range e.dead("teste.perdido", len(kinds)) { // of different subjects, so in any order
		var i int
		if _, err := fmt.Sscanf(d.Subject, "s%d", &i); err != nil || i >= len(kinds) {
			t.Fatalf("a dead letter of subject %s: %v", d.Subject, err)
		}
		if d.LastKind != kinds[i].String() || d.LastCode != "teste-perdido" || d.Tries != 1 {
			t.Errorf("dead letter of %s: kind %s, code %s, %d tries; want %s, 1", d.Subject, d.LastKind, d.LastCode, d.Tries, kinds[i])
		}
	}
}

func transient(t *testing.T, e *env) {
	const failures = 9 // far more than MaxAttempts
	b := e.open()
	r := NewRecorder()
	e.subscribe(b, bus.Subscription{Name: "teste.teima", Types: []string{TypeA}, MaxAttempts: 2, Backoff: time.Millisecond,
		Handler: r.Handle(func(_ context.Context, _ bus.Event, try int) error {
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
	if took, least := time.Since(start), (1<<failures-1)*time.Millisecond/2; took < least {
		t.Errorf("took %s: the pauses do not double (at least %s)", took, least)
	}
	e.letters(parking.Filter{Subscription: "teste.teima"}, 0)
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
	e.publish(b, e.event(TypeA, "s", 1), e.event(TypeA, "t", 2))
	r.AwaitDone(t, 1)
	if d := e.dead("teste.panico", 1)[0]; d.LastError != "panic: boom" || d.LastKind != "internal" || d.Tries != 2 || d.Subject != "s" {
		t.Errorf("%+v", d)
	}
}

// A message that is no event is parked with the reason; the consumer lives on.
func brokenMessages(t *testing.T, e *env) {
	if e.raw == nil {
		t.Skip("the driver's test gives no way to store such a message (see Raw)")
	}
	b := e.open()
	r := NewRecorder()
	sub := bus.Subscription{Name: "teste.quebrado", Types: []string{TypeA}, Handler: r.Handle(nil)}
	e.subscribe(b, sub)
	unknown := e.event("br.trama.teste.Desconhecido.v9", "s", 1)
	bare := e.event(TypeA, "s", 1)
	bare.Subject = ""
	bodies := []string{`{"specversion":"1.0","id":`, `not even JSON`, text(t, bare), text(t, unknown)}
	for _, body := range bodies {
		e.raw(t, b, sub.Name, TypeA, []byte(body))
	}
	e.publish(b, e.event(TypeA, "s", 2))
	r.AwaitDone(t, 1)
	kept := map[string]bool{}
	for _, d := range e.dead(sub.Name, len(bodies)) {
		letter, err := e.lot.Get(e.ctx, sub.Name, d.ID)
		if err != nil {
			t.Fatal(err)
		}
		kept[string(letter.Body)] = true
		if d.LastKind != "malformed" || d.LastError == "" || !strings.HasPrefix(d.Subject, "mensagem-") || d.Subject != d.ID {
			t.Errorf("%+v", d)
		}
	}
	for _, body := range bodies {
		if !kept[body] {
			t.Errorf("not kept as it came: %s", body)
		}
	}
	if n, _ := r.Done(); n != 1 {
		t.Errorf("%d events handled, want the good one", n)
	}
}

func text(t *testing.T, ev bus.Event) string {
	t.Helper()
	body, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
