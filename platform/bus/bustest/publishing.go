package bustest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
)

func keptUntilConsumed(t *testing.T, e *env) {
	sub := bus.Subscription{Name: "teste.guarda", Types: []string{TypeA}}
	b := e.open()
	e.declare(b, sub)
	e.publish(b, e.series(TypeA, 3, 5)...)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = e.open()
	e.declare(b, sub) // again: idempotent
	r := NewRecorder()
	sub.Handler = r.Handle(nil)
	e.subscribe(b, sub)
	r.AwaitDone(t, 15)
	r.CheckOrder(t)
}

func fidelity(t *testing.T, e *env) {
	b := e.open()
	got := make(chan bus.Event, 1)
	e.subscribe(b, bus.Subscription{Name: "teste.copia", Types: []string{TypeA}, Handler: func(_ context.Context, ev bus.Event) error {
		got <- ev
		return nil
	}})
	sent := e.event(TypeA, "aluno-ção/42", 7)
	sent.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	sent.DataSchema = "/eventos/" + TypeA
	sent.Data = json.RawMessage(`{"texto":"ação <b>&\u0000😀","valor":"1299.00","lista":[1,2.5e10,null],"vazio":{}}`)
	e.publish(b, sent)
	select {
	case ev := <-got:
		if ev.Data, sent.Data = compact(t, ev.Data), compact(t, sent.Data); !reflect.DeepEqual(ev, sent) {
			t.Errorf("got  %+v\nsent %+v", ev, sent)
		}
	case <-time.After(Patience):
		t.Fatal("not delivered")
	}
}

// compact gives equal texts for equal JSON.
func compact(t *testing.T, data []byte) json.RawMessage {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("data is not JSON: %v", err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func largeEvent(t *testing.T, e *env) {
	b := e.open()
	r := NewRecorder()
	var size int
	e.subscribe(b, bus.Subscription{Name: "teste.grande", Types: []string{TypeA},
		Handler: r.Handle(func(_ context.Context, ev bus.Event, _ int) error {
			size = len(ev.Data)
			return nil
		})})
	big := e.event(TypeA, "s", 1)
	big.Data = json.RawMessage(`"` + strings.Repeat("x", bus.MaxEventBytes-2048) + `"`)
	e.publish(b, big)
	r.AwaitDone(t, 1)
	if size != len(big.Data) {
		t.Errorf("%d bytes arrived, want %d", size, len(big.Data))
	}
}

func malformedRefused(t *testing.T, e *env) {
	b := e.open()
	e.declare(b, bus.Subscription{Name: "teste.recusa", Types: []string{TypeA}})
	for name, spoil := range map[string]func(*bus.Event){
		"no id": func(e *bus.Event) { e.ID = "" }, "no type": func(e *bus.Event) { e.Type = "" },
		"no subject": func(e *bus.Event) { e.Subject = "" }, "no source": func(e *bus.Event) { e.Source = "" },
		"no version": func(e *bus.Event) { e.SpecVersion = "" }, "no time": func(e *bus.Event) { e.Time = time.Time{} },
		"no data": func(e *bus.Event) { e.Data = nil }, "broken data": func(e *bus.Event) { e.Data = json.RawMessage(`{"a":`) },
		"too large": func(e *bus.Event) {
			e.Data = json.RawMessage(`"` + strings.Repeat("x", bus.MaxEventBytes) + `"`)
		},
	} {
		ev := e.event(TypeA, "s", 1)
		spoil(&ev)
		if err := b.Publish(e.ctx, ev); err == nil || fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v, want Malformed", name, err)
		}
	}
	if err := b.Publish(e.ctx); err != nil {
		t.Errorf("publishing nothing: %v", err)
	}
}

func repeatHarmless(t *testing.T, e *env) {
	b := e.open()
	r := NewRecorder()
	e.subscribe(b, bus.Subscription{Name: "teste.repete", Types: []string{TypeA}, Handler: r.Handle(nil)})
	events := e.series(TypeA, 2, 10)
	e.publish(b, events...)
	e.publish(b, events[5:]...)
	e.publish(b, events...)
	e.publish(b, e.event(TypeA, "s0", 11), e.event(TypeA, "s1", 11))
	r.AwaitDone(t, 22)
	r.CheckOrder(t) // of first successes: a repetition never runs ahead
	e.checkOnce(r)
}

func publishRefused(t *testing.T, e *env) {
	b := e.open()
	e.declare(b, bus.Subscription{Name: "teste.fim", Types: []string{TypeA}})
	if err := b.Ping(e.ctx); err != nil {
		t.Errorf("ping: %v", err)
	}
	ended, cancel := context.WithCancel(e.ctx)
	cancel()
	if err := b.Publish(ended, e.event(TypeA, "s", 1)); err == nil || !fault.KindOf(err).Transient() {
		t.Errorf("with an ended context: %v, want a transient fault", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(e.ctx, e.event(TypeA, "s", 1)); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("after Close: %v, want Unavailable", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func manyEvents(t *testing.T, e *env) {
	const publishers, batches, size = 16, 25, 5
	b := e.open()
	r := NewRecorder()
	e.subscribe(b, bus.Subscription{Name: "teste.muitos", Types: []string{TypeA}, Handler: r.Handle(nil)})
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for batch := range batches {
				var events []bus.Event
				for i := range size { // five subjects of its own for each publisher
					events = append(events, e.event(TypeA, fmt.Sprintf("p%d-%d", p, i%5), batch*size+i))
				}
				if err := b.Publish(e.ctx, events...); err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		})
	}
	wg.Wait()
	r.AwaitDone(t, publishers*batches*size)
	r.CheckOrder(t)
}

func onlyItsTypes(t *testing.T, e *env) {
	b := e.open()
	all, onlyB, again := NewRecorder(), NewRecorder(), NewRecorder()
	e.subscribe(b, bus.Subscription{Name: "teste.todos", Types: []string{TypeA, TypeB}, Handler: all.Handle(nil)})
	e.subscribe(b, bus.Subscription{Name: "teste.um", Types: []string{TypeB}, Handler: onlyB.Handle(nil)})
	e.subscribe(b, bus.Subscription{Name: "teste.tambem", Types: []string{TypeB}, Handler: again.Handle(nil)})
	for i := 1; i <= 20; i++ {
		e.publish(b, e.event(TypeA, "s", 2*i-1), e.event(TypeB, "s", 2*i))
	}
	e.publish(b, e.event("br.trama.teste.NinguemQuer.v1", "s", 1)) // nobody's: accepted all the same
	all.AwaitDone(t, 40)
	onlyB.AwaitDone(t, 20)
	again.AwaitDone(t, 20)
	for _, r := range []*Recorder{all, onlyB, again} {
		r.CheckOrder(t)
	}
	if n, _ := onlyB.Done(); n != 20 {
		t.Errorf("a subscription of one type got %d events, want 20", n)
	}
}

func invalidSubscription(t *testing.T, e *env) {
	b := e.open()
	ok := func(context.Context, bus.Event) error { return nil }
	for name, s := range map[string]bus.Subscription{
		"no name":     {Types: []string{TypeA}, Handler: ok},
		"path":        {Name: "../x", Types: []string{TypeA}, Handler: ok},
		"upper case":  {Name: "Teste", Types: []string{TypeA}, Handler: ok},
		"no types":    {Name: "teste.x", Handler: ok},
		"wildcard":    {Name: "teste.x", Types: []string{"br.#"}, Handler: ok},
		"no handler":  {Name: "teste.x", Types: []string{TypeA}},
		"empty type":  {Name: "teste.x", Types: []string{""}, Handler: ok},
		"long name":   {Name: strings.Repeat("x", 101), Types: []string{TypeA}, Handler: ok},
		"digit first": {Name: "1teste", Types: []string{TypeA}, Handler: ok},
	} {
		s.Parking = e.lot
		if _, err := b.Subscribe(e.ctx, s); err == nil || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
	if _, err := b.Subscribe(e.ctx, bus.Subscription{Name: "teste.x", Types: []string{TypeA}, Handler: ok}); err == nil || fault.KindOf(err) != fault.Invalid {
		t.Errorf("no parking: %v, want Invalid", err)
	}
}
