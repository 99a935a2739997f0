package bustest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"trama/platform/bus"
)

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
