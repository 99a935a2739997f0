// Package store is the SQL of academics: one text for SQLite and PostgreSQL
// (the service's tests run all of it on both).
//
// Functions read from a store.Queryer or work inside the caller's transaction;
// those whose name begins with Lock hold what they give until its end. The
// caller owns the transaction, the outbox and the inbox. Lists are cut by key
// (never by OFFSET), along an index, so a page costs the same in a table of a
// million rows.
package store

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"trama/platform/store"
)

//go:embed migrations
var migrations embed.FS

// Migrations gives the schema of academics.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded: cannot happen
	}
	return sub
}

// last sorts after every id: where a list from the newest on begins.
const last = "~"

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// scanner is a Row or the current row of Rows.
type scanner interface{ Scan(dest ...any) error }

// collect reads all rows and closes them.
func collect[T any](rows store.Rows, err error, what string, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", what, err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", what, err)
		}
		out = append(out, item)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list %s: %w", what, err)
	}
	return out, nil
}

// found turns the absence of a row into missing, other errors into context.
func found(err error, what string, missing error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNoRows):
		return missing
	default:
		return fmt.Errorf("read %s: %w", what, err)
	}
}
