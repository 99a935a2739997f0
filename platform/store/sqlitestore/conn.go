package sqlitestore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"trama/platform/store"
)

// maxStatements is how many prepared statements a connection keeps. Preparing
// costs several times what running a point query does.
const maxStatements = 128

// conn is one connection with its prepared statements. Not safe for concurrent use.
type conn struct {
	c     *sql.Conn
	stmts map[string]*sql.Stmt // of callers
	own   map[string]*sql.Stmt // ours: what callers may not say
}

func openConn(ctx context.Context, db *sql.DB) (*conn, error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{c: c, stmts: make(map[string]*sql.Stmt), own: make(map[string]*sql.Stmt)}, nil
}

// stmt gives the prepared statement for a caller's query.
func (c *conn) stmt(query string) (*sql.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	if err := store.CheckStatement(query); err != nil {
		return nil, err
	}
	s, err := c.c.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	if len(c.stmts) >= maxStatements {
		for k, old := range c.stmts { // any one: the map's order is random enough
			delete(c.stmts, k)
			_ = old.Close()
			break
		}
	}
	c.stmts[query] = s
	return s, nil
}

// exec runs a statement of our own.
func (c *conn) exec(query string) error {
	s, ok := c.own[query]
	if !ok {
		var err error
		if s, err = c.c.PrepareContext(context.Background(), query); err != nil {
			return err
		}
		c.own[query] = s
	}
	_, err := s.ExecContext(context.Background())
	return err
}

// discard closes the physical connection. Statements first: database/sql does not
// close those of a Conn, and one left open keeps the connection, its locks and
// its transaction alive.
func (c *conn) discard() {
	for _, all := range []map[string]*sql.Stmt{c.stmts, c.own} {
		for _, s := range all {
			_ = s.Close()
		}
		clear(all)
	}
	_ = c.c.Raw(func(any) error { return driver.ErrBadConn })
	_ = c.c.Close()
}

// checkArgs refuses what the two engines would not treat alike.
func checkArgs(args []any) error {
	for i, a := range args {
		switch a.(type) {
		case time.Time, *time.Time:
			return fmt.Errorf("store: argument $%d: times are BIGINT Unix milliseconds", i+1)
		}
	}
	return nil
}
