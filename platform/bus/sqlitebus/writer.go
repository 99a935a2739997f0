package sqlitebus

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
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

// row is one event to append.
type row struct{ id, typ, subject, body string }

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

	db    *sql.DB   // nil until needed, and after an error that may have broken it
	conn  *sql.Conn // of db
	stmts map[string]*sql.Stmt
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

func (w *writer) gather(first *job) []*job {
	batch, bytes := []*job{first}, first.bytes()
	for len(batch) < commitJobs && bytes < commitBytes {
		select {
		case j := <-w.jobs:
			batch, bytes = append(batch, j), bytes+j.bytes()
		default:
			return batch
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
	before, last, added, err := w.appendRows(rows)
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

// insertSizes are the row counts of the prepared INSERTs, largest first: one
// statement for many rows saves most of the cost per row.
var insertSizes = [...]int{64, 8, 1}

var insertSQL = func() (out [len(insertSizes)]string) {
	for i, n := range insertSizes {
		out[i] = "INSERT INTO event (seq, id, type, subject, body) VALUES " +
			strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?), ", n), ", ") + " ON CONFLICT (id) DO NOTHING"
	}
	return out
}()

// appendRows gives each row the next position, and tells which were new.
func (w *writer) appendRows(rows []row) (before, last int64, added []tailEntry, err error) {
	if len(rows) == 0 {
		return 0, 0, nil, nil
	}
	head, err := w.stmt(sqlHead)
	if err != nil {
		return 0, 0, nil, err
	}
	if err := head.QueryRow().Scan(&before); err != nil {
		return 0, 0, nil, err
	}
	last = before
	added = make([]tailEntry, 0, len(rows))
	for len(rows) > 0 {
		i := 0
		for insertSizes[i] > len(rows) {
			i++
		}
		chunk := rows[:insertSizes[i]]
		rows = rows[len(chunk):]
		fresh, err := w.insert(insertSQL[i], last+1, chunk)
		if err != nil {
			return 0, 0, nil, err
		}
		for k, r := range chunk {
			if fresh == nil || fresh[last+1+int64(k)] {
				added = append(added, tailEntry{seq: last + 1 + int64(k), rec: &record{typ: r.typ, body: r.body}})
			}
		}
		last += int64(len(chunk)) // a skipped row leaves its position unused
	}
	if len(added) > 0 { // SQLite may hand the unused ones at the end out again
		last = added[len(added)-1].seq
	}
	return before, last, added, nil
}

// insert adds the chunk at positions first…; fresh is nil when all were new.
func (w *writer) insert(query string, first int64, chunk []row) (fresh map[int64]bool, err error) {
	st, err := w.stmt(query)
	if err != nil {
		return nil, err
	}
	args := make([]any, 0, 5*len(chunk))
	for k, r := range chunk {
		args = append(args, first+int64(k), r.id, r.typ, r.subject, r.body)
	}
	res, err := st.Exec(args...)
	if err != nil {
		return nil, err
	}
	n, err := res.RowsAffected()
	if err != nil || n == int64(len(chunk)) {
		return nil, err
	}
	got, err := w.conn.QueryContext(context.Background(), `SELECT seq FROM event WHERE seq >= ?`, first)
	if err != nil {
		return nil, err
	}
	defer got.Close()
	fresh = map[int64]bool{}
	for got.Next() {
		var seq int64
		if err := got.Scan(&seq); err != nil {
			return nil, err
		}
		fresh[seq] = true
	}
	return fresh, got.Err()
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
	w.db, w.conn, w.stmts = db, conn, map[string]*sql.Stmt{}
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
	w.db, w.conn, w.stmts = nil, nil, nil
}
