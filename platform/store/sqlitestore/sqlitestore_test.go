package sqlitestore_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"trama/platform/store"
	"trama/platform/store/sqlitestore"
	"trama/platform/store/storetest"
)

func open(t testing.TB, o sqlitestore.Options) *sqlitestore.DB {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "data", "with 100% ?#.db")
	}
	db, err := sqlitestore.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.DB { return open(t, sqlitestore.Options{}) })
}

func TestContractOneByOne(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.DB { return open(t, sqlitestore.Options{MaxBatch: 1, Readers: 1}) })
}

func TestContractPair(t *testing.T) {
	storetest.RunPair(t, func(t *testing.T) (a, b store.DB) {
		path := filepath.Join(t.TempDir(), "shared.db")
		return open(t, sqlitestore.Options{Path: path}), open(t, sqlitestore.Options{Path: path})
	})
}

func TestMain(m *testing.M) {
	storetest.Main(m, func(ctx context.Context, path string) (store.DB, error) {
		return sqlitestore.Open(ctx, sqlitestore.Options{Path: path})
	})
}

func TestProcesses(t *testing.T) {
	storetest.RunProcesses(t,
		func(t *testing.T) string { return filepath.Join(t.TempDir(), "shared.db") },
		func(t *testing.T, path string) store.DB { return open(t, sqlitestore.Options{Path: path}) })
}

// Simulations run stores inside a bubble of testing/synctest: nothing in them may
// keep its clock from moving, or wait for what is outside.
func TestInBubble(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bubble.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		tableT(t, db)
		begin := time.Now()
		for range 100 {
			time.Sleep(24 * time.Hour) // the bubble's, which takes no time
			err := db.Update(t.Context(), func(tx store.Tx) error {
				_, err := tx.Exec(t.Context(), `INSERT INTO t (id, n) VALUES ($1, 1)`, time.Now().String())
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if n := number(t, db, `SELECT COUNT(*) FROM t`); n != 100 || time.Since(begin) != 2400*time.Hour {
			t.Errorf("%d rows after %v", n, time.Since(begin))
		}
		first, err := db.Lease(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Hour, func() { _ = first.Release() })
		if _, err := db.Lease(t.Context(), "x"); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Many open a file that does not exist yet, at the same moment.
func TestOpenTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "x.db")
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: path})
			if err != nil {
				t.Error(err)
				return
			}
			err = db.Update(t.Context(), func(tx store.Tx) error {
				if _, err := tx.Exec(t.Context(), `CREATE TABLE IF NOT EXISTS t (id BIGINT PRIMARY KEY)`); err != nil {
					return err
				}
				_, err := tx.Exec(t.Context(), `INSERT INTO t (id) VALUES ($1)`, i)
				return err
			})
			if err := errors.Join(err, db.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := number(t, open(t, sqlitestore.Options{Path: path}), `SELECT COUNT(*) FROM t`); n != 6 {
		t.Errorf("%d rows, want 6", n)
	}
}
