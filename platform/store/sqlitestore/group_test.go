package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/platform/fault"
	"trama/platform/store"
)

func openHere(t *testing.T, o Options) *DB {
	t.Helper()
	o.Path = filepath.Join(t.TempDir(), "g.db")
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	err = db.Update(t.Context(), func(tx store.Tx) error {
		for _, s := range []string{
			`CREATE TABLE t (id TEXT PRIMARY KEY, body TEXT NOT NULL)`,
			`CREATE TABLE late (id TEXT PRIMARY KEY, t TEXT REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)`,
		} {
			if _, err := tx.Exec(t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func put(tx store.Tx, id, body string) error {
	_, err := tx.Exec(context.Background(), `INSERT INTO t (id, body) VALUES ($1, $2)`, id, body)
	return err
}

func rowsOf(t *testing.T, q store.Queryer, table string) (n int) {
	t.Helper()
	if err := q.QueryRow(t.Context(), `SELECT COUNT(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// together makes sure that the closures run in one group: the writer is held
// until all of them wait, in this order. It gives their outcomes.
func together(t *testing.T, db *DB, closures ...func(tx store.Tx) error) []error {
	t.Helper()
	errs := make([]error, len(closures))
	var wg sync.WaitGroup
	held, release := make(chan struct{}), make(chan struct{})
	wg.Go(func() {
		// It fails, which ends its own group: the others are a group of their own.
		err := db.Update(t.Context(), func(store.Tx) error { close(held); <-release; return errOurs })
		if !errors.Is(err, errOurs) {
			t.Error(err)
		}
	})
	<-held
	for i, fn := range closures {
		wg.Go(func() { errs[i] = db.Update(t.Context(), fn) })
		waitFor(t, func() bool {
			db.writer.queue.mu.Lock()
			defer db.writer.queue.mu.Unlock()
			return len(db.writer.queue.jobs) == i+1
		})
	}
	close(release)
	wg.Wait()
	return errs
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
		runtime.Gosched()
	}
}

var errOurs = errors.New("ours")

// The group really is one transaction, and each closure sees its neighbours'
// work but not what was undone.
func TestGroupIsOneTransaction(t *testing.T) {
	db := openHere(t, Options{})
	see := func(tx store.Tx) int { return rowsOf(t, tx, "t") }
	var seen [4]int
	errs := together(t, db,
		func(tx store.Tx) error { seen[0] = see(tx); return put(tx, "a", "") },
		func(tx store.Tx) error { seen[1] = see(tx); _ = put(tx, "b", ""); return errOurs },
		func(tx store.Tx) error {
			seen[2] = see(tx)
			if n := rowsOf(t, db, "t"); n != 0 {
				t.Errorf("%d rows are visible before the group's commit", n)
			}
			return put(tx, "c", "")
		},
		func(tx store.Tx) error { seen[3] = see(tx); return nil },
	)
	if errs[0] != nil || !errors.Is(errs[1], errOurs) || errs[2] != nil || errs[3] != nil {
		t.Errorf("outcomes: %v", errs)
	}
	if seen != [4]int{0, 1, 1, 2} {
		t.Errorf("rows seen: %v", seen)
	}
	if n := rowsOf(t, db, "t"); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

// When the first of a group fails, its neighbours are not touched by that.
func TestFirstOfGroupFails(t *testing.T) {
	db := openHere(t, Options{})
	errs := together(t, db,
		func(tx store.Tx) error { return errors.Join(put(tx, "a", ""), errOurs) },
		func(tx store.Tx) error { return errors.Join(put(tx, "b", ""), errOurs) },
		func(tx store.Tx) error { return put(tx, "c", "") },
	)
	if !errors.Is(errs[0], errOurs) || !errors.Is(errs[1], errOurs) || errs[2] != nil {
		t.Errorf("outcomes: %v", errs)
	}
	if n := rowsOf(t, db, "t"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// A deferred constraint breaks at the commit of all. Only the culprit may pay,
// and no answer may rest on what was undone.
func TestDeferredConstraint(t *testing.T) {
	db := openHere(t, Options{})
	exists := func(tx store.Tx) error {
		if rowsOf(t, tx, "late") > 0 {
			return errOurs // true only in the group's first, undone run
		}
		return put(tx, "d", "")
	}
	errs := together(t, db,
		func(tx store.Tx) error { return put(tx, "a", "") },
		func(tx store.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO late (id, t) VALUES ('l', 'nobody')`)
			return err
		},
		exists,
	)
	var ce *store.ConstraintError
	if errs[0] != nil || !errors.As(errs[1], &ce) || errs[2] != nil {
		t.Errorf("outcomes: %v", errs)
	}
	if rowsOf(t, db, "t") != 2 || rowsOf(t, db, "late") != 0 {
		t.Errorf("rows: %d and %d, want 2 and 0", rowsOf(t, db, "t"), rowsOf(t, db, "late"))
	}
}

// A closure that ends its goroutine fails its group, not the store.
func TestGoexit(t *testing.T) {
	db := openHere(t, Options{})
	errs := together(t, db,
		func(tx store.Tx) error { return put(tx, "a", "") },
		func(tx store.Tx) error { runtime.Goexit(); return nil },
		func(tx store.Tx) error { return put(tx, "c", "") },
	)
	if fault.KindOf(errs[0]) != fault.Unavailable || !errors.Is(errs[1], errGoexit) || errs[2] != nil {
		t.Errorf("outcomes: %v", errs)
	}
	if n := rowsOf(t, db, "t"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// full limits the file to a few pages more than it has, as a full disk would;
// the returned function makes room again.
func full(t *testing.T, db *DB) (room func()) {
	t.Helper()
	set := func(pages int) {
		err := db.Update(t.Context(), func(tx store.Tx) error {
			if pages == 0 {
				if err := tx.QueryRow(t.Context(), `PRAGMA page_count`).Scan(&pages); err != nil {
					return err
				}
				pages += 5
			}
			var got int
			return tx.QueryRow(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)).Scan(&got)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	set(0)
	return func() { set(1 << 30) }
}

func TestFullDatabase(t *testing.T) {
	db := openHere(t, Options{})
	room := full(t, db)
	big := strings.Repeat("x", 100_000)
	errs := together(t, db,
		func(tx store.Tx) error { return put(tx, "a", "") },
		func(tx store.Tx) error { return put(tx, "b", big) },
		func(tx store.Tx) error { return put(tx, "c", "") },
	)
	for i, kind := range []fault.Kind{fault.Unavailable, fault.Unavailable} {
		if errs[i] == nil || fault.KindOf(errs[i]) != kind || fault.As(errs[i]).Code != store.CodeUnavailable {
			t.Errorf("closure %d: %v", i, errs[i])
		}
	}
	if errs[2] != nil {
		t.Errorf("the group after it: %v", errs[2])
	}
	if n := rowsOf(t, db, "t"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	room()
	if err := db.Update(t.Context(), func(tx store.Tx) error { return put(tx, "b", big) }); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// The connection can go bad under us: the group fails, the next one works.
func TestLostConnection(t *testing.T) {
	db := openHere(t, Options{})
	err := db.Update(t.Context(), func(tx store.Tx) error {
		if err := put(tx, "a", ""); err != nil {
			return err
		}
		db.writer.c.discard()
		return put(tx, "b", "")
	})
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if err := db.Update(t.Context(), func(tx store.Tx) error { return put(tx, "c", "") }); err != nil {
		t.Fatal(err)
	}
	if n := rowsOf(t, db, "t"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}
