package pgstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"trama/platform/store"
)

// mapError turns an error of pgx into what the port promises. ctx is the caller's.
func mapError(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return store.ErrNoRows
	case errors.Is(err, puddle.ErrClosedPool):
		return store.Unavailable(store.ErrClosed)
	case errors.As(err, &pg) && !isConnect(err):
		return mapServer(pg, err)
	case ctx.Err() != nil:
		return fmt.Errorf("pgstore: %w (%v)", ctx.Err(), err)
	case isBroken(err):
		return store.Unavailable(err)
	}
	return err
}

// mapServer sorts what the server said by SQLSTATE (PostgreSQL, appendix A).
func mapServer(pg *pgconn.PgError, err error) error {
	switch {
	case strings.HasPrefix(pg.Code, "23"): // integrity constraint violation
		return store.Constraint(constraintName(pg), pg.Code == "23505", err)
	case serverTrouble(pg.Code):
		return store.Unavailable(err)
	}
	return err
}

// constraintName is the constraint's, or table.column where it has none (NOT NULL).
func constraintName(pg *pgconn.PgError) string {
	if pg.ConstraintName != "" {
		return pg.ConstraintName
	}
	return pg.TableName + "." + pg.ColumnName
}

// serverTrouble says whether a SQLSTATE is about the server, not the statement.
func serverTrouble(code string) bool {
	switch code {
	case "25006", // read-only: a standby, in a take-over
		"40001", "40P01", "40000", // gave up retrying
		"55P03", "55006", // lock not available, object in use
		"57014": // cancelled: statement_timeout
		return true
	}
	for _, class := range []string{"08", "53", "57P", "58", "F0", "XX"} { // connection, resources, shutdown, system
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}

// isConflict says whether the server chose this transaction to give way.
func isConflict(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// isStandby says whether the server has become one that does not write: the
// connection is no good any more, the URL may name a server that is.
func isStandby(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "25006"
}

// isStale says whether a cached statement no longer fits the schema; pgx has
// forgotten it by then, so that another try prepares it anew.
func isStale(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "0A000" && strings.Contains(pg.Routine, "RevalidateCachedQuery")
}

// isConnect says whether there was no connection at all: wrong host, password,
// database, or a server that takes none.
func isConnect(err error) bool {
	var c *pgconn.ConnectError
	return errors.As(err, &c)
}

// isBroken says whether the connection failed, or there was none. Whether the
// server had received what was sent is not known.
func isBroken(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !isConnect(err) {
		return strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "08")
	}
	var ne net.Error
	return isConnect(err) || pgconn.SafeToRetry(err) || errors.As(err, &ne) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
