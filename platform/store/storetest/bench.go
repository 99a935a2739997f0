package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"trama/platform/store"
)

const benchBody = `{"specversion":"1.0","type":"PedidoRecebido","source":"/pedidos","datacontenttype":"application/json",` +
	`"data":{"cliente":"0190a5d2-7c1e-7000-8000-000000000000","itens":[{"sku":"LIV-0001","quantidade":1}],"total":{"moeda":"BRL","centavos":12990}}}`

// BenchUpdate measures durable updates by that many clients at once: an order is four
// inserts, one of them an outbox row. batched sends them with store.ExecAll.
func BenchUpdate(b *testing.B, db store.DB, clients int, batched bool) {
	benchTables(b, db)
	b.ReportAllocs()
	b.ResetTimer()
	inParallel(b, clients, func(i int64) error { return order(b.Context(), db, i, batched) })
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
}

// BenchQueryRow measures reads of one row by its key, by that many clients at once.
func BenchQueryRow(b *testing.B, db store.DB, clients int) {
	benchTables(b, db)
	for i := range 1000 {
		if err := order(b.Context(), db, int64(i), true); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(b.Context()) // cancellable, as a request's is
	defer cancel()
	b.ReportAllocs()
	b.ResetTimer()
	inParallel(b, clients, func(i int64) error {
		var total int64
		return db.QueryRow(ctx, `SELECT total FROM orders WHERE id = $1`, orderID(i%1000)).Scan(&total)
	})
}

// inParallel does f b.N times in all.
func inParallel(b *testing.B, clients int, f func(i int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := f(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func orderID(i int64) string { return fmt.Sprintf("0190a5d2-7c1e-7000-8000-%012d", i) }

func benchTables(b *testing.B, db store.DB) {
	b.Helper()
	serial := "INTEGER PRIMARY KEY AUTOINCREMENT"
	if db.Dialect() == store.Postgres {
		serial = "BIGSERIAL PRIMARY KEY"
	}
	err := db.Update(b.Context(), func(tx store.Tx) error {
		return store.ExecAll(b.Context(), tx,
			store.Statement{SQL: `CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT NOT NULL, total BIGINT NOT NULL, at BIGINT NOT NULL)`},
			store.Statement{SQL: `CREATE TABLE item (order_id TEXT NOT NULL, line BIGINT NOT NULL, sku TEXT NOT NULL, PRIMARY KEY (order_id, line))`},
			store.Statement{SQL: `CREATE TABLE outbox (seq ` + serial + `, subject TEXT NOT NULL, body TEXT NOT NULL)`})
	})
	if err != nil {
		b.Fatal(err)
	}
}

func order(ctx context.Context, db store.DB, i int64, batched bool) error {
	id := orderID(i)
	item := `INSERT INTO item (order_id, line, sku) VALUES ($1, $2, $3)`
	all := []store.Statement{
		{SQL: `INSERT INTO orders (id, customer, total, at) VALUES ($1, $2, $3, $4)`, Args: []any{id, "c", 12990, i}},
		{SQL: item, Args: []any{id, 0, "LIV-0001"}},
		{SQL: item, Args: []any{id, 1, "LIV-0002"}},
		{SQL: `INSERT INTO outbox (subject, body) VALUES ($1, $2)`, Args: []any{id, benchBody}},
	}
	return db.Update(ctx, func(tx store.Tx) error {
		if batched {
			return store.ExecAll(ctx, tx, all...)
		}
		for _, s := range all {
			if _, err := tx.Exec(ctx, s.SQL, s.Args...); err != nil {
				return err
			}
		}
		return nil
	})
}
