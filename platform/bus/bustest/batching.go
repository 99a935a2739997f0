package bustest

import (
	"context"
	"sync/atomic"
	"testing"

	"trama/platform/bus"
	"trama/platform/parking"
)

// Several events in one call, as one transaction would handle them: all or none.
func batches(t *testing.T, e *env) {
	const most = 20
	b := e.open()
	r := NewRecorder()
	var healed, several atomic.Bool
	sub := bus.Subscription{Name: "teste.lote", Types: []string{TypeA}, MaxInFlight: 2, MaxBatch: most,
		Batch: func(_ context.Context, events []bus.Event) (err error) {
			seen := map[string]bool{}
			for _, ev := range events {
				if ev.Subject == "s3" && Number(ev) == 7 && !healed.Load() {
					err = errInvalid
				}
				if seen[ev.ID] {
					t.Errorf("event %s twice in a batch", ev.ID)
				}
				seen[ev.ID] = true
			}
			if len(events) > most {
				t.Errorf("%d events in a batch, want at most %d", len(events), most)
			}
			if len(events) > 1 {
				several.Store(true)
			}
			for _, ev := range events { // one after the other: they are one piece of work
				r.enter(ev)
				r.leave(ev, err == nil)
			}
			return err
		}}
	e.declare(b, sub)
	e.publish(b, e.series(TypeA, 10, 30)...)
	e.subscribe(b, sub)
	r.AwaitDone(t, 276) // all but s3 from its seventh
	e.letters(parking.Filter{Subscription: sub.Name, Subject: "s3"}, 24)
	if !several.Load() {
		t.Error("every batch had one event only")
	}
	if d := e.dead(sub.Name, 1)[0]; d.Tries != 1 || d.LastCode != "teste-invalido" {
		t.Errorf("%+v", d)
	}
	healed.Store(true)
	e.retry(sub.Name, 1)
	r.AwaitDone(t, 300)
	r.CheckOrder(t)
	e.checkOnce(r)
	e.letters(parking.Filter{Subscription: sub.Name}, 0)
}
