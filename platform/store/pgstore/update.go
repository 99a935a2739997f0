package pgstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"trama/platform/store"
)

const (
	updateTries = 8                // a closure's runs at most
	endTimeout  = 10 * time.Second // for COMMIT or ROLLBACK, which the caller's context does not stop
)

// Update runs fn in one transaction; see store.DB. fn may run several times.
func (d *DB) Update(ctx context.Context, fn func(tx store.Tx) error) error {
	for try := 1; ; try++ {
		t, err := d.once(ctx, fn)
		if err == nil {
			for _, f := range t.after {
				f()
			}
			return nil
		}
		if try == updateTries || !d.again(ctx, t, err) {
			return err
		}
		if isConflict(err) { // let the other one finish, and do not meet it again in step
			nap := time.NewTimer(rand.N(time.Duration(1<<try) * time.Millisecond))
			select {
			case <-nap.C:
			case <-ctx.Done():
				nap.Stop()
				return ctx.Err()
			}
		}
	}
}

// again says whether running the closure anew may help, and is safe: nothing of
// this run exists.
func (d *DB) again(ctx context.Context, t *tx, err error) bool {
	switch {
	case t == nil || t.doubt || ctx.Err() != nil:
		return false
	case isConflict(err) || isStale(err) || t.err != nil && (isConflict(t.err) || isStale(t.err)):
		return true
	case t.broken:
		d.pool.Reset() // its neighbours in the pool most likely died with it
		return true
	}
	return false
}

// once runs fn once. t is nil when there was no connection.
func (d *DB) once(ctx context.Context, fn func(tx store.Tx) error) (t *tx, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return nil, mapError(ctx, err)
	}
	t = &tx{ctx: ctx, conn: conn}
	ended := false
	defer func() { // also when the closure ends its goroutine
		if !ended {
			t.rollback()
		}
		conn.Release()
	}()
	err = t.finish(store.Protect(t, fn))
	if err == nil {
		ended = true
		err = t.commit()
	}
	return t, err
}

// commit ends the transaction for good.
func (t *tx) commit() error {
	if !t.begun {
		return nil
	}
	if t.conn.Conn().IsClosed() {
		t.broken = true
		return store.Unavailable(errors.New("pgstore: the connection was lost before the commit"))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), endTimeout)
	defer cancel()
	tag, err := t.conn.Exec(ctx, "commit")
	if err == nil && tag.String() == "ROLLBACK" {
		return store.Unavailable(errors.New("pgstore: the server rolled back instead of committing"))
	}
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pg) && pg.SeverityUnlocalized == "ERROR" && pg.Code != "40003" && pg.Code != "08007":
		t.rollback() // no more than tidying: the server has undone it
		return mapServer(pg, fmt.Errorf("pgstore: commit: %w", err))
	}
	// pgconn.SafeToRetry is no witness here: it says yes to a connection that
	// closed after COMMIT was sent (v5.12.0, "conn closed").
	t.doubt = true
	return store.Uncertain(fmt.Errorf("pgstore: commit: %w", err))
}

// rollback undoes the transaction. If that fails the connection is closed, and
// the server undoes it.
func (t *tx) rollback() {
	if !t.begun || t.conn.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), endTimeout)
	defer cancel()
	if _, err := t.conn.Exec(ctx, "rollback"); err != nil {
		closeNow(t.conn)
	}
}

func closeNow(c *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Conn().Close(ctx)
}
