package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"trama/platform/clock"
	"trama/platform/store"
)

// SQL is the Ledger in table task of a relational store, which outbox.Schema
// makes. It is safe for concurrent use.
type SQL struct {
	db    store.DB
	clock clock.Clock
}

var _ Ledger = (*SQL)(nil)

// NewSQL makes the ledger; no I/O.
func NewSQL(db store.DB, c clock.Clock) *SQL { return &SQL{db: db, clock: c} }

const selectTask = `SELECT name, about, schedule, next_at, last_start, last_end, last_result, last_note, last_error,
	runs, failures, streak, running_since, running_by, requested_at, requested_by FROM task`

// List gives every task, by name.
func (l *SQL) List(ctx context.Context) ([]State, error) {
	rows, err := l.db.Query(ctx, selectTask+` ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("schedule: list: %w", err)
	}
	defer rows.Close()
	var out []State
	for rows.Next() {
		s, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("schedule: list: %w", err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// State gives one task.
func (l *SQL) State(ctx context.Context, name string) (State, error) {
	s, err := scan(l.db.QueryRow(ctx, selectTask+` WHERE name = $1`, name))
	if errors.Is(err, store.ErrNoRows) {
		return State{}, ErrUnknown
	}
	if err != nil {
		return State{}, fmt.Errorf("schedule: %s: %w", name, err)
	}
	return s, nil
}

func scan(row store.Row) (State, error) {
	var s State
	var next, lastStart, lastEnd, running, requested int64
	var result string
	err := row.Scan(&s.Name, &s.About, &s.Schedule, &next, &lastStart, &lastEnd, &result, &s.LastNote, &s.LastError,
		&s.Runs, &s.Failures, &s.Streak, &running, &s.RunningBy, &requested, &s.RequestedBy)
	s.LastResult = Ending(result)
	s.Next, s.LastStart, s.LastEnd = Time(next), Time(lastStart), Time(lastEnd)
	s.RunningSince, s.RequestedAt = Time(running), Time(requested)
	return s, err
}

// Time reads a time that an adapter stored as Unix milliseconds, 0 for none.
func Time(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// change runs one statement and gives how many rows it changed.
func (l *SQL) change(ctx context.Context, name, sql string, args ...any) (n int64, err error) {
	err = l.db.Update(ctx, func(tx store.Tx) (err error) {
		n, err = tx.Exec(ctx, sql, append([]any{name}, args...)...)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("schedule: %s: %w", name, err)
	}
	return n, nil
}

// Enter makes a task known.
func (l *SQL) Enter(ctx context.Context, name, about, schedule string, next time.Time) error {
	_, err := l.change(ctx, name, `INSERT INTO task (name, about, schedule, next_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name) DO UPDATE SET about = excluded.about, schedule = excluded.schedule,
			next_at = CASE WHEN task.schedule = excluded.schedule THEN task.next_at ELSE excluded.next_at END`,
		about, schedule, next.UnixMilli())
	return err
}

// Move sets the time of the next run.
func (l *SQL) Move(ctx context.Context, seen State, next time.Time) error {
	_, err := l.change(ctx, seen.Name, `UPDATE task SET next_at = $3 WHERE name = $1 AND runs = $2`, seen.Runs, next.UnixMilli())
	return err
}

// Claim begins a run.
func (l *SQL) Claim(ctx context.Context, seen State, process string, at, next time.Time) (State, bool, error) {
	n, err := l.change(ctx, seen.Name, `UPDATE task SET runs = runs + 1, running_since = $3, running_by = $4, next_at = $5,
		requested_at = 0, requested_by = '' WHERE name = $1 AND runs = $2 AND running_since = 0`,
		seen.Runs, at.UnixMilli(), process, next.UnixMilli())
	return seen.Claimed(process, at, next), n == 1, err
}

// Finish ends a run.
func (l *SQL) Finish(ctx context.Context, claimed State, o Outcome) error {
	_, err := l.change(ctx, claimed.Name, `UPDATE task SET last_start = running_since, running_since = 0, running_by = '',
		last_end = $3, next_at = $4, last_result = $5, last_note = $6, last_error = $7,
		failures = failures + CASE WHEN $5 = 'failed' THEN 1 ELSE 0 END,
		streak = CASE WHEN $5 = 'ok' THEN 0 WHEN $5 = 'failed' THEN streak + 1 ELSE streak END
		WHERE name = $1 AND runs = $2 AND running_since > 0`,
		claimed.Runs, o.End.UnixMilli(), o.Next.UnixMilli(), string(o.Result), o.Note, o.Error)
	return err
}

// Request asks for a run now.
func (l *SQL) Request(ctx context.Context, name, who string) error {
	n, err := l.change(ctx, name, `UPDATE task SET requested_at = $2, requested_by = $3 WHERE name = $1`, l.clock.Now().UnixMilli(), who)
	if err == nil && n == 0 {
		return ErrUnknown
	}
	return err
}
