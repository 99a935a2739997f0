package lane

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
)

func TestPolicyByKind(t *testing.T) {
	for _, c := range []struct {
		kind  fault.Kind
		tries int // of a limit of 3; 0: for ever
	}{
		{fault.Internal, 3}, {fault.Conflict, 3}, {fault.Precondition, 3},
		{fault.Malformed, 1}, {fault.Unauthenticated, 1}, {fault.Forbidden, 1}, {fault.NotFound, 1}, {fault.Invalid, 1},
		{fault.Exhausted, 0}, {fault.Unavailable, 0}, {fault.Timeout, 0},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{Subscription: bus.Subscription{MaxAttempts: 3}}, func(context.Context, bus.Event) error {
					return fault.New(c.kind, "x", fault.Text{})
				})
				r.publish(delivery("s", 1))
				settle(time.Hour)
				l := r.lot.all()[0]
				switch {
				case r.left() != 0:
					t.Error("the broker still has it")
				case c.tries == 0 && (l.State != bus.Waiting || l.Tries < 60):
					t.Errorf("after an hour: %+v, want still trying", l)
				case c.tries > 0 && (l.State != bus.Dead || l.Tries != c.tries || l.History[0].Kind != c.kind.String() || l.History[0].Code != "x"):
					t.Errorf("%+v, want dead after %d tries", l, c.tries)
				}
				if len(l.History) > bus.LongestHistory {
					t.Errorf("a history of %d", len(l.History))
				}
			})
		})
	}
}

func TestPauses(t *testing.T) {
	const first = 200 * time.Millisecond
	for _, c := range []struct {
		attempts int
		after    time.Duration
		jitter   float64
		want     time.Duration
	}{
		{1, 0, 0, first}, {2, 0, 0, 2 * first}, {5, 0, 0, 16 * first}, {9, 0, 0, 256 * first},
		{10, 0, 0, time.Minute}, {11, 0, 0, time.Minute}, {5000, 0, 0, time.Minute}, // no overflow
		{1, 0, 1, 150 * time.Millisecond}, {5000, 0, 0.5, 52500 * time.Millisecond},
		{1, 5 * time.Second, 0.5, 5 * time.Second}, {10, 5 * time.Second, 0, time.Minute}, {1, time.Hour, 0, time.Minute},
	} {
		if got := pause(first, time.Minute, c.attempts, c.after, c.jitter); got != c.want {
			t.Errorf("attempt %d, after %s, jitter %g: %s, want %s", c.attempts, c.after, c.jitter, got, c.want)
		}
	}
}

// The tries of one letter come at the times that its subscription's policy says.
func TestTimesOfTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var at []time.Duration
		r := newRig(t, Config{Subscription: bus.Subscription{Backoff: time.Second, MaxBackoff: 5 * time.Second}},
			func(context.Context, bus.Event) error {
				at = append(at, time.Since(begin))
				switch len(at) {
				case 5:
					return errDown.After(time.Hour)
				case 7:
					return nil
				}
				return errDown
			})
		r.publish(delivery("s", 1))
		settle(time.Minute)
		s := time.Second
		equal(t, "tries at", at, []time.Duration{0, 1 * s, 3 * s, 7 * s, 12 * s, 17 * s, 22 * s})
		if len(r.lot.all()) != 0 {
			t.Error("the letter is still there")
		}
	})
}

// What fails blocks its subject, in order, while others flow; when it succeeds,
// the subject goes on as if nothing had been.
func TestWaitingSubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeeds(func(_ context.Context, e bus.Event, try int) error {
			if e.ID == "a-1" && try < 3 {
				return errDown
			}
			return nil
		})
		r := newRig(t, Config{Subscription: bus.Subscription{Backoff: time.Second}}, h.handle)
		r.publish(delivery("a", 1), delivery("a", 2), delivery("b", 1))
		settle(0)
		r.publish(delivery("a", 3), delivery("b", 2), delivery("a", 4))
		settle(0)
		if r.left() != 0 {
			t.Errorf("%d deliveries are still in hand", r.left())
		}
		equal(t, "handled", h.list(), []string{"b-1", "b-2"})
		equal(t, "parked", r.lot.ids(), []string{"a-1", "a-2", "a-3", "a-4"})
		first, behind := r.lot.all()[0], r.lot.all()[3]
		if first.State != bus.Waiting || first.Tries != 1 || !first.Due.Equal(first.ParkedAt.Add(time.Second)) || first.ParkedBy != "teste:1" ||
			first.Type != typ || len(first.History) != 1 || first.History[0].Code != "teste-fora-do-ar" {
			t.Errorf("first: %+v", first)
		}
		if e, err := bus.Decode(behind.Body); behind.State != bus.Behind || behind.Tries != 0 || err != nil || e.ID != "a-4" {
			t.Errorf("behind: %+v, %v", behind, err)
		}
		settle(3 * time.Second)
		r.publish(delivery("a", 5))
		settle(0)
		equal(t, "handled", h.list(), []string{"b-1", "b-2", "a-1", "a-2", "a-3", "a-4", "a-5"})
		if len(r.lot.all()) != 0 || h.count("a-2") != 1 {
			t.Errorf("left %v; a-2 tried %d times", r.lot.ids(), h.count("a-2"))
		}
		d, unlock := r.dispatcher()
		defer unlock()
		if len(d.lines) != 0 || d.held != 0 || d.bytes != 0 || d.failing != 0 || d.blocked != 0 {
			t.Errorf("something is kept: %+v", d)
		}
	})
}

// A dead letter blocks its subject, also after a restart, until an operator
// retries it.
func TestDeadSubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		healed := false
		h := newDeeds(func(_ context.Context, e bus.Event, _ int) error {
			if e.ID == "a-1" && !healed {
				return errInvalid
			}
			return nil
		})
		r := newRig(t, Config{}, h.handle)
		r.publish(delivery("a", 1), delivery("a", 2), delivery("b", 1))
		settle(time.Hour)
		r.drain()
		r.start(Config{}, h.handle)
		r.publish(delivery("a", 3), delivery("b", 2))
		settle(time.Hour)
		equal(t, "handled", h.list(), []string{"b-1", "b-2"})
		equal(t, "parked", r.lot.ids(), []string{"a-1", "a-2", "a-3"})
		if h.count("a-1") != 1 || r.left() != 0 {
			t.Errorf("a-1 tried %d times, %d in hand", h.count("a-1"), r.left())
		}
		healed = true
		r.lot.retry()
		settle(2 * time.Second)
		equal(t, "handled", h.list(), []string{"b-1", "b-2", "a-1", "a-2", "a-3"})
	})
}

// Random failures of handlers, of the Parking, of the stream and of the lease:
// in the end every event has had its effect, once, and in order of its subject.
func TestOrderUnderRandomTrouble(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomTrouble(t, seed) })
		})
	}
}

func randomTrouble(t *testing.T, seed uint64) {
	const subjects, each = 7, 30
	rng := newChance(seed)
	h := newDeeds(rng.trouble)
	cfg := Config{Jitter: rng.float, Window: 8 + rng.n(40), MaxWaiting: 2 + rng.n(5), Subscription: bus.Subscription{MaxInFlight: 1 + rng.n(8),
		MaxAttempts: 3, Backoff: 10 * time.Millisecond, MaxBackoff: time.Second, MaxBatch: 1 + rng.n(10)}}
	if seed%2 == 1 {
		cfg.Subscription.Batch = func(ctx context.Context, events []bus.Event) error {
			for _, e := range events { // an inbox makes what succeeded before one that fails harmless
				if err := h.handle(ctx, e); err != nil {
					return err
				}
			}
			return nil
		}
	}
	r := newRig(t, cfg, h.handle)
	r.lot.failing(func(string) error {
		if rng.one(25) {
			return errDown
		}
		return nil
	})
	for n := range each {
		for s := range subjects {
			r.publish(delivery(fmt.Sprint("s", s), n))
		}
		settle(time.Duration(rng.n(400)) * time.Millisecond)
		switch rng.n(8) {
		case 0:
			r.broken <- errors.New("cut")
		case 1:
			r.lot.retry()
		case 2:
			r.lot.lose()
		case 3:
			r.lot.hold(true)
			settle(2 * time.Second)
			r.lot.hold(false)
		}
	}
	for range 400 {
		settle(5 * time.Second)
		r.lot.retry()
	}
	checkEffects(t, h, subjects, each)
	if r.left() != 0 || len(r.lot.all()) != 0 {
		t.Errorf("%d in hand, parked %v", r.left(), r.lot.ids())
	}
}

// checkEffects wants events 0..each-1 of every subject, in order and one at a time.
func checkEffects(t *testing.T, h *deeds, subjects, each int) {
	t.Helper()
	got := map[string][]int{}
	for _, id := range h.list() {
		subject, n, _ := strings.Cut(id, "-")
		i, _ := strconv.Atoi(n)
		got[subject] = append(got[subject], i)
	}
	want := make([]int, each)
	for i := range want {
		want[i] = i
	}
	for s := range subjects {
		if name := fmt.Sprint("s", s); !slices.Equal(got[name], want) {
			t.Errorf("subject %s: %v", name, got[name])
		}
	}
	if h.overlap {
		t.Error("two events of one subject ran at the same time")
	}
}

// chance is a seeded source of chance for several goroutines.
type chance struct {
	turn chan struct{}
	rng  *rand.Rand
}

func newChance(seed uint64) *chance {
	c := &chance{turn: make(chan struct{}, 1), rng: rand.New(rand.NewPCG(seed, 7))}
	c.turn <- struct{}{}
	return c
}

func (c *chance) n(n int) int {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	return c.rng.IntN(n)
}

func (c *chance) one(in int) bool { return c.n(in) == 0 }

func (c *chance) float() float64 { return float64(c.n(1000)) / 1000 }

// trouble is the work of a handler that takes its time and fails in every way.
func (c *chance) trouble(ctx context.Context, _ bus.Event, _ int) error {
	if c.one(3) {
		select {
		case <-time.After(time.Duration(c.n(300)) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	switch c.n(12) {
	case 0:
		return errDown
	case 1:
		return errors.New("unforeseen")
	case 2:
		return errInvalid
	case 3:
		panic("boom")
	}
	return nil
}
