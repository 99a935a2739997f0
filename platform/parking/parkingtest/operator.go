package parkingtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
	"trama/platform/parking"
)

// one is a filter of one letter.
func one(id string) parking.Filter { return parking.Filter{Subscription: sub, IDs: []string{id}} }

func (r *rig) retry(f parking.Filter, wantDone, wantLeft int) {
	r.Helper()
	done, left, err := r.lot.Retry(r.ctx, f, "ana", 0)
	r.must(err)
	if done != wantDone || left != wantLeft {
		r.Errorf("retry: %d done, %d left, want %d and %d", done, left, wantDone, wantLeft)
	}
}

func (r *rig) drop(f parking.Filter, wantDone int) {
	r.Helper()
	done, left, err := r.lot.Drop(r.ctx, f, "ana", "no use", 0)
	r.must(err)
	if done != wantDone || left != 0 {
		r.Errorf("drop: %d done, %d left, want %d and 0", done, left, wantDone)
	}
}

func retrying(r *rig) {
	r.queue("a", bus.Dead, 2)
	r.queue("w", bus.Waiting, 1)
	r.queue("other", bus.Dead, 0)
	r.later()
	r.retry(one("a-0"), 1, 0)
	r.wantFront("a", "a-0:waiting", "a-1:behind", "a-2:behind")
	same(r, "due", r.woken(), "a")
	e, err := r.lot.Get(r.ctx, sub, "a-0")
	r.must(err)
	if e.Tries != 0 || len(e.History) != 1 {
		r.Errorf("%d tries, %d attempts in the history; want 0 and 1", e.Tries, len(e.History))
	}
	r.retry(one("a-0"), 0, 0)
	r.retry(one("a-1"), 0, 0)
	r.retry(parking.Filter{Subscription: sub, Subject: "w"}, 1, 0) // need not wait any longer
	same(r, "due", r.woken(), "a", "w")
	same(r, "audit", r.acts(), "retry a-0", "retry w-0")
	r.wantFront("other", "other-0:dead")
}

// actDuringTry: a try that began before an act must not undo it.
func actDuringTry(r *rig) {
	r.queue("a", bus.Waiting, 0)
	held, err := r.lot.Front(r.ctx, sub, "a", 1)
	r.must(err)
	began := r.clock.Now()
	r.later()
	r.must(r.lot.Edit(r.ctx, sub, "a-0", eventWith("a-0", "a", "T", `{"n":1}`), "ana", "wrong n"))
	r.later()
	l := held[0]
	l.Note(bus.Attempt{At: began, Kind: "invalid", Code: "x", Error: "of the old body"})
	l.State, l.Due = bus.Dead, time.Time{}
	r.must(r.lot.Failed(r.ctx, sub, l))
	e, err := r.lot.Get(r.ctx, sub, "a-0")
	r.must(err)
	if e.State != bus.Waiting || e.Tries != 0 || len(e.History) != 2 {
		r.Errorf("the act was undone: %s, %d tries, %d attempts", e.State, e.Tries, len(e.History))
	}
	same(r, "due", r.woken(), "a")
	l = e.Letter
	l.Note(bus.Attempt{At: r.clock.Now(), Kind: "invalid", Code: "x", Error: "of the new body"})
	l.State = bus.Dead
	r.must(r.lot.Failed(r.ctx, sub, l))
	r.wantFront("a", "a-0:dead")
}

func editing(r *rig) {
	r.queue("a", bus.Dead, 1)
	r.later()
	body := eventWith("a-0", "a", "br.trama.teste.Fato.v2", `{"cpf":"secret"}`)
	for range 2 {
		r.must(r.lot.Edit(r.ctx, sub, "a-0", body, "ana", "typo"))
	}
	e, err := r.lot.Get(r.ctx, sub, "a-0")
	r.must(err)
	if !bytes.Equal(e.Body, body) || e.Type != "br.trama.teste.Fato.v2" || e.Tries != 0 || e.State != bus.Waiting || len(e.History) != 1 {
		r.Errorf("edited: %+v", e)
	}
	same(r, "due", r.woken(), "a")
	r.must(r.lot.Edit(r.ctx, sub, "a-1", eventWith("a-1", "a", "T", `{"n":2}`), "ana", ""))
	r.wantFront("a", "a-0:waiting", "a-1:behind")
	for _, c := range []struct {
		id, body string
		want     error
	}{
		{"a-0", "{", bus.ErrMalformed},
		{"a-0", `{"id":"a-0"}`, bus.ErrMalformed},
		{"a-0", string(event("b", "a")), parking.ErrOtherEvent},
		{"a-0", string(event("a-0", "b")), parking.ErrOtherEvent},
		{"none", string(event("none", "a")), parking.ErrNotFound},
	} {
		if err := r.lot.Edit(r.ctx, sub, c.id, []byte(c.body), "ana", ""); !errors.Is(err, c.want) {
			r.Errorf("edit of %s to %s: %v", c.id, c.body, err)
		}
	}
	r.must(r.lot.Done(r.ctx, sub, "a-0"))
	r.must(r.lot.Edit(r.ctx, sub, "a-0", body, "ana", "typo")) // the answer got lost, the letter is handled since
	if err := r.lot.Edit(r.ctx, sub, "a-0", event("a-0", "a"), "ana", ""); fault.KindOf(err) != fault.NotFound {
		r.Errorf("another edit of a letter that is gone: %v", err)
	}
	same(r, "audit", r.acts(), "edit a-0", "edit a-1")
	all, _, err := r.lot.Audit(r.ctx, parking.Filter{}, "", 1)
	r.must(err)
	if d := all[0].Detail; strings.Contains(d, "secret") || !strings.Contains(d, "sha256") || !strings.Contains(d, "typo") {
		r.Errorf("detail of the edit: %s", d)
	}
}

func editingNoEvent(r *rig) {
	r.park(bus.Letter{ID: "bad-1", Subject: "bad-1", State: bus.Dead, Body: []byte("no json")})
	body := event("e1", "s1")
	for range 2 {
		r.must(r.lot.Edit(r.ctx, sub, "bad-1", body, "ana", "mended"))
	}
	r.must(r.lot.Edit(r.ctx, sub, "bad-1", eventWith("e2", "s2", "T", `1`), "ana", "mended again"))
	r.wantFront("bad-1", "bad-1:waiting")
	r.drop(one("bad-1"), 1)
	if !r.Handled(r.T, sub, "e2") {
		r.Error("the event that the letter had become is not marked as handled")
	}
}

func dropping(r *rig) {
	r.queue("a", bus.Dead, 3)
	replayed := r.letter("r-0", "r", bus.Dead)
	replayed.Replay = "r7"
	r.park(replayed)
	r.later()
	r.drop(one("a-0"), 1)
	r.wantFront("a", "a-1:waiting", "a-2:behind", "a-3:behind")
	same(r, "due", r.woken(), "a")
	if !r.Handled(r.T, sub, "a-0") || r.Handled(r.T, sub, "a-1") {
		r.Error("what was dropped counts as handled, and nothing else")
	}
	r.drop(one("a-0"), 0)
	r.drop(one("a-2"), 1)
	r.wantFront("a", "a-1:waiting", "a-3:behind")
	r.drop(parking.Filter{Subscription: sub}, 3)
	r.wantFront("a")
	if !r.Handled(r.T, sub, "r-0#r7") || r.Handled(r.T, sub, "r-0") {
		r.Error("a letter of a replay is handled for that replay")
	}
	same(r, "audit", r.acts(), "drop a-0", "drop a-2", "drop a-1", "drop a-3", "drop r-0")
}

func holding(r *rig) {
	for range 2 { // asking again makes it last longer
		r.must(r.lot.Hold(r.ctx, sub, r.clock.Now().Add(3*time.Hour), "ana"))
	}
	_, held, err := r.lot.Woken(r.ctx, sub, r.clock.Now(), 10)
	r.must(err)
	all, err := r.lot.Counts(r.ctx)
	r.must(err)
	if !held || len(all) != 1 || !all[0].Held {
		r.Errorf("held %v, counts %v", held, all)
	}
	r.queue("a", bus.Waiting, 1) // parking does not release it
	r.clock.Jump(2 * time.Hour)
	some, held, err := r.lot.Woken(r.ctx, sub, r.clock.Now(), 10)
	r.must(err)
	if !held || len(some) != 1 {
		r.Errorf("held %v, due %v", held, some)
	}
	for range 2 {
		r.must(r.lot.Hold(r.ctx, sub, time.Time{}, "ana"))
	}
	_, held, err = r.lot.Woken(r.ctx, sub, r.clock.Now(), 10)
	r.must(err)
	equal(r, "held after the release", held, false)
	r.must(r.lot.Hold(r.ctx, sub, r.clock.Now().Add(time.Minute), "ana"))
	r.clock.Jump(2 * time.Minute) // who asked has died: the hold ends by itself
	_, held, err = r.lot.Woken(r.ctx, sub, r.clock.Now(), 10)
	r.must(err)
	equal(r, "held after its end", held, false)
	same(r, "audit", r.acts(), "hold ", "release ", "hold ")
}

func auditing(r *rig) {
	at := time.UnixMilli(5000).UTC()
	r.must(r.lot.Note(r.ctx, parking.Act{At: at, Who: "rui", Act: parking.ActExport, Subscription: "x", Detail: "3 letters"}))
	r.queue("a", bus.Dead, 0)
	r.retry(one("a-0"), 1, 0)
	for i := range 5 {
		r.must(r.lot.Note(r.ctx, parking.Act{Who: "rui", Act: parking.ActReplay, Subscription: sub, Detail: fmt.Sprint(i)}))
	}
	var all []parking.Act
	for after := ""; ; {
		some, next, err := r.lot.Audit(r.ctx, parking.Filter{}, after, 2)
		r.must(err)
		all = append(all, some...)
		if after = next; next == "" {
			break
		}
	}
	if len(all) != 7 {
		r.Fatalf("%d acts, want 7", len(all))
	}
	if a := all[0]; !a.At.Equal(at) || a.Who != "rui" || a.Act != "export" || a.Subscription != "x" || a.Detail != "3 letters" || a.ID == "" {
		r.Errorf("the first: %+v", a)
	}
	if a := all[1]; a.Who != "ana" || a.Letter != "a-0" || a.Subject != "a" || a.Type == "" || a.At.IsZero() {
		r.Errorf("the retry: %+v", a)
	}
	for _, c := range []struct {
		f    parking.Filter
		want int
	}{
		{parking.Filter{Subscription: sub}, 6}, {one("a-0"), 1}, {parking.Filter{To: at.Add(time.Millisecond)}, 1},
		{parking.Filter{To: at}, 0}, {parking.Filter{From: at.Add(time.Second)}, 6}, {parking.Filter{Subject: "a"}, 1},
	} {
		some, _, err := r.lot.Audit(r.ctx, c.f, "", 100)
		r.must(err)
		if len(some) != c.want {
			r.Errorf("%+v: %d acts, want %d", c.f, len(some), c.want)
		}
	}
}

// stopped says that the context ended, which is how helpers in goroutines stop.
func stopped(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
