package outbox_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/outbox"
	"trama/platform/store"
)

func events(ids ...string) (out []bus.Event) {
	for _, id := range ids {
		out = append(out, bus.Event{ID: id})
	}
	return out
}

func TestAReplayHandlesEachEventOnceMore(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		box, n := newBox(db), 0
		effect := func(store.Tx) error { n++; return nil }
		for _, replay := range []string{"", "", "r1", "r1", "r2", ""} {
			ctx := bus.WithReplay(t.Context(), replay)
			if err := box.Once(ctx, "sub", bus.Event{ID: "e"}, effect); err != nil {
				t.Fatal(err)
			}
			err := box.OnceAll(ctx, "sub", events("e"), func(store.Tx, []bus.Event) error { n += 100; return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		if n != 3 {
			t.Errorf("%d effects, want 3: one for the event and one for each replay", n)
		}
	})
}

func TestAnEventThatWasReplayedFirstIsHandled(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		box, n := newBox(db), 0
		for _, replay := range []string{"r1", ""} {
			ctx := bus.WithReplay(t.Context(), replay)
			if err := box.Once(ctx, "sub", bus.Event{ID: "e"}, func(store.Tx) error { n++; return nil }); err != nil {
				t.Fatal(err)
			}
			err := box.OnceAll(ctx, "sub", events("f"), func(store.Tx, []bus.Event) error { n += 100; return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		if n != 101 {
			t.Errorf("%d effects, want one of each", n)
		}
	})
}

func TestOnceAllGivesWhatIsFresh(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		box := newBox(db)
		var got []string
		take := func(_ store.Tx, fresh []bus.Event) error {
			got = nil
			for _, e := range fresh {
				got = append(got, e.ID)
			}
			return nil
		}
		for _, c := range []struct {
			in   []bus.Event
			want string
		}{
			{events("a", "b", "a"), "[a b]"}, {events("c", "b", "d"), "[c d]"}, {events("a", "d"), "[]"}, {nil, "[]"},
		} {
			got = nil
			if err := box.OnceAll(t.Context(), "sub", c.in, take); err != nil || fmt.Sprint(got) != c.want {
				t.Errorf("fresh %v, want %s, %v", got, c.want, err)
			}
		}
		boom := errors.New("boom")
		if err := box.OnceAll(t.Context(), "sub", events("x", "y"), func(store.Tx, []bus.Event) error { return boom }); !errors.Is(err, boom) {
			t.Error(err)
		}
		if err := box.OnceAll(t.Context(), "sub", events("y"), take); err != nil || fmt.Sprint(got) != "[y]" {
			t.Errorf("after a failure: %v, %v", got, err)
		}
		many := make([]bus.Event, 1200) // more than one statement takes
		for i := range many {
			many[i].ID = fmt.Sprint("m", i)
		}
		if err := box.OnceAll(t.Context(), "sub", many, take); err != nil || len(got) != len(many) || got[1199] != "m1199" {
			t.Errorf("%d of many, %v", len(got), err)
		}
	})
}

func TestConcurrentBatchesShareNoEvent(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		box := newBox(db)
		var mu sync.Mutex
		seen := map[string]int{}
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 10 {
					ids := []string{fmt.Sprint(i), fmt.Sprint(i + 1), fmt.Sprint(i + w)}
					var fresh []bus.Event // of the run that counts
					err := box.OnceAll(t.Context(), "sub", events(ids...), func(_ store.Tx, f []bus.Event) error { fresh = f; return nil })
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, e := range fresh {
						seen[e.ID]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for id, n := range seen {
			if n != 1 {
				t.Errorf("event %s had %d effects", id, n)
			}
		}
		if len(seen) != 13 {
			t.Errorf("%d events had effects, want 13", len(seen))
		}
	})
}

func TestDoneForgetsWhatItIsGivenAndNoMore(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		box := newBox(db)
		for n := range 10 {
			write(t, db, box, "s", n)
		}
		n, oldest, err := box.Backlog(t.Context())
		if err != nil || n != 10 || time.Since(oldest) > time.Minute {
			t.Errorf("backlog %d since %v, %v", n, oldest, err)
		}
		all, err := box.Pending(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		kept := map[string]bool{all[0].Key: true, all[4].Key: true, all[8].Key: true}
		var done []outbox.Entry
		for _, e := range all {
			if !kept[e.Key] {
				done = append([]outbox.Entry{e}, done...) // in any order
			}
		}
		for range 2 {
			if err := box.Done(t.Context(), append(done, done[0])); err != nil {
				t.Fatal(err)
			}
		}
		left, err := box.Pending(t.Context(), 100)
		if err != nil || len(left) != 3 {
			t.Fatalf("%d left, %v", len(left), err)
		}
		for _, e := range left {
			if !kept[e.Key] {
				t.Errorf("%s is still there", e.Key)
			}
		}
		if err := box.Done(t.Context(), left); err != nil {
			t.Fatal(err)
		}
		if n, oldest, err := box.Backlog(t.Context()); err != nil || n != 0 || !oldest.IsZero() {
			t.Errorf("empty: %d since %v, %v", n, oldest, err)
		}
	})
}
