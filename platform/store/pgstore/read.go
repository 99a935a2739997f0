package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"trama/platform/store"
)

// readTries is how often a read is tried when the connection it was given turns
// out to be dead, or its cached statement out of date.
const readTries = 3

func (d *DB) query(ctx context.Context, query string, args []any) (*readRows, error) {
	if err := store.CheckStatement(query); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		conn, err := d.pool.Acquire(ctx)
		if err != nil {
			return nil, mapError(ctx, err)
		}
		rows, err := conn.Query(ctx, query, args...)
		if err == nil {
			return &readRows{ctx: ctx, rows: rows, conn: conn}, nil
		}
		broken := conn.Conn().IsClosed()
		conn.Release()
		if try < readTries && ctx.Err() == nil && (broken || isStale(err)) {
			if broken {
				d.pool.Reset()
			}
			continue
		}
		return nil, mapError(ctx, err)
	}
}

// readRows are rows read outside transactions.
type readRows struct {
	ctx  context.Context
	rows pgx.Rows
	conn *pgxpool.Conn // nil once given back
}

func (r *readRows) Next() bool {
	if r.rows.Next() {
		return true
	}
	r.release()
	return false
}

func (r *readRows) release() {
	r.rows.Close()
	if r.conn != nil {
		r.conn.Release()
		r.conn = nil
	}
}

func (r *readRows) Scan(dest ...any) error { return mapError(r.ctx, r.rows.Scan(dest...)) }

func (r *readRows) Err() error { return mapError(r.ctx, r.rows.Err()) }

func (r *readRows) Close() error {
	r.release()
	return nil
}

// readRow is a QueryRow to be: nothing is held if Scan never comes.
type readRow struct {
	db    *DB
	ctx   context.Context
	query string
	args  []any
}

// Scan reads the row. A read can be repeated, so a connection that dies under it
// is no reason to fail while another can be had.
func (r readRow) Scan(dest ...any) error {
	for try := 1; ; try++ {
		rows, err := r.db.query(r.ctx, r.query, r.args)
		if err != nil {
			return err
		}
		err = scanOne(rows.rows, dest)
		again := err != nil && r.ctx.Err() == nil && try < readTries && (isBroken(err) || isStale(err))
		rows.release()
		if !again {
			return mapError(r.ctx, err)
		}
	}
}

// scanOne copies the first row and reads to the end, where errors may come.
func scanOne(rows pgx.Rows, dest []any) error {
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := rows.Scan(dest...); err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}
