package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"trama/platform/store"
)

// tx is one run of a closure.
type tx struct {
	ctx   context.Context // of the Update
	conn  *pgxpool.Conn
	open  *txRows // rows not closed yet
	err   error   // the first failed statement: dooms the closure
	after []func()

	begun  bool // BEGIN was sent
	broken bool // the connection died before COMMIT was sent
	doubt  bool // COMMIT was sent and not answered
	over   bool // the closure has returned
}

var _ store.Tx = (*tx)(nil)

const begin = "begin isolation level read committed read write"

func (t *tx) Dialect() store.Dialect { return store.Postgres }

func (t *tx) ForUpdate() string { return " FOR UPDATE" }

func (t *tx) AfterCommit(f func()) { t.after = append(t.after, f) }

// doom remembers the first failure and gives it back mapped.
func (t *tx) doom(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	broken := (t.conn.Conn().IsClosed() || isStandby(err)) && ctx.Err() == nil
	mapped := mapError(ctx, err)
	if t.err == nil {
		t.err, t.broken = mapped, broken
	}
	return mapped
}

// ready checks that a statement may run.
func (t *tx) ready(ctx context.Context, query string) error {
	switch {
	case t.over:
		return store.ErrTxOver
	case t.err != nil:
		return t.err
	case t.open != nil:
		return t.doom(ctx, store.ErrRowsOpen)
	}
	for _, err := range []error{ctx.Err(), t.ctx.Err(), store.CheckStatement(query)} {
		if err != nil {
			return t.doom(ctx, err)
		}
	}
	return nil
}

func (t *tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := t.ready(ctx, query); err != nil {
		return 0, err
	}
	if t.begun {
		tag, err := t.conn.Exec(ctx, query, args...)
		return tag.RowsAffected(), t.doom(ctx, err)
	}
	br, err := t.first(ctx, store.Statement{SQL: query, Args: args})
	if err != nil {
		return 0, err
	}
	tag, err := br.Exec()
	if e := br.Close(); err == nil {
		err = e
	}
	return tag.RowsAffected(), t.doom(ctx, err)
}

// first sends BEGIN and the first statements together and takes BEGIN's answer.
func (t *tx) first(ctx context.Context, all ...store.Statement) (pgx.BatchResults, error) {
	var b pgx.Batch
	b.Queue(begin)
	for _, s := range all {
		b.Queue(s.SQL, s.Args...)
	}
	t.begun = true
	br := t.conn.SendBatch(ctx, &b)
	if _, err := br.Exec(); err != nil {
		_ = br.Close() // the same error
		return nil, t.doom(ctx, err)
	}
	return br, nil
}

// ExecAll runs the statements in one round trip; see store.ExecAll.
func (t *tx) ExecAll(ctx context.Context, all []store.Statement) error {
	for _, s := range all {
		if err := t.ready(ctx, s.SQL); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return nil
	}
	var br pgx.BatchResults
	if t.begun {
		var b pgx.Batch
		for _, s := range all {
			b.Queue(s.SQL, s.Args...)
		}
		br = t.conn.SendBatch(ctx, &b)
	} else {
		var err error
		if br, err = t.first(ctx, all...); err != nil {
			return err
		}
	}
	for range all {
		if _, err := br.Exec(); err != nil {
			_ = br.Close()
			return t.doom(ctx, err)
		}
	}
	return t.doom(ctx, br.Close())
}

func (t *tx) Query(ctx context.Context, query string, args ...any) (store.Rows, error) {
	r, err := t.query(ctx, query, args)
	if err != nil {
		return nil, err
	}
	t.open = r
	return r, nil
}

func (t *tx) query(ctx context.Context, query string, args []any) (*txRows, error) {
	if err := t.ready(ctx, query); err != nil {
		return nil, err
	}
	r := &txRows{t: t, ctx: ctx}
	var err error
	if t.begun {
		r.rows, err = t.conn.Query(ctx, query, args...)
	} else {
		if r.batch, err = t.first(ctx, store.Statement{SQL: query, Args: args}); err != nil {
			return nil, err
		}
		r.rows, err = r.batch.Query()
	}
	if err != nil {
		r.close()
		return nil, t.doom(ctx, err)
	}
	return r, nil
}

func (t *tx) QueryRow(ctx context.Context, query string, args ...any) store.Row {
	return txRow{t, ctx, query, args}
}

// finish ends the closure's use of the transaction and gives its outcome.
func (t *tx) finish(err error) error {
	t.over = true
	if t.open != nil {
		t.open.close()
		if err == nil && t.err == nil {
			err = fmt.Errorf("%w when the closure returned", store.ErrRowsOpen)
		}
	}
	if err == nil {
		err = t.err
	}
	return err
}

type txRow struct {
	t     *tx
	ctx   context.Context
	query string
	args  []any
}

func (r txRow) Scan(dest ...any) error {
	rows, err := r.t.query(r.ctx, r.query, r.args)
	if err != nil {
		return err
	}
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return store.ErrNoRows
	}
	err = rows.Scan(dest...)
	rows.close()
	if err != nil {
		return err
	}
	return rows.Err()
}

type txRows struct {
	t      *tx
	ctx    context.Context
	rows   pgx.Rows
	batch  pgx.BatchResults // when BEGIN went with the query
	scan   error            // a failed Scan is the reader's, not the transaction's
	closed bool
	err    error
}

func (r *txRows) Next() bool {
	if !r.closed && r.rows.Next() {
		return true
	}
	r.close()
	return false
}

// close takes what is still to come, where a late error may be.
func (r *txRows) close() {
	if r.closed {
		return
	}
	r.closed = true
	if r.rows != nil {
		r.rows.Close()
		r.err = r.rows.Err()
	}
	if r.batch != nil {
		if err := r.batch.Close(); r.err == nil {
			r.err = err
		}
	}
	if r.t.open == r {
		r.t.open = nil
	}
	if r.err != nil && r.scan == nil {
		_ = r.t.doom(r.ctx, r.err)
	}
}

func (r *txRows) Scan(dest ...any) error {
	err := r.rows.Scan(dest...)
	if err != nil {
		r.scan = err
	}
	return mapError(r.ctx, err)
}

func (r *txRows) Err() error {
	if r.closed {
		return mapError(r.ctx, r.err)
	}
	return mapError(r.ctx, r.rows.Err())
}

func (r *txRows) Close() error {
	r.close()
	return nil
}
