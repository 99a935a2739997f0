// Package sqlitestore keeps a service's store in one SQLite file.
//
// It owns the file and everything beside it (-wal, -shm, *.lock). The file is in
// WAL mode with synchronous=FULL: what Update acknowledged survives a power cut.
//
// One goroutine writes (group commit): it opens a transaction, runs the closures
// that wait, each under a savepoint, commits once and answers them all, so that
// the wait for the disk is shared. Closures therefore run one after the other
// on that goroutine, and a slow one delays all; every answer, also an error, is
// given only after the commit, because it may rest on what a neighbour wrote.
// A failed commit fails the whole group and leaves nothing behind.
//
// Readers have connections of their own, opened when first needed, and never
// wait for the writer. Several processes may open the same file; their writers
// take turns (see turn.go).
//
// A full or broken disk makes calls fail with Unavailable; the next call tries
// afresh, so recovery needs no restart.
package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"

	"trama/platform/store"
)

// Options say how a file is opened. Only Path is required.
type Options struct {
	// Path of the database file. It is made with mode 0600, its folder with 0700.
	Path string
	// Readers is the greatest number of reading connections. Defaults to 4.
	Readers int
	// MaxBatch is the greatest number of closures committed together. Defaults
	// to 128; 1 means a commit of its own for each (the baseline of the benchmarks).
	MaxBatch int
	// BusyTimeout is how long to wait for another process's transaction before
	// Unavailable. Defaults to 10 s.
	BusyTimeout time.Duration
	// Synchronous is SQLite's durability level. Defaults to "FULL". "NORMAL" loses the
	// last commits in a power cut (not in a crash of the process); "OFF" is for tests.
	Synchronous string
}

func (o *Options) defaults() error {
	if o.Path == "" {
		return errors.New("sqlitestore: no path")
	}
	if o.Readers <= 0 {
		o.Readers = 4
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = 128
	}
	if o.BusyTimeout <= 0 {
		o.BusyTimeout = 10 * time.Second
	}
	switch o.Synchronous = strings.ToUpper(o.Synchronous); o.Synchronous {
	case "":
		o.Synchronous = "FULL"
	case "OFF", "NORMAL", "FULL", "EXTRA":
	default:
		return fmt.Errorf("sqlitestore: synchronous %q: want FULL, NORMAL, EXTRA or OFF", o.Synchronous)
	}
	return nil
}

// DB is an open file. It is safe for concurrent use.
type DB struct {
	opt     Options
	writeDB *sql.DB // one connection, held by the writer
	readDB  *sql.DB
	writer  *writer
	readers *readers
	leases  leases

	closing sync.Once
	closed  error
}

var _ store.DB = (*DB)(nil)

// Open opens the file, making it where there is none, and starts its writer.
func Open(ctx context.Context, opt Options) (*DB, error) {
	if err := opt.defaults(); err != nil {
		return nil, err
	}
	if err := createFile(opt.Path); err != nil {
		return nil, store.Unavailable(fmt.Errorf("sqlitestore: %w", err))
	}
	d := &DB{opt: opt}
	var err error
	if d.writeDB, err = openPool(writerDSN(opt)); err != nil {
		return nil, err
	}
	if d.readDB, err = openPool(readerDSN(opt)); err != nil {
		return nil, errors.Join(err, d.writeDB.Close())
	}
	d.leases.path = opt.Path
	d.readers = newReaders(d.readDB, opt.Readers)
	d.writer = newWriter(d.writeDB, opt)
	if err := d.writer.open(ctx); err != nil {
		return nil, errors.Join(mapError(fmt.Errorf("sqlitestore: open %s: %w", opt.Path, err)), d.writeDB.Close(), d.readDB.Close())
	}
	go d.writer.run()
	return d, nil
}

func openPool(dsn string) (*sql.DB, error) {
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("sqlitestore: %w", err)
	}
	return sql.OpenDB(c), nil
}

// dsn escapes the path for SQLite's URI syntax and adds the pragmas.
func dsn(path string, pragmas ...string) string {
	u := "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	for i, p := range pragmas {
		sep := "&"
		if i == 0 {
			sep = "?"
		}
		u += sep + "_pragma=" + p
	}
	return u
}

// Cache sizes are in KiB when negative. They are caps: a page is only kept once
// it was used. They are small because a whole system has many open files.
func writerDSN(o Options) string {
	return dsn(o.Path, "busy_timeout(0)", "journal_mode(WAL)", "synchronous("+o.Synchronous+")", "foreign_keys(1)",
		"temp_store(MEMORY)", "cache_size(-2000)", "journal_size_limit(16777216)")
}

func readerDSN(o Options) string {
	return dsn(o.Path, "busy_timeout(5000)", "query_only(1)", "temp_store(MEMORY)", "cache_size(-1000)")
}

// Dialect is SQLite.
func (d *DB) Dialect() store.Dialect { return store.SQLite }

// Update runs fn in one durable transaction; see store.DB.
func (d *DB) Update(ctx context.Context, fn func(tx store.Tx) error) error {
	return d.writer.update(ctx, fn)
}

// Query reads committed data. The connection is held until the rows are closed.
func (d *DB) Query(ctx context.Context, query string, args ...any) (store.Rows, error) {
	return d.readers.query(ctx, query, args)
}

// QueryRow reads one row of committed data; the query runs in Scan.
func (d *DB) QueryRow(ctx context.Context, query string, args ...any) store.Row {
	return readRow{d.readers, ctx, query, args}
}

// Ping reads from the file. After a failed write it also tries one, so that a
// full disk shows here, and its recovery too.
func (d *DB) Ping(ctx context.Context) error {
	var one int
	if err := d.QueryRow(ctx, "SELECT 1").Scan(&one); err != nil {
		return err
	}
	if d.writer.sick.Load() {
		return d.writer.probe(ctx)
	}
	return nil
}

// OpenSQL opens the file for database/sql, with one connection, for what only
// database/sql can do (migrations). The caller closes it.
func (d *DB) OpenSQL(context.Context) (*sql.DB, error) {
	db, err := openPool(dsn(d.opt.Path, fmt.Sprintf("busy_timeout(%d)", d.opt.BusyTimeout.Milliseconds()),
		"synchronous("+d.opt.Synchronous+")", "foreign_keys(1)", "temp_store(MEMORY)") + "&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// closeGrace is how long Close waits for rows somebody still reads.
const closeGrace = 5 * time.Second

// Close finishes the updates that wait, refuses new ones, releases leases, moves
// the log into the file and closes it. Closing twice gives the first result.
func (d *DB) Close() error {
	d.closing.Do(func() {
		d.closed = errors.Join(
			d.writer.close(),
			d.leases.close(),
			d.readers.close(closeGrace),
			d.readDB.Close(),
			d.writeDB.Close(),
		)
	})
	return d.closed
}
