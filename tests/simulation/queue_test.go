package simulation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"trama/platform/bus"
	"trama/platform/bus/lane"
)

// queue is what a subscription has to receive, and what its handlers have seen.
type queue struct {
	b     *broker
	name  string
	types []string
	wake  chan struct{}

	mu      sync.Mutex
	items   []*item
	first   map[string]*item // by event id: not a repetition
	handled map[string]bool  // event ids that a handler took
	busy    map[string]int   // handlers at work, by subject
	healed  bool             // what was poison is none any more
	refused map[string]bool  // event ids that were poison
}

// item is one delivery to be.
type item struct {
	event   bus.Event
	key     string
	garbage []byte
	due     time.Time
	late    bool // a repetition: comes out of order
	first   *item
	offered bool // in this term
	done    bool
	acks    int
}

func newQueue(b *broker, s bus.Subscription) *queue {
	q := &queue{b: b, name: s.Name, types: s.Types, wake: make(chan struct{}, 1),
		first: map[string]*item{}, handled: map[string]bool{}, busy: map[string]int{}, refused: map[string]bool{}}
	if b.w.plan.garbage == s.Name {
		q.items = append(q.items, &item{key: "garbage", garbage: []byte("{" + s.Name), due: b.w.ahead().Add(time.Second)})
	}
	return q
}

func (q *queue) add(e bus.Event, key string, again bool) {
	plan, now := q.b.w.plan, q.b.w.ahead()
	q.mu.Lock()
	if again {
		q.items = append(q.items, &item{event: e, key: key, due: now.Add(plan.latency("again", q.name, key)), late: true, first: q.first[e.ID]})
	} else {
		x := &item{event: e, key: key, due: now.Add(plan.latency("delivery", q.name, key))}
		q.first[e.ID] = x
		q.items = append(q.items, x)
		for _, pause := range plan.copies(q.name, key) {
			q.items = append(q.items, &item{event: e, key: key, due: x.due.Add(pause), late: true, first: x})
		}
	}
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default: // it is about to look
	}
}

func (q *queue) waiting(until time.Time) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, x := range q.items {
		if !x.done && x.due.Before(until) {
			n++
		}
	}
	return n
}

// next gives a delivery whose time has come, or how long there is none. Those of
// one subject come in their order, and repetitions after the original.
func (q *queue) next(now time.Time) (*item, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	pause := time.Hour
	behind := map[string]bool{} // subjects with something that must come first
	for _, x := range q.items {
		if x.done || x.offered {
			continue
		}
		switch {
		case x.late && x.first != nil && !x.first.done && !x.first.offered, !x.late && behind[x.event.Subject]:
		case x.due.After(now):
			pause = min(pause, x.due.Sub(now))
		default:
			x.offered = true
			return x, 0
		}
		if !x.late && x.garbage == nil {
			behind[x.event.Subject] = true
		}
	}
	return nil, pause
}

// stream is one term of a subscription in one process.
type stream struct {
	q   *queue
	inc *incarnation

	mu  sync.Mutex
	out map[uint64]*item
}

func (q *queue) open(inc *incarnation) (lane.Stream, error) {
	if down, _ := q.b.w.down("bus"); down || inc.dead.Load() {
		return nil, bus.ErrUnavailable.Wrap(errOutage)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, x := range q.items {
		x.offered = false
	}
	return &stream{q: q, inc: inc, out: map[uint64]*item{}}, nil
}

// Run implements lane.Stream.
func (s *stream) Run(ctx context.Context, d *lane.Dispatcher) error {
	for n := uint64(1); ctx.Err() == nil; {
		if down, _ := s.q.b.w.down("bus"); down {
			return bus.ErrUnavailable.Wrap(errOutage)
		}
		x, pause := s.q.next(s.q.b.w.ahead())
		if x == nil {
			t := time.NewTimer(pause)
			select {
			case <-ctx.Done():
			case <-s.q.wake:
			case <-t.C:
			}
			t.Stop()
			continue
		}
		s.mu.Lock()
		s.out[n] = x
		s.mu.Unlock()
		delivery := lane.Delivery{Event: x.event, Ref: n}
		if x.garbage != nil {
			delivery = lane.Delivery{Ref: n, Body: x.garbage, Bad: bus.ErrMalformed}
		}
		for n++; !d.Offer(delivery); {
			select {
			case <-ctx.Done():
				return nil
			case <-d.Room():
			}
		}
	}
	return nil
}

// Settle implements lane.Stream. What a dead process acknowledges nobody hears.
func (s *stream) Settle(d lane.Delivery, v lane.Verdict) {
	s.mu.Lock()
	x := s.out[d.Ref]
	s.mu.Unlock()
	if v != lane.Done || s.inc.dead.Load() {
		return
	}
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	lost := s.q.b.w.plan.ackLost(s.q.name, x.key, x.acks)
	x.acks++
	if lost && x.garbage == nil { // comes again, and as a repetition
		x.late, x.first, x.offered, x.due = true, nil, false, s.q.b.w.ahead().Add(time.Second)
		s.q.signal()
		return
	}
	x.done = true
}

// Close implements lane.Stream.
func (s *stream) Close(context.Context) error { return nil }

// watched is the subscription's handler under the eyes of the simulation.
func (q *queue) watched(inc *incarnation, next bus.Handler) bus.Handler {
	return func(ctx context.Context, e bus.Event) error {
		key := q.b.key(ctx, e)
		subject := fmt.Sprint(inc.n, " ", e.Subject)
		q.mu.Lock()
		if q.busy[subject]++; q.busy[subject] > 1 {
			q.b.w.fail("%s: two events of one subject at once: %s", q.name, key)
		}
		q.mu.Unlock()
		q.inOrder(e, key)
		err := q.poisoned(e, key)
		if err == nil {
			err = next(ctx, e)
		}
		q.mu.Lock()
		q.busy[subject]--
		again := q.handled[e.ID]
		q.handled[e.ID] = q.handled[e.ID] || err == nil
		q.mu.Unlock()
		switch {
		case again:
			q.b.w.happened("deliveries repeated")
		case err != nil:
			q.b.w.happened("deliveries that a handler refused")
		default:
			q.b.w.happened("deliveries handled")
		}
		q.b.w.note("%s handled %s: %v", q.name, key, err)
		return err
	}
}

// inOrder checks that everything before e, of its subject, was handled before.
func (q *queue) inOrder(e bus.Event, key string) {
	mine, _ := strconv.Atoi(e.Sequence)
	for _, other := range q.b.events() {
		n, _ := strconv.Atoi(other.Sequence)
		if other.Subject != e.Subject || n >= mine || !slices.Contains(q.types, other.Type) {
			continue
		}
		q.mu.Lock()
		if !q.handled[other.ID] {
			q.b.w.fail("%s: %s comes before number %d of its subject was handled", q.name, key, n)
		}
		q.mu.Unlock()
	}
}

// poisoned refuses some events of a subscription that is to be hurt, until an
// operator has had the handler mended.
func (q *queue) poisoned(e bus.Event, key string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.b.w.plan.poison != q.name || q.healed || q.handled[e.ID] || q.b.w.plan.dice(2, "poison", key) > 0 {
		return nil
	}
	q.refused[e.ID] = true
	return bus.ErrMalformed.Wrap(errors.New("simulation: poison"))
}

func (q *queue) heal() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.healed = true
}

// poisons gives the events that were refused.
func (q *queue) poisons() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Collect(maps.Keys(q.refused))
}
