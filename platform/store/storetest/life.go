package storetest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"trama/platform/fault"
	"trama/platform/store"
)

func endedContext(t *testing.T, db store.DB) {
	tableT(t, db)
	ctx, cancel := context.WithCancel(background(t))
	cancel()
	ran := false
	err := db.Update(ctx, func(store.Tx) error { ran = true; return nil })
	if !errors.Is(err, context.Canceled) || ran {
		t.Errorf("Update: %v, closure ran: %v", err, ran)
	}
	var n int
	if err := db.QueryRow(ctx, `SELECT COUNT(*) FROM t`).Scan(&n); !errors.Is(err, context.Canceled) {
		t.Errorf("QueryRow: %v", err)
	}
	if _, err := db.Query(ctx, `SELECT COUNT(*) FROM t`); !errors.Is(err, context.Canceled) {
		t.Errorf("Query: %v", err)
	}
	if _, err := db.Lease(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("Lease: %v", err)
	}
	// A context that ends within the closure undoes it.
	inside, cancelInside := context.WithCancel(background(t))
	err = db.Update(inside, func(tx store.Tx) error {
		if err := insert(inside, tx, "a", 1); err != nil {
			return err
		}
		cancelInside()
		return insert(inside, tx, "b", 1)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended inside: %v", err)
	}
	want(t, "rows", count(t, db, `SELECT COUNT(*) FROM t`), 0)
}

// waitingContext: who waits for a lock somebody holds goes when its context ends.
func waitingContext(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	execute(t, db, `INSERT INTO t (id, n) VALUES ('a', 0)`)
	inside, release, held := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		held <- db.Update(ctx, func(tx store.Tx) error {
			if _, err := tx.Exec(ctx, `UPDATE t SET n = 1 WHERE id = 'a'`); err != nil {
				return err
			}
			close(inside)
			<-release
			return nil
		})
	}()
	receive(t, "the holder", inside)
	waiting, cancel := context.WithCancel(ctx)
	gone := make(chan error, 1)
	go func() {
		gone <- db.Update(waiting, func(tx store.Tx) error {
			_, err := tx.Exec(waiting, `UPDATE t SET n = n + 10 WHERE id = 'a'`)
			return err
		})
	}()
	cancel()
	if err := receive(t, "the one who waits", gone); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	close(release)
	if err := receive(t, "the holder's end", held); err != nil {
		t.Error(err)
	}
	want(t, "value", count(t, db, `SELECT n FROM t`), 1)
}

// queryContext: a long query ends with its context, and the store goes on.
func queryContext(t *testing.T, db store.DB) {
	tableT(t, db)
	ctx, cancel := context.WithCancel(background(t))
	done := make(chan error, 1)
	go func() {
		var n int64
		done <- db.QueryRow(ctx, `WITH RECURSIVE r (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 2000000000)
			SELECT COUNT(*) FROM r`).Scan(&n)
	}()
	cancel()
	if err := receive(t, "the query's end", done); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	for range 8 {
		want(t, "the next queries", count(t, db, `SELECT COUNT(*) FROM t`), 0)
	}
}

func leases(t *testing.T, db store.DB) {
	ctx := background(t)
	one, err := db.Lease(ctx, "relay")
	if err != nil {
		t.Fatal(err)
	}
	other, err := db.Lease(ctx, "other-1.x_y") // another name is free
	if err != nil {
		t.Fatal(err)
	}
	tired, cancel := context.WithCancel(ctx)
	gave := make(chan error, 1)
	go func() {
		_, err := db.Lease(tired, "relay")
		gave <- err
	}()
	cancel()
	if err := receive(t, "the tired one", gave); !errors.Is(err, context.Canceled) {
		t.Errorf("the tired one: %v", err)
	}

	most := queueUp(t, db, 4)
	if closedNow(one.Lost()) {
		t.Error("lost while held")
	}
	for range 2 {
		if err := one.Release(); err != nil {
			t.Fatal(err)
		}
	}
	if !closedNow(one.Lost()) {
		t.Error("not lost after Release")
	}
	want(t, "most holders at once", most(), 1)
	if closedNow(other.Lost()) {
		t.Error("the other name was lost with it")
	}
	for _, bad := range []string{"", "../x", "A", "a b", ".x", "é"} {
		if _, err := db.Lease(ctx, bad); err == nil {
			t.Errorf("name %q was accepted", bad)
		}
	}
	if err := other.Release(); err != nil {
		t.Error(err)
	}
}

// queueUp lets n callers wait for the lease, which somebody holds, and take it one
// after the other. The result waits for them and gives how many held it at once.
func queueUp(t *testing.T, db store.DB, n int) (most func() int32) {
	t.Helper()
	ctx := background(t)
	var holders, top atomic.Int32
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			l, err := db.Lease(ctx, "relay")
			if err != nil {
				t.Error(err)
				return
			}
			if now := holders.Add(1); now > top.Load() {
				top.Store(now)
			}
			runtime.Gosched() // a second holder, were there one, would be seen
			holders.Add(-1)
			if err := l.Release(); err != nil {
				t.Error(err)
			}
		})
	}
	return func() int32 {
		wg.Wait()
		return top.Load()
	}
}

func leaseClose(t *testing.T, db store.DB) {
	ctx := background(t)
	held, err := db.Lease(ctx, "relay")
	if err != nil {
		t.Fatal(err)
	}
	waiter := make(chan error, 1)
	go func() {
		_, err := db.Lease(ctx, "relay")
		waiter <- err
	}()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	receive(t, "the loss", held.Lost())
	if err := receive(t, "the waiter", waiter); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("who waited: %v, want unavailable", err)
	}
}

func ping(t *testing.T, db store.DB) {
	if err := db.Ping(background(t)); err != nil {
		t.Error(err)
	}
}

func closing(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	// What waits when Close comes is done or refused, never half.
	var wg sync.WaitGroup
	start := make(chan struct{})
	var mu sync.Mutex
	done := int64(0)
	for i := range 20 {
		wg.Go(func() {
			<-start
			err := db.Update(ctx, func(tx store.Tx) error { return insert(ctx, tx, key(i), i) })
			if err == nil {
				mu.Lock()
				done++
				mu.Unlock()
			} else if fault.KindOf(err) != fault.Unavailable {
				t.Errorf("at Close: %v", err)
			}
		})
	}
	close(start)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := db.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	err := db.Update(ctx, func(store.Tx) error { return nil })
	want(t, "Update after Close", fault.KindOf(err), fault.Unavailable)
	var n int
	want(t, "QueryRow after Close", fault.KindOf(db.QueryRow(ctx, `SELECT 1`).Scan(&n)), fault.Unavailable)
	want(t, "Ping after Close", fault.KindOf(db.Ping(ctx)), fault.Unavailable)
	if _, err := db.Lease(ctx, "x"); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Lease after Close: %v", err)
	}
}
