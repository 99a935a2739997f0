package sqlitebus

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	_ "modernc.org/sqlite" // the driver

	"trama/platform/clock"
)

// The log. event_type lets a subscription skip what it does not want without
// reading it. AUTOINCREMENT keeps a position from ever being used twice.
const schema = `
CREATE TABLE IF NOT EXISTS event (
	seq     INTEGER PRIMARY KEY AUTOINCREMENT,
	id      TEXT NOT NULL UNIQUE,
	type    TEXT NOT NULL,
	subject TEXT NOT NULL,
	body    TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS event_type ON event (type, seq);

CREATE TABLE IF NOT EXISTS subscription (
	name        TEXT PRIMARY KEY,
	types       TEXT NOT NULL,
	cursor      INTEGER NOT NULL DEFAULT 0,
	declared_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS exception (
	subscription TEXT NOT NULL,
	seq          INTEGER NOT NULL,
	subject      TEXT NOT NULL,
	state        TEXT NOT NULL CHECK (state IN ('waiting', 'dead')),
	attempts     INTEGER NOT NULL,
	due          INTEGER NOT NULL, -- waiting: next try, Unix ms
	kind         TEXT NOT NULL,
	reason       TEXT NOT NULL,
	parked_at    INTEGER NOT NULL, -- dead: Unix ms
	PRIMARY KEY (subscription, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS exception_waiting ON exception (subscription, subject, seq) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS exception_dead ON exception (subscription, parked_at, seq) WHERE state = 'dead';
`

const (
	// The highest position ever given out; all up to it are visible, since there
	// is one writer at a time.
	sqlHead = `SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0)`

	sqlDeclare = `INSERT INTO subscription (name, types, declared_at) VALUES (?1, ?2, ?3)
		ON CONFLICT (name) DO UPDATE SET types = excluded.types`

	sqlCursor = `UPDATE subscription SET cursor = max(cursor, ?2) WHERE name = ?1`

	sqlKeep = `INSERT INTO exception (subscription, seq, subject, state, attempts, due, kind, reason, parked_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
		ON CONFLICT (subscription, seq) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
			due = excluded.due, kind = excluded.kind, reason = excluded.reason, parked_at = excluded.parked_at`

	sqlDrop = `DELETE FROM exception WHERE subscription = ?1 AND seq = ?2`

	sqlWaitingSubjects = `SELECT DISTINCT subject FROM exception WHERE subscription = ?1 AND state = 'waiting'`

	sqlNextWaiting = `SELECT x.seq, x.attempts, x.due, e.body
		FROM exception x CROSS JOIN event e ON e.seq = x.seq
		WHERE x.subscription = ?1 AND x.subject = ?2 AND x.seq > ?3 AND x.state = 'waiting'
		ORDER BY x.seq LIMIT 1`

	sqlDeadLetters = `SELECT e.body, x.reason, x.kind, x.attempts, x.parked_at
		FROM exception x CROSS JOIN event e ON e.seq = x.seq
		WHERE x.subscription = ?1 AND x.state = 'dead'
		ORDER BY x.parked_at, x.seq LIMIT ?2`
)

// sqlBehind gives the query for the next events of n types after a position:
// ?1 after, ?2 up to, ?3 how many, ?4… the types. One bounded walk of event_type
// per type, merged; whatever lies between is never touched.
func sqlBehind(n int) string {
	q := "SELECT e.seq, e.subject, e.body FROM ("
	for i := range n {
		if i > 0 {
			q += " UNION ALL "
		}
		q += fmt.Sprintf("SELECT seq FROM (SELECT seq FROM event WHERE type = ?%d AND seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3)", i+4)
	}
	return q + " ORDER BY seq LIMIT ?3) s CROSS JOIN event e ON e.seq = s.seq ORDER BY s.seq"
}

func typesText(types []string) string {
	t := slices.Clone(types)
	slices.Sort(t)
	text, _ := json.Marshal(slices.Compact(t)) // strings always encode
	return string(text)
}

func dsn(path string, busyMillis int) string {
	v := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyMillis), "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(2000)",
	}}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: v.Encode()}).String()
}

// prepare makes folder, file and tables, one process at a time, because turning
// on WAL needs the file alone.
func prepare(ctx context.Context, dir, path string, c clock.Clock) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := acquire(ctx, filepath.Join(dir, "bus.db.open"), c, openLockEvery)
	if err != nil {
		return err
	}
	defer lock.release()
	// Events hold personal data: only the owner may read them. SQLite gives its
	// other files the mode of this one.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(path, 10_000))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	var tables int
	err = db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name IN ('event', 'subscription', 'exception', 'exception_dead')`).Scan(&tables)
	if err != nil || tables == 4 {
		return err // complete: do not take the write lock of a busy bus
	}
	_, err = db.ExecContext(ctx, "BEGIN IMMEDIATE;"+schema+"COMMIT;")
	return err
}

// openReads opens the connections that only read. There are few: reads are short.
func openReads(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, 10_000)+"&_pragma=query_only(1)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	return db, nil
}
