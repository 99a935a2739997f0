package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"trama/platform/store"
)

// readers lends connections for reading. The one returned last is lent first, so
// that only as many are opened, and keep a cache, as are in use at once.
type readers struct {
	db     *sql.DB
	tokens chan struct{} // capacity: the greatest number lent at once

	mu   sync.Mutex
	idle []*conn
	done chan struct{} // closed by close
}

func newReaders(db *sql.DB, n int) *readers {
	return &readers{db: db, tokens: make(chan struct{}, n), done: make(chan struct{})}
}

func (r *readers) lend(ctx context.Context) (*conn, error) {
	select {
	case <-r.done:
		return nil, store.Unavailable(store.ErrClosed)
	default:
	}
	select {
	case r.tokens <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.done:
		return nil, store.Unavailable(store.ErrClosed)
	}
	r.mu.Lock()
	if n := len(r.idle); n > 0 {
		c := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		return c, nil
	}
	r.mu.Unlock()
	c, err := openConn(ctx, r.db)
	if err != nil {
		<-r.tokens
		return nil, mapError(err)
	}
	return c, nil
}

// giveBack takes a connection back; after an engine error or an interrupted
// query (err) it is closed instead.
func (r *readers) giveBack(c *conn, err error) {
	if err != nil && (isEngine(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		c.discard()
	} else {
		r.mu.Lock()
		r.idle = append(r.idle, c)
		r.mu.Unlock()
	}
	<-r.tokens
}

func (r *readers) query(ctx context.Context, query string, args []any) (*readRows, error) {
	if err := checkArgs(args); err != nil {
		return nil, err
	}
	c, err := r.lend(ctx)
	if err != nil {
		return nil, err
	}
	s, err := c.stmt(query)
	if err != nil {
		r.giveBack(c, err)
		return nil, mapError(err)
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		r.giveBack(c, err)
		return nil, mapError(err)
	}
	return &readRows{rows: rows, pool: r, c: c}, nil
}

// close waits up to grace for lent connections and closes all.
func (r *readers) close(grace time.Duration) error {
	close(r.done)
	t := time.NewTimer(grace)
	defer t.Stop()
	for n := range cap(r.tokens) { // all tokens in hand: nobody reads any more
		select {
		case r.tokens <- struct{}{}:
		case <-t.C:
			return fmt.Errorf("sqlitestore: close: %d of %d readers are still in use", cap(r.tokens)-n, cap(r.tokens))
		}
	}
	for _, c := range r.idle {
		c.discard()
	}
	r.idle = nil
	return nil
}

// readRows are rows read outside transactions.
type readRows struct {
	rows *sql.Rows
	pool *readers
	c    *conn // nil once given back
}

func (r *readRows) Next() bool {
	if r.c == nil {
		return false
	}
	if r.rows.Next() {
		return true
	}
	r.release()
	return false
}

func (r *readRows) release() {
	if r.c == nil {
		return
	}
	_ = r.rows.Close()
	c := r.c
	r.c = nil
	r.pool.giveBack(c, r.rows.Err())
}

func (r *readRows) Scan(dest ...any) error { return mapError(r.rows.Scan(dest...)) }

func (r *readRows) Err() error { return mapError(r.rows.Err()) }

func (r *readRows) Close() error {
	r.release()
	return nil
}

// readRow is a QueryRow to be: nothing is held if Scan never comes.
type readRow struct {
	pool  *readers
	ctx   context.Context
	query string
	args  []any
}

func (r readRow) Scan(dest ...any) error {
	rows, err := r.pool.query(r.ctx, r.query, r.args)
	if err != nil {
		return err
	}
	defer rows.release()
	return scanOne(rows.rows, dest)
}

// scanOne copies the first row.
func scanOne(rows *sql.Rows, dest []any) error {
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return mapError(err)
		}
		return store.ErrNoRows
	}
	return mapError(rows.Scan(dest...))
}
