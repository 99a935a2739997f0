package storetest

import (
	"sync"
	"testing"

	"trama/platform/store"
)

func pairSees(t *testing.T, a, b store.DB) {
	tableT(t, a)
	for i := range 20 {
		from, to := a, b
		if i%2 == 1 {
			from, to = b, a
		}
		execute(t, from, `INSERT INTO t (id, n) VALUES ($1, $2)`, key(i), i)
		want(t, "rows seen by the other", count(t, to, `SELECT COUNT(*) FROM t`), int64(i+1))
	}
}

func pairCounters(t *testing.T, a, b store.DB) {
	ctx := background(t)
	tableT(t, a)
	execute(t, a, `INSERT INTO t (id, n) VALUES ('x', 0)`)
	const clients, rounds = 6, 20
	var wg sync.WaitGroup
	for c := range clients {
		db := a
		if c%2 == 1 {
			db = b
		}
		wg.Go(func() {
			for range rounds {
				if err := add(ctx, db, "x"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	want(t, "sum", count(t, a, `SELECT n FROM t`), clients*rounds)
}

func pairLeases(t *testing.T, a, b store.DB) {
	ctx := background(t)
	la, err := a.Lease(ctx, "relay")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan store.Lease, 1)
	go func() {
		lb, err := b.Lease(ctx, "relay")
		if err != nil {
			t.Error(err)
		}
		got <- lb
	}()
	if err := la.Release(); err != nil {
		t.Fatal(err)
	}
	lb := receive(t, "the second holder", got)
	if lb == nil {
		return
	}
	if closedNow(lb.Lost()) {
		t.Error("lost at once")
	}
	if err := lb.Release(); err != nil {
		t.Error(err)
	}
}

func pairLeaseClose(t *testing.T, a, b store.DB) {
	ctx := background(t)
	la, err := a.Lease(ctx, "relay")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	receive(t, "the loss", la.Lost())
	lb, err := b.Lease(ctx, "relay")
	if err != nil {
		t.Fatal(err)
	}
	if err := lb.Release(); err != nil {
		t.Error(err)
	}
}
