// Package bustest is the contract of package bus as tests: every driver runs the
// same suite and must pass all of it.
//
// A driver calls Run with a setup that makes empty storage for one test and gives
// a function that opens a bus on it, again and again. The suite closes what it
// opens.
package bustest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/id"

	"crypto/rand"
)

// Setup makes empty storage that goes away with t, and gives the way to open a
// bus on it. open fails t when it cannot.
type Setup func(t *testing.T) (open func() bus.Bus)

// Patience is how long the suite waits for something that must happen.
const Patience = 30 * time.Second

// Feature is what a driver may do beyond the others and still keep the port's promises.
type Feature int

// MayRepeat: an acknowledgement is taken in the background by the engine, so that
// what was acknowledged a moment before a close may be delivered once more. At
// least once allows it; the inbox removes it.
const MayRepeat Feature = iota + 1

// Run runs the suite against one driver.
func Run(t *testing.T, setup Setup, features ...Feature) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *env)
	}{
		{"publishing/kept until a consumer comes", keptUntilConsumed},
		{"publishing/event arrives as it was sent", fidelity},
		{"publishing/event of 1 MB", largeEvent},
		{"publishing/malformed events are refused", malformedRefused},
		{"publishing/repeating is harmless", repeatHarmless},
		{"publishing/ended context and closed bus", publishRefused},
		{"publishing/many at once", manyEvents},
		{"subscribing/only its types, each subscription all", onlyItsTypes},
		{"subscribing/invalid ones are refused", invalidSubscription},
		{"subscribing/competing consumers", competing},
		{"order/under failures and retries", orderUnderFailures},
		{"order/a waiting subject holds up no other", waitingSubject},
		{"failing/poison is parked and the subject goes on", poison},
		{"failing/hopeless kinds are parked at once", hopeless},
		{"failing/transient kinds are tried for ever", transient},
		{"failing/a panic is a failure like another", panicking},
		{"draining/back-pressure bounds handlers", backPressure},
		{"draining/waits, hands back, resumes", drainResumes},
		{"draining/an interrupted try spends no attempt", drainInterrupts},
		{"draining/nothing is repeated after reopening", reopen},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &env{t: t, ids: id.New(clock.System{}, rand.Reader), mayRepeat: slices.Contains(features, MayRepeat)}
			open := setup(t)
			e.open = func() bus.Bus {
				b := open()
				t.Cleanup(func() { _ = b.Close() })
				return b
			}
			e.ctx, e.cancel = context.WithTimeout(t.Context(), 2*Patience)
			t.Cleanup(e.cancel)
			c.test(t, e)
		})
	}
}

// TypeA and TypeB are the event types of the suite.
const (
	TypeA = "br.trama.teste.FatoOcorrido.v1"
	TypeB = "br.trama.teste.OutroFatoOcorrido.v1"
)

type env struct {
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc
	open   func() bus.Bus
	ids    id.Source

	mayRepeat bool
}

// payload is what the suite's events carry: their number within the subject.
type payload struct {
	N int `json:"n"`
}

// NewEvent makes a well-formed event whose data carry n.
func NewEvent(ids id.Source, typ, subject string, n int) bus.Event {
	data, _ := json.Marshal(payload{N: n}) // a number always encodes
	return bus.Event{SpecVersion: "1.0", ID: ids.New(), Source: "/teste", Type: typ, Subject: subject,
		Time: time.Now().UTC().Truncate(time.Millisecond), DataContentType: "application/json",
		Sequence: strconv.Itoa(n), Data: data}
}

// Number gives n of NewEvent.
func Number(e bus.Event) int {
	n, _ := strconv.Atoi(e.Sequence) // 0 for a foreign event, which no test has
	return n
}

func (e *env) event(typ, subject string, n int) bus.Event { return NewEvent(e.ids, typ, subject, n) }

// series makes events 1..n of each subject, interleaved.
func (e *env) series(typ string, subjects, n int) []bus.Event {
	var out []bus.Event
	for i := 1; i <= n; i++ {
		for s := range subjects {
			out = append(out, e.event(typ, fmt.Sprintf("s%d", s), i))
		}
	}
	return out
}

func (e *env) publish(b bus.Bus, events ...bus.Event) {
	e.t.Helper()
	if err := b.Publish(e.ctx, events...); err != nil {
		e.t.Fatalf("publish: %v", err)
	}
}

func (e *env) declare(b bus.Bus, subs ...bus.Subscription) {
	e.t.Helper()
	if err := b.Declare(e.ctx, subs...); err != nil {
		e.t.Fatalf("declare: %v", err)
	}
}

func (e *env) subscribe(b bus.Bus, s bus.Subscription) bus.Consumer {
	e.t.Helper()
	c, err := b.Subscribe(e.ctx, s)
	if err != nil {
		e.t.Fatalf("subscribe: %v", err)
	}
	e.t.Cleanup(func() { // whatever the test left; Drain is idempotent
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = c.Drain(ctx)
	})
	return c
}

func (e *env) drain(c bus.Consumer) {
	e.t.Helper()
	if err := c.Drain(e.ctx); err != nil {
		e.t.Fatalf("drain: %v", err)
	}
}

// deadLetters waits until the subscription has n of them.
func (e *env) deadLetters(b bus.Bus, name string, n int) []bus.DeadLetter {
	e.t.Helper()
	var got []bus.DeadLetter
	Eventually(e.t, fmt.Sprintf("%d dead letters of %s", n, name), func() bool {
		var err error
		if got, err = b.DeadLetters(e.ctx, name, 100); err != nil {
			e.t.Fatalf("dead letters: %v", err)
		}
		return len(got) >= n
	})
	if len(got) > n {
		e.t.Fatalf("%d dead letters, want %d: %+v", len(got), n, got)
	}
	return got
}

// Eventually polls until ok; it fails t after Patience.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for pause := time.Millisecond; !ok(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, Patience)
		}
		Pause(pause)
	}
}

// Pause gives others time. It is for what has no event to await, in another
// process or at a broker, and for pacing repetitions; never to make a test pass.
func Pause(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}

// Recorder is a handler's memory: what was handled, in which order, and whether
// two events of one subject ever ran at the same time.
type Recorder struct {
	mu       sync.Mutex
	changed  chan struct{}
	bySubj   map[string][]int // numbers handled with success, repetitions of the same left out
	ids      map[string]int   // successes per event id
	tries    map[string]int   // calls per event id
	busy     map[string]bool
	overlaps []string
	running  int
	peak     int
}

// NewRecorder makes an empty one.
func NewRecorder() *Recorder {
	return &Recorder{changed: make(chan struct{}), bySubj: map[string][]int{}, ids: map[string]int{},
		tries: map[string]int{}, busy: map[string]bool{}}
}

// Handle gives a handler that records each call around work (nil: succeed). work
// gets the number of the try, from 1.
func (r *Recorder) Handle(work func(ctx context.Context, e bus.Event, try int) error) bus.Handler {
	return func(ctx context.Context, e bus.Event) (err error) {
		try := r.enter(e)
		ok := false
		defer func() { r.leave(e, ok) }() // also after a panic
		if work != nil {
			err = work(ctx, e, try)
		}
		ok = err == nil
		return err
	}
}

func (r *Recorder) enter(e bus.Event) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[e.Subject] {
		r.overlaps = append(r.overlaps, e.Subject)
	}
	r.busy[e.Subject] = true
	r.tries[e.ID]++
	r.running++
	r.peak = max(r.peak, r.running)
	r.signal()
	return r.tries[e.ID]
}

func (r *Recorder) leave(e bus.Event, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy[e.Subject] = false
	r.running--
	if ok {
		r.ids[e.ID]++
		if r.ids[e.ID] == 1 {
			r.bySubj[e.Subject] = append(r.bySubj[e.Subject], Number(e))
		}
	}
	r.signal()
}

func (r *Recorder) signal() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// await waits until ok holds; ok runs with the recorder locked.
func (r *Recorder) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(Patience)
	for {
		r.mu.Lock()
		done, changed := ok(), r.changed
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("%s: not within %s; %d events handled, %d running", what, Patience, len(r.ids), r.running)
		}
	}
}

// AwaitDone waits until n different events were handled with success.
func (r *Recorder) AwaitDone(t testing.TB, n int) {
	t.Helper()
	r.await(t, fmt.Sprintf("%d events handled", n), func() bool { return len(r.ids) >= n })
}

// Done gives how many different events were handled with success, and how many
// successes there were in all.
func (r *Recorder) Done() (events, successes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.ids {
		successes += n
	}
	return len(r.ids), successes
}

// Handled tells whether the event was handled with success.
func (r *Recorder) Handled(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[id] > 0
}

// CheckOrder fails t unless every subject's events were handled one at a time
// and in increasing order.
func (r *Recorder) CheckOrder(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.overlaps) > 0 {
		t.Errorf("events of one subject ran at the same time: %v", r.overlaps)
	}
	for s, got := range r.bySubj {
		if !slices.IsSorted(got) {
			t.Errorf("subject %s: out of order: %v", s, got)
		}
	}
}
