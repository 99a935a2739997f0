package sqlitestore

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"trama/platform/store"
)

// code gives SQLite's primary result code of err, 0 when it has none.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

func isBusy(err error) bool {
	c := code(err)
	return c == sqlite3.SQLITE_BUSY || c == sqlite3.SQLITE_LOCKED
}

// isEngine says whether err is the engine's failure, not the statement's: after
// it the state of the transaction, or of the connection, cannot be relied on.
func isEngine(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT,
		sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_ABORT,
		sqlite3.SQLITE_PERM:
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}

func isConstraint(err error) bool { return code(err) == sqlite3.SQLITE_CONSTRAINT }

// isFsync says whether err is a failed fsync: what was written may be on disk or not.
func isFsync(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_IOERR_FSYNC || e.Code() == sqlite3.SQLITE_IOERR_DIR_FSYNC)
}

// mapError turns an engine error into what the port promises.
func mapError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrNoRows
	case isEngine(err):
		return store.Unavailable(err)
	case isConstraint(err):
		return constraint(err)
	}
	return err
}

// constraint reads what is broken out of the message, which for UNIQUE is
// "constraint failed: UNIQUE constraint failed: table.column[, table.column] (2067)".
func constraint(err error) error {
	var e *sqlite.Error
	errors.As(err, &e)
	unique := false
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		unique = true
	}
	name := e.Error()
	if i := strings.LastIndex(name, "failed: "); i >= 0 {
		name = name[i+len("failed: "):]
	} else if strings.Contains(name, "FOREIGN KEY") {
		name = "FOREIGN KEY"
	}
	if i := strings.LastIndex(name, " ("); i >= 0 {
		name = name[:i]
	}
	return store.Constraint(name, unique, err)
}
