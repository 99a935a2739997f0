package pgstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"trama/platform/enginetest"
	"trama/platform/fault"
	"trama/platform/store"
	"trama/platform/store/pgstore"
)

const leaseNames = 20

// takeAll takes leases of many names at once.
func takeAll(t *testing.T, db store.DB) []store.Lease {
	t.Helper()
	out := make([]store.Lease, leaseNames)
	var wg sync.WaitGroup
	for i := range out {
		wg.Go(func() {
			l, err := db.Lease(t.Context(), fmt.Sprint("name-", i))
			if err != nil {
				t.Error(err)
				return
			}
			out[i] = l
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return out
}

// However many leases a process holds and waits for, it has one connection for
// them, and none when it needs none.
func TestLeasesShareOneConnection(t *testing.T) {
	url := enginetest.PostgresDatabase(t)
	admin := open(t, pgstore.Options{URL: url, Name: "observer"})
	connections := func(name string) int {
		return number(t, admin, `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1`, name)
	}
	holder := open(t, pgstore.Options{URL: url, Name: "holder"})
	held := takeAll(t, holder)
	if n := connections("holder"); n != 1 {
		t.Errorf("%d connections hold %d leases", n, leaseNames)
	}
	waiter := open(t, pgstore.Options{URL: url, Name: "waiter"})
	got := make(chan []store.Lease)
	go func() { got <- takeAll(t, waiter) }()
	for connections("waiter") == 0 { // until it asks
		time.Sleep(time.Millisecond)
	}
	if n := connections("waiter"); n != 1 {
		t.Errorf("%d connections wait for leases", n)
	}
	for _, l := range held {
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	}
	theirs := <-got
	for connections("holder") > 0 { // the server ends a session a moment after its client
		time.Sleep(time.Millisecond)
	}
	for _, l := range theirs {
		select {
		case <-l.Lost():
			t.Fatal("lost while held")
		default:
		}
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	}
}

// With the session all leases go at once; the next ones come on a new session,
// and releasing the old ones does no harm to them.
func TestLeasesAreLostTogether(t *testing.T) {
	p, url := newProxy(t, enginetest.PostgresDatabase(t))
	p.up(t)
	db := open(t, pgstore.Options{URL: url})
	lost := takeAll(t, db)
	p.cut()
	for _, l := range lost {
		<-l.Lost()
	}
	again := takeAll(t, db)
	for _, l := range lost {
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := db.Lease(short, "name-0"); err == nil {
		t.Error("the release of a lost lease freed the new one")
	}
	p.down()
	for _, l := range again {
		<-l.Lost()
	}
	if _, err := db.Lease(t.Context(), "name-0"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("while the server is down: %v", err)
	}
	p.up(t)
	l, err := db.Lease(t.Context(), "name-0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
}

// A caller that gives up leaves nothing behind: the name is free for the next.
func TestLeaseGivenUp(t *testing.T) {
	url := enginetest.PostgresDatabase(t)
	a, b := open(t, pgstore.Options{URL: url}), open(t, pgstore.Options{URL: url})
	for i := range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*50*time.Microsecond)
		if l, err := a.Lease(ctx, "x"); err == nil {
			if err := l.Release(); err != nil {
				t.Error(err)
			}
		}
		cancel()
		l, err := b.Lease(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	}
}
