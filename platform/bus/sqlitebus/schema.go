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

// The log. AUTOINCREMENT keeps a position from ever being used twice. The
// indexes end with seq, as every index does: event_type lets a subscription
// skip what it does not want without reading it, event_subject is for people
// who ask what happened to an aggregate.
const schema = `
CREATE TABLE IF NOT EXISTS event (
	seq     INTEGER PRIMARY KEY AUTOINCREMENT,
	id      TEXT NOT NULL UNIQUE,
	type    TEXT NOT NULL,
	subject TEXT NOT NULL,
	body    TEXT NOT NULL,
	at      INTEGER NOT NULL -- of publishing, Unix ms; never less than that of an earlier seq
) STRICT;
CREATE INDEX IF NOT EXISTS event_type ON event (type);
CREATE INDEX IF NOT EXISTS event_subject ON event (subject);

CREATE TABLE IF NOT EXISTS subscription (
	name        TEXT PRIMARY KEY,
	types       TEXT NOT NULL,
	cursor      INTEGER NOT NULL DEFAULT 0, -- everything up to here is handled or parked
	declared_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`

const (
	// The highest position ever given out; all up to it are visible, since there
	// is one writer at a time.
	sqlHead = `SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'`

	sqlLast = `SELECT (` + sqlHead + `), coalesce((SELECT at FROM event ORDER BY seq DESC LIMIT 1), 0)`

	sqlDeclare = `INSERT INTO subscription (name, types, declared_at) VALUES (?1, ?2, ?3)
		ON CONFLICT (name) DO UPDATE SET types = excluded.types`

	sqlCursor = `UPDATE subscription SET cursor = max(cursor, ?2) WHERE name = ?1`

	sqlBacklog = `SELECT (SELECT count(*) FROM json_each(s.types) t CROSS JOIN event e ON e.type = t.value AND e.seq > s.cursor)
		FROM subscription s WHERE s.name = ?1`

	// What opening must mend: missing tables and indexes, the event table or the
	// table of waiting events of earlier versions, a sequence that would give out
	// positions again.
	sqlState = `SELECT
		(SELECT count(*) = 4 FROM sqlite_schema WHERE name IN ('event', 'event_type', 'event_subject', 'subscription')),
		EXISTS (SELECT 1 FROM pragma_table_info('event')) AND NOT EXISTS (SELECT 1 FROM pragma_table_info('event') WHERE name = 'at'),
		EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'exception')`

	// A restored file may have lost its sequence, or events behind a cursor, which
	// would skip whatever took their positions.
	sqlFloor = `SELECT max(coalesce((SELECT max(seq) FROM event), 0), coalesce((SELECT max(cursor) FROM subscription), 0))`

	sqlRaise = `INSERT INTO sqlite_sequence (name, seq) SELECT 'event', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'event');
		UPDATE sqlite_sequence SET seq = max(seq, (` + sqlFloor + `)) WHERE name = 'event'`

	// Earlier versions kept the events that waited for a retry, or were dead, in
	// a table of their own and let the cursor pass them. They are delivered again,
	// with all that follows; the inboxes know what was handled.
	sqlDropExceptions = `UPDATE subscription SET cursor = min(cursor,
			coalesce((SELECT min(x.seq) - 1 FROM exception x WHERE x.subscription = subscription.name), cursor));
		DROP TABLE exception`
)

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
	release, err := acquire(ctx, filepath.Join(dir, "bus.db.open"), c)
	if err != nil {
		return err
	}
	defer release()
	// Events hold personal data: only the owner may read them. SQLite gives its
	// other files the mode of this one.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(path, 10_000)+"&_txlock=immediate")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if fit, err := fits(ctx, db); fit || err != nil {
		return err // complete: do not take the write lock of a busy bus
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := mend(ctx, tx, c.Now().UnixMilli()); err != nil {
		return err
	}
	return tx.Commit()
}

// fits says that there is nothing to mend.
func fits(ctx context.Context, db *sql.DB) (bool, error) {
	var complete, timeless, exceptions bool
	err := db.QueryRowContext(ctx, sqlState).Scan(&complete, &timeless, &exceptions)
	if err != nil || !complete || timeless || exceptions {
		return false, err
	}
	var head, floor int64
	err = db.QueryRowContext(ctx, "SELECT ("+sqlHead+"), ("+sqlFloor+")").Scan(&head, &floor)
	return head >= floor, err
}

// mend makes the file fit.
func mend(ctx context.Context, tx *sql.Tx, now int64) error {
	var complete, timeless, exceptions bool
	if err := tx.QueryRowContext(ctx, sqlState).Scan(&complete, &timeless, &exceptions); err != nil {
		return err
	}
	var steps []string
	if timeless { // whoever asks for a time before this moment gets the old log from its beginning
		steps = append(steps, fmt.Sprintf(`ALTER TABLE event ADD COLUMN at INTEGER NOT NULL DEFAULT %d`, now))
	}
	steps = append(steps, schema)
	if exceptions {
		steps = append(steps, sqlDropExceptions)
	}
	for _, step := range append(steps, sqlRaise) {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return err
		}
	}
	return nil
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
