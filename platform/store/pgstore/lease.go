package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"trama/platform/store"
)

const (
	leasePing    = 5 * time.Second // a lease's connection is asked this often whether it lives
	leaseTimeout = 5 * time.Second // and has so long to answer
)

// leaseLock takes the session's advisory lock. The schema is part of the name: in
// a shared database every service has its own.
const leaseLock = `SELECT pg_advisory_lock(hashtextextended(coalesce(current_schema(), '') || '/' || $1, 0))`

// leaseSetup: a wait for the lock has no limit but the caller's, and a server that
// lost its client must notice within half a minute, not after two hours.
const leaseSetup = `SET statement_timeout = 0; SET lock_timeout = 0; SET idle_session_timeout = 0;
	SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3`

// Lease waits until this caller alone holds name; see store.Leaser. It is a session
// lock on a connection of its own, which the server drops when the process dies.
func (d *DB) Lease(ctx context.Context, name string) (store.Lease, error) {
	if !store.ValidLeaseName(name) {
		return nil, fmt.Errorf("pgstore: bad lease name %q", name)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	if d.isClosed {
		d.mu.Unlock()
		return nil, store.Unavailable(store.ErrClosed)
	}
	d.leases.Add(1)
	d.mu.Unlock()
	l, err := d.lease(ctx, name)
	if err != nil {
		d.leases.Done()
		return nil, err
	}
	go func() {
		defer d.leases.Done()
		l.watch()
	}()
	return l, nil
}

func (d *DB) lease(ctx context.Context, name string) (*lease, error) {
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.life, cancel)()
	conn, err := pgx.ConnectConfig(wait, d.pool.Config().ConnConfig)
	if err == nil {
		if _, err = conn.Exec(wait, leaseSetup); err == nil {
			_, err = conn.Exec(wait, leaseLock, name)
		}
		if err != nil {
			closeConn(conn)
		}
	}
	switch {
	case err == nil:
	case d.life.Err() != nil:
		return nil, store.Unavailable(store.ErrClosed)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("pgstore: lease: %w", ctx.Err())
	default:
		return nil, store.Unavailable(fmt.Errorf("pgstore: lease: %w", err))
	}
	l := &lease{conn: conn, lost: make(chan struct{})}
	l.held, l.stop = context.WithCancel(d.life)
	return l, nil
}

func closeConn(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx)
}

type lease struct {
	conn *pgx.Conn // the watching goroutine's own
	held context.Context
	stop context.CancelFunc
	lost chan struct{}

	err error
}

func (l *lease) Lost() <-chan struct{} { return l.lost }

func (l *lease) Release() error {
	l.stop()
	<-l.lost
	return l.err
}

// watch listens on the connection, so that its end is noticed at once, and asks
// it from time to time, so that silence is noticed too.
func (l *lease) watch() {
	defer close(l.lost)
	defer l.stop()
	for l.held.Err() == nil {
		listen, cancel := context.WithTimeout(l.held, leasePing)
		err := l.conn.PgConn().WaitForNotification(listen)
		quiet := listen.Err() != nil
		cancel()
		if err != nil && !quiet {
			closeConn(l.conn)
			return
		}
		if l.held.Err() == nil && l.ask(`SELECT 1`) != nil {
			closeConn(l.conn)
			return
		}
	}
	// Unlock by name: the server would do it after the connection's end, but later.
	if err := l.ask(`SELECT pg_advisory_unlock_all()`); err != nil && !l.conn.IsClosed() {
		l.err = errors.Join(errors.New("pgstore: release of a lease"), err)
	}
	closeConn(l.conn)
}

func (l *lease) ask(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), leaseTimeout)
	defer cancel()
	_, err := l.conn.Exec(ctx, sql)
	return err
}
