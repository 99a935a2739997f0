package lane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
)

// While the Parking is down, what fails is tried again by its handler, uncounted,
// and the window bounds what is in hand; nothing is lost.
func TestParkingOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		h := newDeeds(func(context.Context, bus.Event, int) error {
			if down.Load() {
				return errors.New("the same store is down")
			}
			return nil
		})
		r := newRig(t, Config{Window: 20, Subscription: bus.Subscription{MaxAttempts: 2}}, h.handle)
		r.lot.failing(func(op string) error {
			if down.Load() && op != "lease" {
				return errDown
			}
			return nil
		})
		for n := range 10 {
			for s := range 10 {
				r.publish(delivery(fmt.Sprint("s", s), n))
			}
		}
		settle(0)
		if r.consumer.atWork.Load() != nil {
			t.Error("a term began without knowing what is blocked")
		}
		r.lot.failing(func(op string) error {
			if down.Load() && op != "lease" && op != "blocked" {
				return errDown
			}
			return nil
		})
		settle(10 * time.Minute)
		d, unlock := r.dispatcher()
		if d.held != 20 || d.blocked != 0 || r.refused == 0 {
			t.Errorf("%d in hand, want the window of 20; %d blocked", d.held, d.blocked)
		}
		unlock()
		if n := h.count("s0-0"); n < 100 {
			t.Errorf("%d tries in ten minutes, want one every five seconds", n)
		}
		if len(h.list()) != 0 || r.left() != 100 {
			t.Errorf("handled %v, %d left", h.list(), r.left())
		}
		down.Store(false)
		settle(time.Minute)
		checkEffects(t, h, 10, 10)
		if len(r.lot.all()) != 0 || r.left() != 0 {
			t.Errorf("parked %v, %d left", r.lot.ids(), r.left())
		}
	})
}

// Each call of the Parking fails once in a while its letters are worked.
func TestParkingFailsBetween(t *testing.T) {
	for _, op := range []string{"front", "failed", "done", "park", "woken"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newDeeds(func(_ context.Context, e bus.Event, try int) error {
					if e.ID == "a-0" && try < 4 {
						return errDown
					}
					return nil
				})
				r := newRig(t, Config{}, h.handle)
				r.publish(delivery("a", 0), delivery("a", 1))
				settle(0)
				failures := 0
				r.lot.failing(func(o string) error {
					if o == op && failures < 2 {
						failures++
						return errDown
					}
					return nil
				})
				r.publish(delivery("a", 2), delivery("b", 0), delivery("b", 1), delivery("b", 2))
				settle(time.Minute)
				checkEffects(t, h, 0, 0)
				equal(t, "subject a", only(h, "a"), []string{"a-0", "a-1", "a-2"})
				if failures != 2 || r.left() != 0 || len(r.lot.all()) != 0 {
					t.Errorf("%d failures, %d left, parked %v", failures, r.left(), r.lot.ids())
				}
			})
		})
	}
}

// only gives the effects on one subject.
func only(h *deeds, subject string) []string {
	return slices.DeleteFunc(h.list(), func(id string) bool { return id[:len(subject)] != subject })
}

// More letters than a page, and more that come while they are worked.
func TestManyLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var healed atomic.Bool
		h := newDeeds(func(_ context.Context, e bus.Event, _ int) error {
			if !healed.Load() {
				return errInvalid
			}
			time.Sleep(10 * time.Millisecond)
			return nil
		})
		r := newRig(t, Config{Window: 8}, h.handle)
		for n := range 100 {
			r.publish(delivery("s0", n))
		}
		settle(0)
		healed.Store(true)
		r.lot.retry()
		settle(time.Second)
		for n := range 50 {
			r.publish(delivery("s0", 100+n))
			settle(7 * time.Millisecond) // faster than they are handled
		}
		settle(2 * time.Minute)
		checkEffects(t, h, 1, 150)
		d, unlock := r.dispatcher()
		defer unlock()
		if len(d.lines) != 0 || len(r.lot.letters) != 0 {
			t.Errorf("%d lines and %d letters are left", len(d.lines), len(r.lot.letters))
		}
	})
}

// A replay parks letters of subjects that were free; they are found, and handled
// as what they are.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeeds(nil)
		r := newRig(t, Config{}, h.handle)
		r.publish(delivery("a", 1))
		settle(time.Second)
		r.publish(delivery("b", 1)) // apart: two subjects have no order between them
		settle(time.Second)
		l := bus.Letter{Subject: "a", State: bus.Behind, Replay: "r1"}
		for n := range 3 {
			l.ID = fmt.Sprint("replay", n)
			l.Body, _ = bus.Encode(event("a", n))
			if err := r.lot.Park(t.Context(), "", l); err != nil {
				t.Fatal(err)
			}
		}
		settle(4 * time.Second)
		equal(t, "handled", h.list(), []string{"a-1", "b-1", "a-0@r1", "a-1@r1", "a-2@r1"})
		if len(r.lot.all()) != 0 {
			t.Errorf("left: %v", r.lot.ids())
		}
	})
}

// More subjects than one answer tells of are due: all are worked, in portions.
func TestManyWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeeds(nil)
		r := newRig(t, Config{}, h.handle)
		settle(time.Second)
		l := bus.Letter{State: bus.Waiting}
		for n := range 1200 {
			e := event(fmt.Sprint("r", n), 1)
			l.ID, l.Subject = e.ID, e.Subject
			l.Body, _ = bus.Encode(e)
			_ = r.lot.Park(t.Context(), "", l) // never fails here
		}
		settle(4 * time.Second)
		if n := len(h.list()); n != 1200 {
			t.Errorf("%d handled, want 1200", n)
		}
	})
}

// A letter that is no event any more, after an edit, is dead again; one of a type
// that is not wanted any more is forgotten.
func TestEditedLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeeds(func(context.Context, bus.Event, int) error { return errInvalid })
		r := newRig(t, Config{Subscription: bus.Subscription{Former: []string{"velho"}}}, h.handle)
		r.publish(delivery("broken", 1), delivery("unknown", 1), delivery("former", 1))
		settle(0)
		r.lot.change(func(x *bus.Letter) {
			e, _ := bus.Decode(x.Body)
			switch x.Subject {
			case "broken":
				x.Body = []byte("{")
				return
			case "unknown":
				e.Type = "novo"
			case "former":
				e.Type = "velho"
			}
			x.Body, _ = bus.Encode(e)
		})
		r.lot.retry()
		settle(2 * time.Second)
		left := r.lot.ids() // parked by workers beside each other
		slices.Sort(left)
		equal(t, "left", left, []string{"broken-1", "unknown-1"})
		for _, l := range r.lot.all() {
			if last := l.History[len(l.History)-1]; l.State != bus.Dead || l.Tries != 1 || len(l.History) != 2 || last.Kind != "malformed" {
				t.Errorf("%+v", l)
			}
		}
	})
}

// What is no event is a dead letter of its own, and keeps nothing in memory.
func TestBadMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeeds(nil)
		r := newRig(t, Config{Window: 16}, h.handle)
		r.publish(Delivery{Body: []byte("{"), Bad: errors.New("not JSON"), Event: bus.Event{Type: "novo"}},
			Delivery{Body: []byte("{"), Bad: errors.New("not JSON")}) // the same once more
		for n := range 1000 {
			r.publish(Delivery{Body: fmt.Append(nil, n), Bad: errors.New("a number")})
		}
		r.publish(delivery("s", 1))
		settle(0)
		equal(t, "handled", h.list(), []string{"s-1"})
		all := r.lot.all()
		if len(all) != 1001 || r.left() != 0 {
			t.Fatalf("%d letters, %d left", len(all), r.left())
		}
		const name = "mensagem-021fb596db81e6d02bf3d2586ee3981f" // of "{"
		i := slices.IndexFunc(all, func(l bus.Letter) bool { return l.ID == name })
		if i < 0 || all[i].Subject != name || all[i].State != bus.Dead || string(all[i].Body) != "{" || all[i].Type != "novo" ||
			all[i].History[0].Kind != "malformed" || all[i].Tries != 1 {
			t.Errorf("letter %d: %+v", i, all[max(i, 0)])
		}
		d, unlock := r.dispatcher()
		defer unlock()
		if len(d.lines) != 0 || d.held != 0 {
			t.Errorf("%d lines, %d in hand", len(d.lines), d.held)
		}
	})
}

// Many events behind a dead subject, and many dead subjects,
// leave next to nothing in memory.
func TestPoisonFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeeds(func(_ context.Context, e bus.Event, _ int) error {
			if e.Subject != "well" {
				return errInvalid
			}
			return nil
		})
		most := 0
		r := newRig(t, Config{Window: 64}, h.handle)
		r.lot.failing(func(op string) error {
			if d := r.consumer.atWork.Load(); d != nil && op == "park" {
				d.mu.Lock()
				defer d.mu.Unlock()
				most = max(most, d.held)
			}
			return nil
		})
		const flood, dead = 1000, 500
		for n := range flood {
			r.publish(delivery("ill", n))
		}
		for n := range dead {
			r.publish(delivery(fmt.Sprint("p", n), 1))
		}
		r.publish(delivery("well", 1))
		settle(time.Second)
		equal(t, "handled", h.list(), []string{"well-1"})
		d, unlock := r.dispatcher()
		defer unlock()
		if len(r.lot.letters) != flood+dead || d.held != 0 || d.bytes != 0 || most > 64 || len(d.lines) != dead+1 {
			t.Errorf("%d letters; %d in hand, %d at most, %d lines", len(r.lot.letters), d.held, most, len(d.lines))
		}
		if r.lot.parks > dead+flood/10 {
			t.Errorf("%d calls of Park: what is queued is not parked together", r.lot.parks)
		}
		for _, ln := range d.lines {
			if ln.queue != nil {
				t.Fatal("a blocked line keeps memory")
			}
		}
	})
}

// A clock that is set back by a day does not hold anything up for a day.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeeds(func(_ context.Context, e bus.Event, try int) error {
			if e.ID == "a-1" && try < 4 {
				return errDown
			}
			return nil
		})
		var c clock.Shifted
		r := newRig(t, Config{Clock: &c, Subscription: bus.Subscription{Backoff: 10 * time.Second}}, h.handle)
		r.publish(delivery("a", 1))
		settle(time.Second)
		c.Jump(-24 * time.Hour)
		settle(3 * time.Minute)
		equal(t, "handled", h.list(), []string{"a-1"})
		c.Jump(48 * time.Hour)
		r.publish(delivery("a", 2))
		settle(0)
		equal(t, "handled", h.list(), []string{"a-1", "a-2"})
	})
}
