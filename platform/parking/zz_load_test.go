package parking_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/enginetest"
	"trama/platform/outbox"
	"trama/platform/parking"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
)

func TestZZLoad(t *testing.T) {
	for _, e := range []string{"sqlite", "pg"} {
		var db store.DB
		var err error
		if e == "sqlite" {
			db, err = sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(t.TempDir(), "s.db"), Synchronous: "OFF"})
		} else {
			db, err = pgstore.Open(t.Context(), pgstore.Options{URL: enginetest.PostgresDatabase(t)})
		}
		if err != nil {
			t.Fatal(err)
		}
		migration.Run(t.Context(), db, "platform", outbox.Schema())
		lot := parking.New(db, clock.System{}, "x")
		ctx := t.Context()
		tm := func(what string, f func() error) {
			b := time.Now()
			err := f()
			t.Log(e, what, time.Since(b), err)
		}
		n := 0
		load := func(k int, state bus.LetterState, subj func(i int) string) {
			for i := 0; i < k; i += 1000 {
				var ls []bus.Letter
				for j := range 1000 {
					l := bus.Letter{ID: fmt.Sprint("id-", n), Subject: subj(i + j), State: state, Body: []byte("{}")}
					if state != bus.Behind {
						l.Note(bus.Attempt{Kind: "internal", Code: "x", Error: "e"})
					}
					ls = append(ls, l)
					n++
				}
				if err := lot.Park(ctx, "s", ls...); err != nil {
					t.Fatal(err)
				}
			}
		}
		tm("load behind 200k", func() error { load(200_000, bus.Behind, func(int) string { return "one" }); return nil })
		tm("load dead 50k", func() error { load(50_000, bus.Dead, func(i int) string { return fmt.Sprint("d", i) }); return nil })
		for range 2 {
			tm("woken", func() error { _, _, err := lot.Woken(ctx, "s", time.Now(), 100); return err })
			tm("front", func() error { _, err := lot.Front(ctx, "s", "one", 100); return err })
			tm("done1", func() error { l, _ := lot.Front(ctx, "s", "one", 1); return lot.Done(ctx, "s", l[0].ID) })
			tm("done100", func() error {
				l, _ := lot.Front(ctx, "s", "one", 100)
				var ids []string
				for _, x := range l {
					ids = append(ids, x.ID)
				}
				return lot.Done(ctx, "s", ids...)
			})
			tm("park", func() error {
				n++
				return lot.Park(ctx, "s", bus.Letter{ID: fmt.Sprint("p", n), Subject: "one", State: bus.Behind})
			})
			tm("blocked", func() error { _, err := lot.Blocked(ctx, "s"); return err })
			tm("list dead", func() error { _, _, err := lot.List(ctx, parking.Filter{State: bus.Dead}, "", 50); return err })
			tm("list all", func() error { _, _, err := lot.List(ctx, parking.Filter{}, "", 50); return err })
			tm("causes", func() error { _, err := lot.Causes(ctx, parking.Filter{}); return err })
			tm("counts", func() error { c, err := lot.Counts(ctx); t.Log(c); return err })
			tm("retry 500", func() error { d, l, err := lot.Retry(ctx, parking.Filter{}, "a", 500); t.Log(d, l); return err })
			tm("drop 500 of one", func() error {
				d, l, err := lot.Drop(ctx, parking.Filter{Subject: "one"}, "a", "", 500)
				t.Log(d, l)
				return err
			})
		}
		db.Close()
	}
}
