package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"

	"trama/platform/store"
)

// tx is what one closure sees of the group's transaction. Contexts are looked at
// before each statement but not handed to SQLite: an interrupted write rolls
// the whole transaction back, the neighbours' work with it.
type tx struct {
	ctx   context.Context // of the Update
	c     *conn
	open  *txRows // rows not closed yet
	err   error   // the first failed statement: dooms the closure
	after []func()

	broken bool // err is the engine's: the whole transaction is in question
	over   bool // the closure has returned
}

var _ store.Tx = (*tx)(nil)

func (t *tx) Dialect() store.Dialect { return store.SQLite }

// ForUpdate is empty: nobody else writes while we do.
func (t *tx) ForUpdate() string { return "" }

func (t *tx) AfterCommit(f func()) { t.after = append(t.after, f) }

// doom remembers the first failure and gives it back mapped.
func (t *tx) doom(err error) error {
	broken := isEngine(err)
	err = mapError(err)
	if t.err == nil && err != nil {
		t.err, t.broken = err, broken
	}
	return err
}

// begin checks that a statement may run and prepares it.
func (t *tx) begin(ctx context.Context, query string, args []any) (*sql.Stmt, error) {
	switch {
	case t.over:
		return nil, store.ErrTxOver
	case t.err != nil:
		return nil, t.err
	case t.open != nil:
		return nil, t.doom(store.ErrRowsOpen)
	}
	if err := ctx.Err(); err != nil {
		return nil, t.doom(err)
	}
	if err := t.ctx.Err(); err != nil {
		return nil, t.doom(err)
	}
	if err := checkArgs(args); err != nil {
		return nil, t.doom(err)
	}
	s, err := t.c.stmt(query)
	if err != nil {
		return nil, t.doom(err)
	}
	return s, nil
}

func (t *tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	s, err := t.begin(ctx, query, args)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, t.doom(err)
	}
	return res.RowsAffected()
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
	s, err := t.begin(ctx, query, args)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(context.Background(), args...)
	if err != nil {
		return nil, t.doom(err)
	}
	return &txRows{t: t, rows: rows}, nil
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
	err = scanOne(rows.rows, dest)
	rows.close()
	if e := rows.rows.Err(); e != nil {
		return r.t.doom(e)
	}
	return err
}

type txRows struct {
	t    *tx
	rows *sql.Rows
}

func (r *txRows) Next() bool {
	if r.rows.Next() {
		return true
	}
	r.close()
	return false
}

func (r *txRows) close() {
	_ = r.rows.Close()
	if r.t.open == r {
		r.t.open = nil
	}
	if err := r.rows.Err(); err != nil {
		_ = r.t.doom(err)
	}
}

func (r *txRows) Scan(dest ...any) error { return mapError(r.rows.Scan(dest...)) }

func (r *txRows) Err() error { return mapError(r.rows.Err()) }

func (r *txRows) Close() error {
	r.close()
	return nil
}
