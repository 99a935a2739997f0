// Package pgstore keeps a service's store in PostgreSQL.
//
// It owns a pool of connections, connected when first needed: Open succeeds while
// the server is down, calls give Unavailable until it is back, and nothing has to
// be restarted. Several hosts in the URL with target_session_attrs=read-write
// follow a take-over.
//
// An Update is one READ COMMITTED transaction: rows that a closure reads and then
// relies on are locked with Tx.ForUpdate. BEGIN travels with the first statement,
// so an Update of n statements takes n+1 round trips, fewer with store.ExecAll.
// After a deadlock, a serialisation failure or a connection that broke before the
// commit was sent, the closure runs again, a few times. A connection that breaks
// during the commit gives Timeout, because the outcome is then not known.
//
// Durability is the server's: it must run with synchronous_commit on, and with a
// synchronous standby where a take-over may lose nothing.
package pgstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"trama/platform/store"
)

// Options say how a database is used. Only URL is required.
type Options struct {
	// URL is a PostgreSQL connection URL or DSN. search_path in it chooses the
	// schema. It holds a password: never log it.
	URL string
	// MaxConns is the greatest number of pooled connections. Defaults to 8. All
	// leases together have one connection beside them.
	MaxConns int
	// ConnectTimeout bounds one attempt to connect. Defaults to 3 s, or to the URL's.
	ConnectTimeout time.Duration
	// Name is the application_name shown in pg_stat_activity. Defaults to "trama".
	Name string
}

// DB is a database in use. It is safe for concurrent use.
type DB struct {
	pool *pgxpool.Pool
	life context.Context // ends with Close
	stop context.CancelFunc

	mu       sync.Mutex
	isClosed bool
	leases   sync.WaitGroup // Add only while not isClosed, or by one of them
	leasing  leasing

	closing sync.Once
	closed  error
}

var _ store.DB = (*DB)(nil)

// Open prepares the use of a database. It fails for a wrong URL only.
func Open(_ context.Context, opt Options) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(opt.URL)
	if err != nil {
		return nil, fmt.Errorf("pgstore: %w", err) // pgx keeps the password out of it
	}
	cfg.MaxConns = 8
	if opt.MaxConns > 0 {
		cfg.MaxConns = int32(min(opt.MaxConns, 10_000))
	}
	cfg.MinConns = 0
	cfg.HealthCheckPeriod = 10 * time.Second
	cfg.PingTimeout = 5 * time.Second
	cc := cfg.ConnConfig
	switch {
	case opt.ConnectTimeout > 0:
		cc.ConnectTimeout = opt.ConnectTimeout
	case cc.ConnectTimeout == 0:
		cc.ConnectTimeout = 3 * time.Second
	}
	cc.StatementCacheCapacity = 256
	if opt.Name == "" {
		opt.Name = "trama"
	}
	if cc.RuntimeParams["application_name"] == "" {
		cc.RuntimeParams["application_name"] = opt.Name
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, fmt.Errorf("pgstore: %w", err)
	}
	d := &DB{pool: pool}
	d.life, d.stop = context.WithCancel(context.Background())
	return d, nil
}

// Dialect is PostgreSQL.
func (d *DB) Dialect() store.Dialect { return store.Postgres }

// Query reads committed data. The connection is held until the rows are closed.
func (d *DB) Query(ctx context.Context, query string, args ...any) (store.Rows, error) {
	return d.query(ctx, query, args)
}

// QueryRow reads one row of committed data; the query runs in Scan.
func (d *DB) QueryRow(ctx context.Context, query string, args ...any) store.Row {
	return readRow{d, ctx, query, args}
}

// Ping asks the server for a sign of life.
func (d *DB) Ping(ctx context.Context) error {
	var one int
	return d.QueryRow(ctx, "SELECT 1").Scan(&one)
}

// OpenSQL opens the database for database/sql, on the pool's connections, for what
// only database/sql can do (migrations). The caller closes it.
func (d *DB) OpenSQL(context.Context) (*sql.DB, error) {
	return stdlib.OpenDBFromPool(d.pool), nil
}

// closeGrace is how long Close waits for connections in use.
const closeGrace = 5 * time.Second

// Close refuses new work, waits for what is under way, releases leases and closes
// the connections. Closing twice gives the first result.
func (d *DB) Close() error {
	d.closing.Do(func() {
		d.mu.Lock()
		d.isClosed = true
		d.mu.Unlock()
		d.stop()
		done := make(chan struct{})
		go func() {
			d.leases.Wait()
			d.pool.Close()
			close(done)
		}()
		t := time.NewTimer(closeGrace)
		defer t.Stop()
		select {
		case <-done:
		case <-t.C:
			d.closed = errors.New("pgstore: close: connections are still in use")
		}
	})
	return d.closed
}
