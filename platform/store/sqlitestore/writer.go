package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"trama/platform/store"
)

// writer is the one who writes: it owns the writing connection and runs the
// jobs of its queue, in groups, on one goroutine.
type writer struct {
	db      *sql.DB
	dir     string        // of the file
	max     int           // jobs per transaction
	patient time.Duration // wait for other processes
	queue   queue
	turn    turn
	sick    atomic.Bool   // the last group failed because of the engine
	stopped chan struct{} // closed when run has ended

	// The run goroutine's own:
	c    *conn  // nil when there is none that can be trusted
	solo []*job // to be run again, each in a transaction of its own
}

func newWriter(db *sql.DB, o Options) *writer {
	return &writer{
		db: db, dir: filepath.Dir(o.Path), max: o.MaxBatch, patient: o.BusyTimeout,
		queue:   queue{wake: make(chan struct{}, 1)},
		turn:    turn{path: o.Path + ".turn.lock"},
		stopped: make(chan struct{}),
	}
}

// open makes the first connection, so that a file that cannot be used shows at
// once. Turning WAL on needs the file for itself for a moment.
func (w *writer) open(ctx context.Context) error {
	deadline := time.Now().Add(w.patient)
	for {
		c, err := openConn(ctx, w.db)
		if err == nil {
			w.c = c
			return nil
		}
		if !isBusy(err) || time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// update queues fn and waits for its outcome.
func (w *writer) update(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{ctx: ctx, fn: fn, done: make(chan struct{})}
	if !w.queue.push(j) {
		return store.Unavailable(store.ErrClosed)
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.claim(cancelled) {
			return ctx.Err()
		}
		<-j.done // it has begun: only its outcome is the truth
	}
	if j.err != nil {
		return j.err
	}
	for _, f := range j.after {
		f()
	}
	return nil
}

// probe tries a write that changes nothing, once there is room to write at all.
func (w *writer) probe(ctx context.Context) error {
	if err := hasRoom(w.dir); err != nil {
		return store.Unavailable(fmt.Errorf("sqlitestore: %w", err))
	}
	return w.update(ctx, func(t store.Tx) error {
		var v int
		if err := t.QueryRow(ctx, "PRAGMA user_version").Scan(&v); err != nil {
			return err
		}
		_, err := t.Exec(ctx, fmt.Sprintf("PRAGMA user_version = %d", v)) // writes the page even so
		return err
	})
}

// run serves until the queue is closed and empty.
func (w *writer) run() {
	orderly := false
	defer func() {
		if !orderly { // a closure called runtime.Goexit: its group was failed, go on
			go w.run()
			return
		}
		close(w.stopped)
	}()
	for len(w.solo) > 0 || w.queue.wait() {
		w.group()
	}
	orderly = true
}

// close ends run after the waiting jobs and moves the log into the file.
func (w *writer) close() error {
	w.queue.close()
	<-w.stopped
	if w.c == nil {
		return w.turn.close()
	}
	err := w.c.exec("PRAGMA wal_checkpoint(TRUNCATE)")
	w.c.discard()
	w.c = nil
	if isBusy(err) { // another process reads or writes: it will do it
		err = nil
	} else if err != nil {
		err = fmt.Errorf("sqlitestore: checkpoint: %w", err)
	}
	return errors.Join(err, w.turn.close())
}

// group runs one transaction over jobs that wait.
func (w *writer) group() {
	if err := w.begin(); err != nil {
		if errors.Is(err, errNobody) {
			return
		}
		w.sick.Store(true)
		err = store.Unavailable(fmt.Errorf("sqlitestore: begin: %w", err))
		for _, j := range w.solo {
			j.answer(err)
		}
		w.solo = nil
		for j := w.queue.take(); j != nil; j = w.queue.take() {
			j.answer(err)
		}
		return
	}
	g := &group{w: w, lost: errGoexit}
	defer g.end()
	g.run()
}

var (
	errNobody = errors.New("nobody waits any more")
	errGoexit = errors.New("sqlitestore: a closure ended its goroutine (runtime.Goexit)")
)

// begin opens a transaction, on a fresh connection if the one at hand is no good.
func (w *writer) begin() error {
	var err error
	for range 2 {
		if w.c == nil {
			if w.c, err = openConn(context.Background(), w.db); err != nil {
				continue
			}
		}
		if err = w.beginPatiently(); err == nil || isBusy(err) || errors.Is(err, errNobody) {
			return err
		}
		w.c.discard()
		w.c = nil
	}
	return err
}

// beginPatiently waits for the transactions of other processes, in turn.
func (w *writer) beginPatiently() error {
	start := time.Now()
	mine := false
	defer func() {
		if mine {
			w.turn.pass()
		}
	}()
	for nap := 100 * time.Microsecond; ; nap = min(2*nap, time.Millisecond) {
		mine = mine || w.turn.try()
		if mine || time.Since(start) > unfairAfter {
			err := w.c.exec("BEGIN IMMEDIATE")
			if !isBusy(err) || time.Since(start) > w.patient {
				return err
			}
		}
		if len(w.solo) == 0 && !w.queue.any() {
			return errNobody
		}
		_ = pause(context.Background(), nap)
	}
}
