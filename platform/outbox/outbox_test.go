package outbox_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/enginetest"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
)

// engines runs a test on both relational stores.
func engines(t *testing.T, test func(t *testing.T, db store.DB)) {
	t.Run("sqlite", func(t *testing.T) {
		db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(t.TempDir(), "s.db")})
		prepare(t, db, err, test)
	})
	t.Run("postgres", func(t *testing.T) {
		db, err := pgstore.Open(t.Context(), pgstore.Options{URL: enginetest.PostgresDatabase(t)})
		prepare(t, db, err, test)
	})
}

func prepare(t *testing.T, db store.DB, err error, test func(t *testing.T, db store.DB)) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := migration.Run(t.Context(), db, "platform", outbox.Schema()); err != nil {
		t.Fatal(err)
	}
	test(t, db)
}

func newBox(db store.DB) *outbox.Box {
	return outbox.New(db, "/test", clock.System{}, id.New(clock.System{}, rand.Reader))
}

func write(t *testing.T, db store.DB, box *outbox.Box, subject string, n int) {
	t.Helper()
	err := db.Update(t.Context(), func(tx store.Tx) error {
		return box.Write(t.Context(), tx, outbox.Message{Type: "T", Subject: subject, Data: map[string]int{"n": n}})
	})
	if err != nil {
		t.Error(err)
	}
}

// recorder is a bus that keeps what it confirmed and fails when told to.
type recorder struct {
	mu     sync.Mutex
	events []bus.Event
	fail   func(attempt int) error
	tries  int
	got    chan struct{}
}

func (r *recorder) Publish(_ context.Context, events ...bus.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if r.fail != nil {
		if err := r.fail(r.tries); err != nil {
			return err
		}
	}
	r.events = append(r.events, events...)
	for range events {
		r.got <- struct{}{}
	}
	return nil
}

func (r *recorder) await(t *testing.T, n int) []bus.Event {
	t.Helper()
	for range n {
		select {
		case <-r.got:
		case <-time.After(20 * time.Second):
			t.Fatal("the relay published too little")
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func runRelay(t *testing.T, box outbox.Source, pub bus.Publisher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	relay := outbox.Relay{Source: box, Bus: pub, Clock: clock.System{}, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), Poll: 5 * time.Millisecond}
	go func() { defer close(done); _ = relay.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

func TestStateAndEventAreOneCommit(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		box := newBox(db)
		boom := errors.New("boom")
		err := db.Update(t.Context(), func(tx store.Tx) error {
			if err := box.Write(t.Context(), tx, outbox.Message{Type: "T", Subject: "s", Data: 1}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if pending, err := box.Pending(t.Context(), 10); err != nil || len(pending) != 0 {
			t.Errorf("an undone change left %d events, %v", len(pending), err)
		}
		select {
		case <-box.Wake():
			t.Error("the relay was woken for nothing")
		default:
		}
	})
}

func TestRelayKeepsOrderPerSubjectWithConcurrentWriters(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		const subjects, each = 8, 25
		box, rec := newBox(db), &recorder{got: make(chan struct{}, 10000)}
		runRelay(t, box, rec)
		var wg sync.WaitGroup
		for s := range subjects {
			for range 2 { // two writers race for each subject
				wg.Go(func() {
					for range each {
						write(t, db, box, fmt.Sprint("subject-", s), 0)
					}
				})
			}
		}
		wg.Wait()
		events := rec.await(t, subjects*each*2)
		next, seen := map[string]int{}, map[string]bool{}
		for _, e := range events {
			next[e.Subject]++
			if e.Sequence != fmt.Sprint(next[e.Subject]) {
				t.Fatalf("%s: event %s came as number %d", e.Subject, e.Sequence, next[e.Subject])
			}
			if seen[e.ID] {
				t.Fatalf("event %s came twice without any failure", e.ID)
			}
			seen[e.ID] = true
		}
	})
}

func TestOutageOfTheBusLosesNothingAndKeepsOrder(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		rec := &recorder{got: make(chan struct{}, 100), fail: func(try int) error {
			if try < 4 {
				return errors.New("the broker is down")
			}
			return nil
		}}
		box := newBox(db)
		for n := range 10 {
			write(t, db, box, "s", n)
		}
		stop := runRelay(t, box, rec)
		for i, e := range rec.await(t, 10) {
			if string(e.Data) != fmt.Sprintf(`{"n":%d}`, i) {
				t.Fatalf("event %d carries %s", i, e.Data)
			}
		}
		stop()
		if pending, _ := box.Pending(t.Context(), 10); len(pending) != 0 {
			t.Errorf("%d events are still waiting", len(pending))
		}
	})
}

func TestTwoRelaysTakeTurns(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		box, rec := newBox(db), &recorder{got: make(chan struct{}, 1000)}
		stopFirst := runRelay(t, box, rec)
		runRelay(t, newBox(db), rec)
		for n := range 50 {
			write(t, db, box, "s", n)
		}
		rec.await(t, 50)
		stopFirst() // the other one takes over
		for n := range 50 {
			write(t, db, box, "s", n)
		}
		events := rec.await(t, 50)
		for i, e := range events {
			if e.Sequence != fmt.Sprint(i+1) {
				t.Fatalf("event %d is number %s", i, e.Sequence)
			}
		}
	})
}

func TestStopFlushesTheOutbox(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		box, rec := newBox(db), &recorder{got: make(chan struct{}, 100)}
		stop := runRelay(t, box, rec)
		write(t, db, box, "s", 1)
		rec.await(t, 1)
		write(t, db, box, "s", 2)
		stop()
		if pending, _ := box.Pending(t.Context(), 10); len(pending) != 0 {
			t.Errorf("%d events were left behind by an orderly stop", len(pending))
		}
	})
}

func TestDuplicateDeliveryHasOneEffect(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		box := newBox(db)
		event := bus.Event{ID: "e1"}
		effects := 0
		effect := func(store.Tx) error { effects++; return nil }
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := box.Once(t.Context(), "sub", event, effect); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if effects != 1 {
			t.Errorf("%d effects", effects)
		}
		if err := box.Once(t.Context(), "another", event, effect); err != nil || effects != 2 {
			t.Errorf("another subscription must see the event: %d effects, %v", effects, err)
		}
	})
}

func TestFailedHandlerLeavesNoInboxRow(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		box := newBox(db)
		boom := errors.New("boom")
		if err := box.Once(t.Context(), "sub", bus.Event{ID: "e"}, func(store.Tx) error { return boom }); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		ran := false
		if err := box.Once(t.Context(), "sub", bus.Event{ID: "e"}, func(store.Tx) error { ran = true; return nil }); err != nil || !ran {
			t.Errorf("ran %v, %v", ran, err)
		}
	})
}

func TestEventIsACompleteCloudEvent(t *testing.T) {
	e, err := outbox.Build(t.Context(), id.New(clock.System{}, rand.Reader), clock.System{}, "/test", outbox.Message{Type: "T", Subject: "s", Data: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(e)
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data"} {
		if fields[name] == nil || fields[name] == "" {
			t.Errorf("%s is missing in %s", name, text)
		}
	}
}
