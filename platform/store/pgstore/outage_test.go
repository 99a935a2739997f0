package pgstore_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trama/platform/enginetest"
	"trama/platform/fault"
	"trama/platform/store"
	"trama/platform/store/pgstore"
)

func execute(t testing.TB, db store.DB, sql string, args ...any) {
	t.Helper()
	err := db.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(t.Context(), sql, args...)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func number(t testing.TB, q store.Queryer, sql string, args ...any) (n int) {
	t.Helper()
	if err := q.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func kindIs(t *testing.T, what string, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Errorf("%s: got %v, want %v", what, err, kind)
	}
}

// The server may be down at the start and go away in between: calls say so, and
// work again once it is back, without anything being reopened.
func TestOutage(t *testing.T) {
	p, u := newProxy(t, enginetest.PostgresDatabase(t))
	db := open(t, pgstore.Options{URL: u, MaxConns: 4})
	insert := func(id string) error {
		return db.Update(t.Context(), func(tx store.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO t (id) VALUES ($1)`, id)
			return err
		})
	}
	all := func(what string) {
		t.Helper()
		kindIs(t, what+": Update", insert("no"), fault.Unavailable)
		kindIs(t, what+": Ping", db.Ping(t.Context()), fault.Unavailable)
		_, err := db.Query(t.Context(), `SELECT 1`)
		kindIs(t, what+": Query", err, fault.Unavailable)
		_, err = db.Lease(t.Context(), "x")
		kindIs(t, what+": Lease", err, fault.Unavailable)
	}
	all("down at the start")
	p.up(t)
	if err := db.Ping(t.Context()); err != nil {
		t.Fatalf("up: %v", err)
	}
	execute(t, db, `CREATE TABLE t (id TEXT PRIMARY KEY)`)
	l, err := db.Lease(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	p.down()
	select {
	case <-l.Lost():
	case <-time.After(20 * time.Second):
		t.Error("the lease's loss was not noticed")
	}
	if err := l.Release(); err != nil {
		t.Errorf("release of a lost lease: %v", err)
	}
	all("down in between")
	p.up(t)
	if err := insert("yes"); err != nil {
		t.Errorf("up again: %v", err)
	}
	if n := number(t, db, `SELECT COUNT(*) FROM t`); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

// Connections that die in the pool, as in a restart of the server, are nobody's
// error: closures run again before anything was committed.
func TestDeadConnections(t *testing.T) {
	p, u := newProxy(t, enginetest.PostgresDatabase(t))
	p.up(t)
	db := open(t, pgstore.Options{URL: u, MaxConns: 4})
	execute(t, db, `CREATE TABLE t (id BIGINT PRIMARY KEY)`)
	for round := range 5 {
		var wg sync.WaitGroup
		for i := range 4 { // all four connections come into use
			wg.Go(func() {
				err := db.Update(t.Context(), func(tx store.Tx) error {
					if _, err := tx.Exec(t.Context(), `INSERT INTO t (id) VALUES ($1)`, round*10+i); err != nil {
						return err
					}
					var slept any
					return tx.QueryRow(t.Context(), `SELECT pg_sleep(0.02)::text`).Scan(&slept)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		p.cut()
		if n := number(t, db, `SELECT COUNT(*) FROM t`); n != (round+1)*4 {
			t.Errorf("round %d: %d rows, want %d", round, n, (round+1)*4)
		}
		p.cut()
	}
	runs := 0
	err := db.Update(t.Context(), func(tx store.Tx) error {
		runs++
		if _, err := tx.Exec(t.Context(), `INSERT INTO t (id) VALUES (1000)`); err != nil {
			return err
		}
		if runs == 1 {
			p.cut() // in the middle of the transaction
		}
		_, err := tx.Exec(t.Context(), `INSERT INTO t (id) VALUES (1001)`)
		return err
	})
	if err != nil || runs < 2 {
		t.Errorf("cut in the middle: %v after %d runs", err, runs)
	}
	if n := number(t, db, `SELECT COUNT(*) FROM t WHERE id >= 1000`); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

// When the answer to COMMIT is lost, only "it may have been done" is true.
func TestUncertainCommit(t *testing.T) {
	p, u := newProxy(t, enginetest.PostgresDatabase(t))
	p.up(t)
	db := open(t, pgstore.Options{URL: u})
	execute(t, db, `CREATE TABLE t (id TEXT PRIMARY KEY)`)
	var runs, after atomic.Int32
	err := db.Update(t.Context(), func(tx store.Tx) error {
		runs.Add(1)
		tx.AfterCommit(func() { after.Add(1) })
		_, err := tx.Exec(t.Context(), `INSERT INTO t (id) VALUES ('maybe')`)
		p.loseAnswerTo("commit\x00")
		return err
	})
	kindIs(t, "lost answer", err, fault.Timeout)
	if code := fault.As(err).Code; code != store.CodeUncertain {
		t.Errorf("code %s, want %s", code, store.CodeUncertain)
	}
	if runs.Load() != 1 || after.Load() != 0 {
		t.Errorf("%d runs and %d AfterCommit, want 1 and 0", runs.Load(), after.Load())
	}
	// Here it was done in fact: the commit reached the server.
	deadline := time.Now().Add(10 * time.Second)
	for number(t, db, `SELECT COUNT(*) FROM t`) != 1 {
		if time.Now().After(deadline) {
			t.Fatal("the commit never showed")
		}
	}
}

// Two closures that lock the same rows in opposite order: the server stops one,
// it runs again, and both are done.
func TestDeadlock(t *testing.T) {
	db := open(t, pgstore.Options{URL: with(t, enginetest.PostgresDatabase(t), "deadlock_timeout", "50ms")})
	execute(t, db, `CREATE TABLE t (id TEXT PRIMARY KEY, n BIGINT NOT NULL)`)
	execute(t, db, `INSERT INTO t (id, n) VALUES ('a', 0), ('b', 0)`)
	var runs atomic.Int32
	var both sync.WaitGroup
	both.Add(2)
	var wg sync.WaitGroup
	for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		wg.Go(func() {
			first := true
			err := db.Update(t.Context(), func(tx store.Tx) error {
				runs.Add(1)
				for i, id := range order {
					if _, err := tx.Exec(t.Context(), `UPDATE t SET n = n + 1 WHERE id = $1`, id); err != nil {
						return errors.New("the closure hides why") // Update knows by itself
					}
					if i == 0 && first {
						first = false
						both.Done()
						both.Wait() // each holds its first row
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if runs.Load() < 3 {
		t.Errorf("%d runs: there was no deadlock to test", runs.Load())
	}
	if n := number(t, db, `SELECT COUNT(*) FROM t WHERE n = 2`); n != 2 {
		t.Errorf("%d rows are right, want 2", n)
	}
}

// A deferred constraint breaks at COMMIT and is a ConstraintError all the same.
func TestDeferredConstraint(t *testing.T) {
	db := open(t, pgstore.Options{URL: enginetest.PostgresDatabase(t)})
	execute(t, db, `CREATE TABLE t (id TEXT PRIMARY KEY)`)
	execute(t, db, `CREATE TABLE late (t TEXT CONSTRAINT late_t REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)`)
	err := db.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO late (t) VALUES ('nobody')`)
		return err
	})
	var c *store.ConstraintError
	if !errors.As(err, &c) || c.Constraint != "late_t" || c.Unique {
		t.Errorf("got %v, want the broken constraint late_t", err)
	}
}

// A change of a table under a cached statement is nobody's error either.
func TestStaleStatement(t *testing.T) {
	db := open(t, pgstore.Options{URL: enginetest.PostgresDatabase(t), MaxConns: 1})
	execute(t, db, `CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER)`)
	execute(t, db, `INSERT INTO t (id, n) VALUES ('a', 1)`)
	read := func() (n int64) {
		t.Helper()
		if err := db.QueryRow(t.Context(), `SELECT n FROM t WHERE id = $1`, "a").Scan(&n); err != nil {
			t.Fatal(err)
		}
		err := db.Update(t.Context(), func(tx store.Tx) error {
			return tx.QueryRow(t.Context(), `SELECT n FROM t WHERE id = $1 FOR UPDATE`, "a").Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	read()
	execute(t, db, `ALTER TABLE t ALTER COLUMN n TYPE BIGINT`)
	if n := read(); n != 1 {
		t.Errorf("read %d", n)
	}
}

// A server that stops taking writes, as in a take-over, is left for one that does.
func TestTakeOver(t *testing.T) {
	database := enginetest.PostgresDatabase(t)
	db := open(t, pgstore.Options{URL: database, MaxConns: 1})
	execute(t, db, `CREATE TABLE t (id TEXT PRIMARY KEY)`)
	runs := 0
	err := db.Update(t.Context(), func(tx store.Tx) error {
		if runs++; runs == 1 { // what a demoted server does to its sessions
			if _, err := tx.Exec(t.Context(), `SET TRANSACTION READ ONLY`); err != nil {
				return err
			}
		}
		_, err := tx.Exec(t.Context(), `INSERT INTO t (id) VALUES ('a')`)
		return err
	})
	if err != nil || runs != 2 {
		t.Errorf("%v after %d runs, want success in the second", err, runs)
	}
}

// Waiting for a connection ends with the context; what leaks is named by Close.
func TestPoolExhausted(t *testing.T) {
	db := open(t, pgstore.Options{URL: enginetest.PostgresDatabase(t), MaxConns: 1})
	rows, err := db.Query(t.Context(), `SELECT 1`)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := db.Update(short, func(store.Tx) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
