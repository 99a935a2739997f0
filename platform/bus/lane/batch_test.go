package lane

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"trama/platform/bus"
)

// sheets is a batch handler that notes its calls; the first waits for the gate.
type sheets struct {
	mu    sync.Mutex
	calls [][]string
	gate  chan struct{}
	fail  map[string]error
}

func (s *sheets) handle(_ context.Context, events []bus.Event) error {
	var ids []string
	var err error
	s.mu.Lock()
	for _, e := range events {
		ids = append(ids, e.ID)
		if f := s.fail[e.ID]; f != nil {
			err = f
		}
	}
	s.calls = append(s.calls, ids)
	first := len(s.calls) == 1
	s.mu.Unlock()
	if first {
		<-s.gate
	}
	return err
}

func (s *sheets) expect(t *testing.T, want ...[]string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if fmt.Sprint(s.calls) != fmt.Sprint(want) {
		t.Errorf("calls\n%v, want\n%v", s.calls, want)
	}
}

// batchRig starts a consumer with one worker, which the first event keeps busy
// until the gate opens, so that the next batches are full.
func batchRig(t *testing.T, most int, fail map[string]error) (*rig, *sheets) {
	s := &sheets{gate: make(chan struct{}), fail: fail}
	r := newRig(t, Config{Subscription: bus.Subscription{MaxInFlight: 1, MaxBatch: most, Batch: s.handle}}, nil)
	r.publish(delivery("first", 1))
	settle(0)
	return r, s
}

func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := batchRig(t, 5, nil)
		r.publish(delivery("a", 1), delivery("b", 1), delivery("a", 2), delivery("b", 2), delivery("c", 1), delivery("c", 2), delivery("a", 3))
		settle(0)
		close(s.gate)
		settle(0)
		s.expect(t, []string{"first-1"}, []string{"a-1", "a-2", "a-3", "b-1", "b-2"}, []string{"c-1", "c-2"})
		if r.left() != 0 {
			t.Errorf("%d left", r.left())
		}
	})
}

// An event that was delivered twice is not twice in a batch.
func TestBatchWithoutRepetition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := batchRig(t, 10, nil)
		r.publish(delivery("a", 1), delivery("a", 2), delivery("a", 1), delivery("a", 2), delivery("b", 1))
		settle(0)
		close(s.gate)
		settle(0)
		s.expect(t, []string{"first-1"}, []string{"a-1", "a-2", "b-1"}, []string{"a-1", "a-2"})
		if r.left() != 0 {
			t.Errorf("%d left", r.left())
		}
	})
}

// Of a batch that fails, each event is tried alone: one that fails is parked with
// what follows of its subject, the others succeed.
func TestBatchIsolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := map[string]error{"a-2": errInvalid}
		r, s := batchRig(t, 10, fail)
		r.publish(delivery("a", 1), delivery("a", 2), delivery("a", 3), delivery("b", 1), delivery("b", 2))
		settle(0)
		r.publish(Delivery{Body: []byte("{"), Bad: errInvalid})
		settle(0)
		close(s.gate)
		settle(0)
		s.expect(t, []string{"first-1"}, []string{"a-1", "a-2", "a-3", "b-1", "b-2"},
			[]string{"a-1"}, []string{"b-1"}, []string{"a-2"}, []string{"b-2"})
		bad := badID([]byte("{"))
		equal(t, "parked", r.lot.ids(), []string{bad, "a-2", "a-3"})
		r.publish(delivery("a", 4), delivery("c", 1))
		settle(0)
		s.mu.Lock()
		s.calls, s.fail = [][]string{{"first"}}, nil
		s.mu.Unlock()
		r.lot.change(func(x *bus.Letter) {
			if x.ID == "a-2" {
				x.State, x.Due = bus.Waiting, time.Time{}
			}
		})
		settle(2 * time.Second)
		s.expect(t, []string{"first"}, []string{"a-2"}, []string{"a-3"}, []string{"a-4"}) // letters one by one
		equal(t, "parked", r.lot.ids(), []string{bad})
		if r.left() != 0 {
			t.Errorf("%d left", r.left())
		}
	})
}

// An interrupted batch goes back whole.
func TestBatchInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := batchRig(t, 10, nil)
		began := 0
		r.consumer.atWork.Load().sub.Batch = func(ctx context.Context, _ []bus.Event) error { // nobody reads it before the gate opens
			began++
			<-ctx.Done()
			return ctx.Err()
		}
		r.publish(delivery("a", 1), delivery("a", 2), delivery("b", 1))
		settle(0)
		close(s.gate)
		settle(0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.consumer.Drain(ctx); err != nil {
			t.Error(err)
		}
		if began != 1 || r.left() != 3 || len(r.lot.all()) != 0 {
			t.Errorf("%d batches began, %d events left, parked %v", began, r.left(), r.lot.ids())
		}
	})
}
