package pgbus

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"

	"trama/platform/bus"
	"trama/platform/fault"
)

// Bounds of one commit. The bytes stay below the server's usual work_mem, beyond
// which it would write them to a temporary file first.
const (
	commitJobs  = 512
	commitBytes = 2 << 20
	commitLimit = 10 * time.Second // a commit that takes longer is given up
)

// sqlAppend is a transaction of its own: the turn is held only while the server
// works, never while it waits for a client that may be gone. The notification
// names the types that are new in the log; more than fit mean all.
const sqlAppend = `WITH added AS (
	INSERT INTO event (at, id, type, subject, body)
	SELECT $1, id, type, subject, body
	FROM unnest($2::text[], $3::text[], $4::text[], $5::bytea[]) WITH ORDINALITY AS e (id, type, subject, body, nr)
	ORDER BY nr
	ON CONFLICT (id) DO NOTHING RETURNING type)
SELECT pg_notify($6, CASE WHEN octet_length(types) < 7000 THEN types ELSE '' END)
FROM (SELECT string_agg(DISTINCT type, ' ') AS types FROM added) t WHERE types IS NOT NULL`

const (
	sqlTurn = `SELECT pg_advisory_xact_lock('event'::regclass::oid::int, 0)`

	// sqlNumbers moves the sequence to the highest position in use. Only under
	// the turn: nobody else draws meanwhile.
	sqlNumbers = `SELECT setval(pg_get_serial_sequence('event', 'seq'), used) FROM (
		SELECT greatest((SELECT max(seq) FROM event), (SELECT max(cursor) FROM subscription)) AS used) u
		WHERE used >= (SELECT last_value FROM event_seq_seq)`
)

// job is the events of one Publish, in columns.
type job struct {
	ids, types, subjects []string
	bodies               [][]byte
	bytes                int
	done                 chan error
}

func (j *job) add(e bus.Event, body []byte) {
	j.ids, j.types, j.subjects = append(j.ids, e.ID), append(j.types, e.Type), append(j.subjects, e.Subject)
	j.bodies = append(j.bodies, body)
	j.bytes += len(body)
}

// join appends the events of another job.
func (j *job) join(o *job) {
	j.ids, j.types, j.subjects = append(j.ids, o.ids...), append(j.types, o.types...), append(j.subjects, o.subjects...)
	j.bodies = append(j.bodies, o.bodies...)
	j.bytes += o.bytes
}

// writer appends to the log. Whatever jobs wait when a commit ends go into the
// next one together, so they share its turn and its fsync.
type writer struct {
	bus   *Bus
	jobs  chan *job
	ready bool // schema and numbers are known to be right
}

// do commits j, or says why not. After ctx ends it may still be committed.
func (w *writer) do(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return waited(err)
	}
	if w.bus.life.Err() != nil {
		return bus.ErrUnavailable.Wrap(errClosed)
	}
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		return waited(ctx.Err())
	case <-w.bus.life.Done():
		return bus.ErrUnavailable.Wrap(errClosed)
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return waited(ctx.Err())
	case <-w.bus.life.Done():
		select { // the answer may have come at the same time
		case err := <-j.done:
			return err
		default:
			return bus.ErrUnavailable.Wrap(errClosed)
		}
	}
}

// waited turns a caller's impatience into a fault.
func waited(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.As(err)
	}
	return bus.ErrUnavailable.Wrap(err)
}

func (w *writer) run() {
	for {
		select {
		case <-w.bus.life.Done():
			return
		case j := <-w.jobs:
			all, waiting := w.gather(j)
			err := w.commit(all)
			if err != nil {
				err = bus.ErrUnavailable.Wrap(err)
			}
			for _, j := range waiting {
				j.done <- err
			}
		}
	}
}

func (w *writer) gather(first *job) (all *job, waiting []*job) {
	all, waiting = &job{}, []*job{first}
	all.join(first)
	for came := true; came; {
		came = false
		runtime.Gosched() // the callers of the last commit are about to publish again
		for len(waiting) < commitJobs && all.bytes < commitBytes {
			select {
			case j := <-w.jobs:
				all.join(j)
				waiting, came = append(waiting, j), true
				continue
			default:
			}
			break
		}
	}
	return all, waiting
}

// commit writes all in one transaction. After an error it may be there or not.
func (w *writer) commit(all *job) error {
	b := w.bus
	ctx, cancel := context.WithTimeout(b.life, commitLimit)
	defer cancel()
	if !w.ready {
		if err := w.prepare(ctx); err != nil {
			return err
		}
	}
	b.opt.Crash.At("bus.append")
	_, err := b.pool.Exec(ctx, sqlAppend, b.clock.Now(), all.ids, all.types, all.subjects, all.bodies, b.opt.Schema)
	if err != nil { // perhaps the database is another one than before
		w.ready = false
		b.prepared.Store(false)
		return err
	}
	b.opt.Crash.At("bus.appended")
	return nil
}

func (w *writer) prepare(ctx context.Context) error {
	if err := w.bus.prepare(ctx); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, w.bus.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlTurn); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sqlNumbers)
		return err
	})
	w.ready = err == nil
	return err
}
