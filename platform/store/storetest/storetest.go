// Package storetest is the contract suite of the store port. Every adapter runs
// it; what it does not prove, no service may rely on.
//
// Run takes a constructor of an empty store; RunPair one of two handles on the
// same empty store, as two processes would have. Constructors register their
// own cleanup, which may close a store that a test has closed already.
package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"trama/platform/store"
)

// limit bounds every test: a contract broken by waiting for ever must fail.
const limit = 60 * time.Second

// Run proves the promises of one handle.
func Run(t *testing.T, open func(t *testing.T) store.DB) {
	for name, test := range map[string]func(t *testing.T, db store.DB){
		"commit and rollback":             commitAndRollback,
		"reading":                         reading,
		"parameters by number":            parameters,
		"portable SQL":                    portable,
		"values":                          values,
		"nulls":                           nulls,
		"large values":                    large,
		"many statements":                 manyStatements,
		"constraints":                     constraints,
		"the first failure dooms":         doom,
		"own writes are read":             ownWrites,
		"no dirty reads":                  dirtyReads,
		"counters lose no update":         counters,
		"an error undoes only its own":    isolation,
		"a panic undoes only its own":     panics,
		"after commit":                    afterCommit,
		"several statements at once":      execAll,
		"an ended context":                endedContext,
		"a context that ends in waiting":  waitingContext,
		"a context that ends in a query":  queryContext,
		"rows must be closed":             rowsOpen,
		"transaction control is refused":  control,
		"a transaction ends with closure": txOver,
		"times are not arguments":         times,
		"leases":                          leases,
		"leases end with Close":           leaseClose,
		"Ping":                            ping,
		"Close":                           closing,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// RunPair proves what holds between two handles on one store.
func RunPair(t *testing.T, open func(t *testing.T) (a, b store.DB)) {
	for name, test := range map[string]func(t *testing.T, a, b store.DB){
		"commits are seen":       pairSees,
		"counters":               pairCounters,
		"leases exclude":         pairLeases,
		"leases go with a Close": pairLeaseClose,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := open(t)
			test(t, a, b)
		})
	}
}

func background(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// run executes statements without arguments, each in an Update of its own.
func run(t *testing.T, db store.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		execute(t, db, s)
	}
}

// execute executes one statement in an Update and gives the number of rows changed.
func execute(t *testing.T, db store.DB, sql string, args ...any) int64 {
	t.Helper()
	var n int64
	ctx := background(t)
	err := db.Update(ctx, func(tx store.Tx) (err error) {
		n, err = tx.Exec(ctx, sql, args...)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// count gives the result of a query for one number.
func count(t *testing.T, q store.Queryer, sql string, args ...any) int64 {
	t.Helper()
	var n int64
	if err := q.QueryRow(background(t), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func want[T comparable](t *testing.T, what string, got, wanted T) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s: got %v, want %v", what, got, wanted)
	}
}

// receive waits for a value within the limit.
func receive[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(limit):
		t.Fatalf("%s: nothing came", what)
	}
	return v
}

// closedNow says whether c is closed at this moment.
func closedNow(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func tableT(t *testing.T, db store.DB) {
	t.Helper()
	run(t, db, `CREATE TABLE t (id TEXT PRIMARY KEY, n BIGINT NOT NULL)`)
}

func insert(ctx context.Context, tx store.Tx, id string, n int) error {
	_, err := tx.Exec(ctx, `INSERT INTO t (id, n) VALUES ($1, $2)`, id, n)
	return err
}

func key(i int) string { return fmt.Sprintf("k%04d", i) }
