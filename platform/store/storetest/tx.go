package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"trama/platform/fault"
	"trama/platform/store"
)

var errOurs = errors.New("the closure's own error")

func commitAndRollback(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	if err := db.Update(ctx, func(tx store.Tx) error { return insert(ctx, tx, "kept", 1) }); err != nil {
		t.Fatal(err)
	}
	err := db.Update(ctx, func(tx store.Tx) error {
		if err := insert(ctx, tx, "dropped", 2); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE t SET n = 99`); err != nil {
			return err
		}
		return fmt.Errorf("wrapped: %w", errOurs)
	})
	if !errors.Is(err, errOurs) {
		t.Errorf("got %v, want the closure's error", err)
	}
	want(t, "rows", count(t, db, `SELECT COUNT(*) FROM t`), 1)
	want(t, "value", count(t, db, `SELECT n FROM t`), 1)
}

func doom(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	execute(t, db, `INSERT INTO t (id, n) VALUES ('taken', 1)`)
	var later error
	err := db.Update(ctx, func(tx store.Tx) error {
		if err := insert(ctx, tx, "before", 1); err != nil {
			return err
		}
		_ = insert(ctx, tx, "taken", 2) // swallowed
		later = insert(ctx, tx, "after", 3)
		return nil
	})
	if !store.IsUnique(err) {
		t.Errorf("Update: got %v, want the swallowed failure", err)
	}
	if later == nil {
		t.Error("a statement after a failed one succeeded")
	}
	want(t, "rows", count(t, db, `SELECT COUNT(*) FROM t`), 1)
}

func ownWrites(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	err := db.Update(ctx, func(tx store.Tx) error {
		if err := insert(ctx, tx, "a", 1); err != nil {
			return err
		}
		want(t, "own row", count(t, tx, `SELECT n FROM t WHERE id = $1`+tx.ForUpdate(), "a"), 1)
		if _, err := tx.Exec(ctx, `UPDATE t SET n = 2 WHERE id = $1`, "a"); err != nil {
			return err
		}
		want(t, "own change", count(t, tx, `SELECT n FROM t WHERE id = $1`, "a"), 2)
		want(t, "dialect", tx.Dialect(), db.Dialect())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func dirtyReads(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	err := db.Update(ctx, func(tx store.Tx) error {
		if err := insert(ctx, tx, "a", 1); err != nil {
			return err
		}
		want(t, "rows seen outside before commit", count(t, db, `SELECT COUNT(*) FROM t`), 0)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "rows seen outside after commit", count(t, db, `SELECT COUNT(*) FROM t`), 1)
}

// add reads, adds and writes back, the way that loses updates if anything may.
func add(ctx context.Context, db store.DB, id string) error {
	return db.Update(ctx, func(tx store.Tx) error {
		var n int64
		if err := tx.QueryRow(ctx, `SELECT n FROM t WHERE id = $1`+tx.ForUpdate(), id).Scan(&n); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE t SET n = $2 WHERE id = $1`, id, n+1)
		return err
	})
}

func counters(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	const clients, rounds, rows = 16, 20, 3
	for i := range rows {
		execute(t, db, `INSERT INTO t (id, n) VALUES ($1, 0)`, key(i))
	}
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for r := range rounds {
				if err := add(ctx, db, key((c+r)%rows)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	want(t, "sum", count(t, db, `SELECT CAST(SUM(n) AS BIGINT) FROM t`), clients*rounds)
}

func isolation(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	execute(t, db, `INSERT INTO t (id, n) VALUES ('taken', 1)`)
	var wg sync.WaitGroup
	for i := range 90 {
		wg.Go(func() {
			err := db.Update(ctx, func(tx store.Tx) error {
				if err := insert(ctx, tx, key(i), i); err != nil {
					return err
				}
				switch i % 3 {
				case 1:
					return errOurs
				case 2:
					return insert(ctx, tx, "taken", i)
				}
				return nil
			})
			if ok := i%3 == 0 && err == nil || i%3 == 1 && errors.Is(err, errOurs) || i%3 == 2 && store.IsUnique(err); !ok {
				t.Errorf("closure %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	want(t, "rows", count(t, db, `SELECT COUNT(*) FROM t`), 31)
	want(t, "wrong rows", count(t, db, `SELECT COUNT(*) FROM t WHERE n % 3 <> 0 AND id <> 'taken'`), 0)
}

func panics(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			err := db.Update(ctx, func(tx store.Tx) error {
				if err := insert(ctx, tx, key(i), i); err != nil {
					return err
				}
				if i%2 == 1 {
					panic("deliberate")
				}
				return nil
			})
			if (err != nil) != (i%2 == 1) {
				t.Errorf("closure %d: %v", i, err)
			} else if err != nil {
				want(t, "kind of a panic", fault.KindOf(err), fault.Internal)
			}
		})
	}
	wg.Wait()
	want(t, "rows", count(t, db, `SELECT COUNT(*) FROM t`), 15)
}

func afterCommit(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	var ran atomic.Int32
	err := db.Update(ctx, func(tx store.Tx) error {
		tx.AfterCommit(func() {
			want(t, "committed before AfterCommit", count(t, db, `SELECT COUNT(*) FROM t`), 1)
			ran.Add(1)
		})
		tx.AfterCommit(func() { ran.Add(1) })
		if err := insert(ctx, tx, "a", 1); err != nil {
			return err
		}
		want(t, "run before commit", ran.Load(), 0)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "run once each", ran.Load(), 2)
	_ = db.Update(ctx, func(tx store.Tx) error {
		tx.AfterCommit(func() { ran.Add(100) })
		return errOurs
	})
	_ = db.Update(ctx, func(tx store.Tx) error {
		tx.AfterCommit(func() { ran.Add(100) })
		return insert(ctx, tx, "a", 1)
	})
	want(t, "run after a rollback", ran.Load(), 2)
}

func rowsOpen(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	execute(t, db, `INSERT INTO t (id, n) VALUES ('a', 1), ('b', 2)`)
	err := db.Update(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id FROM t`)
		if err != nil {
			return err
		}
		defer rows.Close()
		rows.Next()
		return insert(ctx, tx, "c", 3)
	})
	if !errors.Is(err, store.ErrRowsOpen) {
		t.Errorf("a statement between rows: got %v, want ErrRowsOpen", err)
	}
	err = db.Update(ctx, func(tx store.Tx) error {
		if err := insert(ctx, tx, "d", 3); err != nil {
			return err
		}
		_, err := tx.Query(ctx, `SELECT id FROM t`)
		return err
	})
	if !errors.Is(err, store.ErrRowsOpen) {
		t.Errorf("rows never closed: got %v, want ErrRowsOpen", err)
	}
	err = db.Update(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id FROM t ORDER BY id`)
		if err != nil {
			return err
		}
		for rows.Next() { // reading to the end closes
		}
		if err := insert(ctx, tx, "e", 3); err != nil {
			return err
		}
		if rows, err = tx.Query(ctx, `SELECT id FROM t ORDER BY id`); err != nil {
			return err
		}
		rows.Next()
		if err := rows.Close(); err != nil {
			return err
		}
		return insert(ctx, tx, "f", 3)
	})
	if err != nil {
		t.Error(err)
	}
	want(t, "rows", count(t, db, `SELECT COUNT(*) FROM t`), 4)
}

func control(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	for _, s := range []string{"COMMIT", "rollback", " \n BEGIN", "SAVEPOINT x", "end;"} {
		err := db.Update(ctx, func(tx store.Tx) error {
			if err := insert(ctx, tx, "a", 1); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, s)
			return err
		})
		if err == nil {
			t.Errorf("%q was let through", s)
		}
	}
	want(t, "rows", count(t, db, `SELECT COUNT(*) FROM t`), 0)
}

func txOver(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	var kept store.Tx
	if err := db.Update(ctx, func(tx store.Tx) error { kept = tx; return insert(ctx, tx, "a", 1) }); err != nil {
		t.Fatal(err)
	}
	if err := insert(ctx, kept, "b", 1); !errors.Is(err, store.ErrTxOver) {
		t.Errorf("Exec after the end: %v, want ErrTxOver", err)
	}
	var n int
	if err := kept.QueryRow(ctx, `SELECT COUNT(*) FROM t`).Scan(&n); !errors.Is(err, store.ErrTxOver) {
		t.Errorf("QueryRow after the end: %v, want ErrTxOver", err)
	}
	want(t, "rows", count(t, db, `SELECT COUNT(*) FROM t`), 1)
}

func execAll(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	put := func(id string, n int) store.Statement {
		return store.Statement{SQL: `INSERT INTO t (id, n) VALUES ($1, $2)`, Args: []any{id, n}}
	}
	err := db.Update(ctx, func(tx store.Tx) error {
		if err := store.ExecAll(ctx, tx); err != nil { // none is no error
			return err
		}
		if err := store.ExecAll(ctx, tx, put("a", 1), put("b", 2), store.Statement{SQL: `UPDATE t SET n = n + 10`}); err != nil {
			return err
		}
		want(t, "seen by the next statement", count(t, tx, `SELECT CAST(SUM(n) AS BIGINT) FROM t`), 23)
		return store.ExecAll(ctx, tx, put("c", 3))
	})
	if err != nil {
		t.Fatal(err)
	}
	var later error
	err = db.Update(ctx, func(tx store.Tx) error {
		_ = store.ExecAll(ctx, tx, put("d", 4), put("a", 5), put("e", 6))
		later = store.ExecAll(ctx, tx, put("f", 7))
		return nil
	})
	if !store.IsUnique(err) || later == nil {
		t.Errorf("one of several fails: Update %v, the statement after %v", err, later)
	}
	err = db.Update(ctx, func(tx store.Tx) error {
		return store.ExecAll(ctx, tx, put("g", 8), store.Statement{SQL: "COMMIT"})
	})
	if err == nil {
		t.Error("COMMIT among several was let through")
	}
	want(t, "rows", count(t, db, `SELECT COUNT(*) FROM t`), 3)
}
