// Package store is the port to a service's own relational store.
//
// One SQL text serves both engines (SQLite and PostgreSQL): parameters are
// $1..$n; times are BIGINT Unix milliseconds; ids are TEXT made by us; JSON is
// TEXT; booleans are BOOLEAN. RETURNING, ON CONFLICT, CTEs, window functions and
// partial indexes are portable; FOR UPDATE SKIP LOCKED, ILIKE, IDENTITY and JSONB
// are not: ask Dialect where there is no other way.
//
// Promises, kept by every adapter (storetest proves them):
//
//   - Update is one transaction: all of it is durable (fsync) when it returns
//     nil, none of it exists otherwise. The closure may run more than once
//     (serialisation conflicts), so it has no effects but on tx.
//   - A SQLite store has one writer; closures of concurrent Updates are run
//     under savepoints and committed together (group commit), so that waiting
//     for the disk is shared. One closure's error undoes only that closure.
//   - Transactions are serialised as far as the closure can tell: what it read
//     in tx is still true when it commits, if it read with Tx.ForUpdate on
//     PostgreSQL or wrote the row.
//   - Errors are faults: Unavailable when the engine is down or the disk is
//     full, Conflict wrapped in a *ConstraintError for a broken constraint,
//     Timeout when the outcome of a commit is not known.
//   - The first statement of a closure that fails (ErrNoRows is no failure)
//     dooms its transaction, as PostgreSQL wants it: statements after it fail
//     with the same error, and so does Update, whatever the closure returns.
//     Where a conflict is expected, say ON CONFLICT.
//   - Within a transaction Rows must be closed before the next statement.
//   - A closure must not call Update of its own store: it would wait for itself.
package store

import (
	"context"
	"errors"
	"fmt"
)

// ErrNoRows is returned by Row.Scan when there is no row.
var ErrNoRows = errors.New("store: no rows")

// ConstraintError is a broken UNIQUE, PRIMARY KEY, FOREIGN KEY or CHECK.
type ConstraintError struct {
	Constraint string // what the engine names: PostgreSQL the constraint, SQLite "table.column[, table.column]"
	Unique     bool   // UNIQUE or PRIMARY KEY
	Cause      error
}

func (e *ConstraintError) Error() string {
	return fmt.Sprintf("store: constraint %s: %v", e.Constraint, e.Cause)
}

// Unwrap gives the engine's error.
func (e *ConstraintError) Unwrap() error { return e.Cause }

// IsUnique says whether err is a broken UNIQUE or PRIMARY KEY.
func IsUnique(err error) bool {
	var c *ConstraintError
	return errors.As(err, &c) && c.Unique
}

// Dialect is the engine's SQL dialect.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Queryer reads. Rows must be closed; Row is read by Scan.
type Queryer interface {
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) Row
	Dialect() Dialect
}

// Tx is one transaction.
type Tx interface {
	Queryer
	// Exec runs a statement and gives the number of rows it changed.
	Exec(ctx context.Context, sql string, args ...any) (int64, error)
	// ForUpdate is the suffix that locks selected rows until commit:
	// " FOR UPDATE" on PostgreSQL, nothing on SQLite, whose only writer we are.
	ForUpdate() string
	// AfterCommit runs f once, after the transaction is durable, never before.
	AfterCommit(f func())
}

// DB is a service's store. Reads outside Update see committed data only.
type DB interface {
	Queryer
	Leaser
	// Update runs fn in one transaction and returns once it is durable, or
	// undone. When ctx ends before fn started, fn does not run and ctx's error
	// comes back at once; after that, statements fail with ctx's error, but a
	// commit under way is waited for.
	Update(ctx context.Context, fn func(tx Tx) error) error
	Ping(ctx context.Context) error
	Close() error
}

// Row is the result of QueryRow.
type Row interface {
	// Scan copies the columns; ErrNoRows when there is none.
	Scan(dest ...any) error
}

// Rows is the result of Query.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}
