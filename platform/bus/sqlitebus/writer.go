package sqlitebus

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/fault"
)

// Bounds of one transaction of the writer.
const (
	commitJobs  = 512
	commitBytes = 8 << 20
)

// busyFor is how long a commit waits for another process's.
const busyFor = 10 * time.Second

// job is what one caller wants committed: events, statements or both.
type job struct {
	rows  []row
	apply func(execer) error
	done  chan error
}

func (j *job) bytes() int {
	n := 0
	for _, r := range j.rows {
		n += len(r.body)
	}
	return n
}

// execer runs one statement, prepared once per connection.
type execer interface {
	exec(query string, args ...any) error
}

// writer owns the process's only writing connection. Whatever jobs wait when a
// commit ends go into the next one together, so they share its fsync.
type writer struct {
	path  string
	clock clock.Clock
	crash *crash.Points
	tail  *tail
	jobs  chan *job
	life  context.Context
	end   context.CancelFunc

	db      *sql.DB   // nil until needed, and after an error that may have broken it
	conn    *sql.Conn // of db
	stmts   map[string]*sql.Stmt
	inserts map[int]*sql.Stmt // of stmts, by number of rows
}

func newWriter(path string, c clock.Clock, points *crash.Points, t *tail) *writer {
	w := &writer{path: path, clock: c, crash: points, tail: t, jobs: make(chan *job, commitJobs)}
	w.life, w.end = context.WithCancel(context.Background())
	return w
}

// do commits j, or says why not. After ctx ends it may still be committed.
func (w *writer) do(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return waited(err)
	}
	j.done = make(chan error, 1)
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		return waited(ctx.Err())
	case <-w.life.Done():
		return unavailable("write", errClosed)
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return waited(ctx.Err())
	case <-w.life.Done():
		select { // the answer may have come at the same time
		case err := <-j.done:
			return err
		default:
			return unavailable("write", errClosed)
		}
	}
}

// waited turns a caller's impatience into a fault.
func waited(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.As(err)
	}
	return unavailable("write", err)
}

func (w *writer) close() { w.end() }

func (w *writer) run() {
	defer w.reset()
	for {
		select {
		case <-w.life.Done():
			return
		case j := <-w.jobs:
			batch := w.gather(j)
			err := w.commit(batch)
			if err != nil {
				w.reset()
				err = unavailable("commit", err)
			}
			for _, j := range batch {
				j.done <- err
			}
		}
	}
}

// gather takes what waits, and as long as more comes lets those run who are about
// to ask: the callers of the last commit publish again, and to commit with half
// of them costs as much as with all.
func (w *writer) gather(first *job) []*job {
	batch, bytes := []*job{first}, first.bytes()
	for came := true; came; {
		came = false
		runtime.Gosched()
		for len(batch) < commitJobs && bytes < commitBytes {
			select {
			case j := <-w.jobs:
				batch, bytes, came = append(batch, j), bytes+j.bytes(), true
				continue
			default:
			}
			break
		}
	}
	return batch
}

// commit writes the batch in one transaction. On an error nothing of it exists,
// except after a failed COMMIT, when it may.
func (w *writer) commit(batch []*job) error {
	if err := w.open(); err != nil {
		return err
	}
	if err := w.begin(); err != nil {
		return err
	}
	var rows []row
	for _, j := range batch {
		rows = append(rows, j.rows...)
	}
	before, last, added, err := w.append(rows)
	if err != nil {
		return err
	}
	for _, j := range batch {
		if j.apply == nil {
			continue
		}
		if err := j.apply(w); err != nil {
			return err
		}
	}
	w.crash.At("bus.append")
	if err := w.exec("COMMIT"); err != nil {
		return err
	}
	w.crash.At("bus.appended")
	if len(added) > 0 {
		w.tail.append(before, last, added)
	}
	return nil
}

// begin takes the write lock. SQLite's own waiting sleeps up to 100 ms between
// looks, too long for a lock that is held for one or two.
func (w *writer) begin() error {
	patience, cancel := context.WithTimeout(w.life, busyFor)
	defer cancel()
	for {
		err := w.exec("BEGIN IMMEDIATE")
		var e *sqlite.Error
		if err == nil || !errors.As(err, &e) || e.Code()&0xff != sqlite3.SQLITE_BUSY {
			return err
		}
		if w.clock.Wait(patience, 200*time.Microsecond+rand.N(400*time.Microsecond)) != nil {
			return fmt.Errorf("another process keeps the file locked: %w", err)
		}
	}
}

func (w *writer) open() error {
	if w.conn != nil {
		return nil
	}
	db, err := sql.Open("sqlite", dsn(w.path, 10_000))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(context.Background())
	if err == nil {
		_, err = conn.ExecContext(context.Background(), "PRAGMA busy_timeout = 0") // see begin
	}
	if err != nil {
		_ = db.Close()
		return err
	}
	w.db, w.conn, w.stmts, w.inserts = db, conn, map[string]*sql.Stmt{}, map[int]*sql.Stmt{}
	return nil
}

func (w *writer) stmt(query string) (*sql.Stmt, error) {
	if st := w.stmts[query]; st != nil {
		return st, nil
	}
	// A context without an end spares the driver a goroutine per statement.
	st, err := w.conn.PrepareContext(context.Background(), query)
	if err == nil {
		w.stmts[query] = st
	}
	return st, err
}

// exec implements execer, within the transaction of the batch.
func (w *writer) exec(query string, args ...any) error {
	st, err := w.stmt(query)
	if err != nil {
		return err
	}
	_, err = st.Exec(args...)
	return err
}

// reset gives up the connection, and with it a transaction that may be open. The
// next batch starts with a new one: after a full disk or an I/O error nothing of
// the old one is worth trusting.
func (w *writer) reset() {
	if w.conn == nil {
		return
	}
	_, _ = w.conn.ExecContext(context.Background(), "ROLLBACK") // fails when none is open
	for _, st := range w.stmts {
		_ = st.Close()
	}
	_ = w.conn.Close()
	_ = w.db.Close()
	w.db, w.conn, w.stmts, w.inserts = nil, nil, nil, nil
}
