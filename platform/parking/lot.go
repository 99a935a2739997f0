package parking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/store"
)

// Lot keeps letters in a relational store. It is safe for concurrent use.
type Lot struct {
	db      store.DB
	clock   clock.Clock
	process string
}

var (
	_ bus.Parking = (*Lot)(nil)
	_ Admin       = (*Lot)(nil)
)

// New makes the lot of a store whose tables are there (outbox.Schema). process
// is written into letters that do not say who parked them: "host:pid".
func New(db store.DB, c clock.Clock, process string) *Lot {
	return &Lot{db: db, clock: c, process: process}
}

// The statements of a consumer. Writers of a subscription first lock its row:
// without that, on PostgreSQL, a letter parked behind another while this one is
// dropped would stay behind nothing for ever.
//
// A subject's letters are found by where they begin in the index, and what is of
// other subjects is left out afterwards. Asked for "subject = $3", PostgreSQL
// reads another index, or the table, from end to end as soon as its statistics
// make it believe that most letters are of one subject.
const (
	lock = `INSERT INTO subscription_hold (subscription, until) VALUES ($1, 0)
		ON CONFLICT (subscription) DO UPDATE SET subscription = excluded.subscription`
	blocked = `SELECT subject, state, due FROM letter WHERE subscription = $1 AND state <> 'behind'`
	park    = `INSERT INTO letter (subscription, id, event_id, subject, state, body, type, trace_id, due, tries,
			history, parked_at, parked_by, replay, kind, code, error, cause)
		SELECT $1, $2, $2, $3, CASE WHEN EXISTS (SELECT 1 FROM (SELECT subscription, subject FROM letter
				WHERE (subscription, subject, position) > ($1, $3, 0) ORDER BY subscription, subject, position LIMIT 1) AS first
			WHERE subscription = $1 AND subject = $3) THEN 'behind' ELSE $4 END,
			$5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17
		WHERE TRUE ON CONFLICT (subscription, id) DO NOTHING`
	failed = `UPDATE letter SET
			state = CASE WHEN acted > $3 OR state = 'behind' THEN state ELSE $4 END,
			due = CASE WHEN acted > $3 THEN due ELSE $5 END,
			tries = CASE WHEN acted > $3 THEN tries ELSE $6 END,
			acted = CASE WHEN acted > $3 THEN $3 ELSE acted END,
			history = $7, kind = $8, code = $9, error = $10, cause = $11
		WHERE subscription = $1 AND id = $2`
	promote = `UPDATE letter SET state = 'waiting', due = $3 WHERE state = 'behind' AND position = (
		SELECT position FROM (SELECT subscription, subject, position FROM letter
			WHERE (subscription, subject, position) > ($1, $2, 0) ORDER BY subscription, subject, position LIMIT 1) AS first
		WHERE subscription = $1 AND subject = $2)`
	woken = `SELECT until, '' AS subject, -1 AS due FROM subscription_hold WHERE subscription = $1
		UNION ALL SELECT 0, subject, due FROM (SELECT subject, due FROM letter
			WHERE subscription = $1 AND state = 'waiting' AND due <= $2 ORDER BY due LIMIT $3) AS first`
)

// Lease waits until the caller alone may work the subscription.
func (l *Lot) Lease(ctx context.Context, subscription string) (bus.Lease, error) {
	return l.db.Lease(ctx, LeaseName(subscription))
}

// Blocked gives every subject that has letters.
func (l *Lot) Blocked(ctx context.Context, subscription string) ([]bus.Blocked, error) {
	rows, err := l.db.Query(ctx, blocked, subscription)
	if err != nil {
		return nil, fmt.Errorf("parking: blocked subjects: %w", err)
	}
	defer rows.Close()
	var out []bus.Blocked
	for rows.Next() {
		var b bus.Blocked
		var due int64
		if err := rows.Scan(&b.Subject, &b.State, &due); err != nil {
			return nil, fmt.Errorf("parking: blocked subjects: %w", err)
		}
		b.Due = moment(due)
		out = append(out, b)
	}
	return out, rows.Err()
}

// Park adds letters behind those of their subjects.
func (l *Lot) Park(ctx context.Context, subscription string, letters ...bus.Letter) error {
	if len(letters) == 0 {
		return nil
	}
	now := l.clock.Now()
	statements := []store.Statement{{SQL: lock, Args: []any{subscription}}}
	for _, x := range letters {
		args, err := l.row(subscription, x, now)
		if err != nil {
			return err
		}
		statements = append(statements, store.Statement{SQL: park, Args: args})
	}
	return l.exec(ctx, "park", statements)
}

// row gives the arguments of park.
func (l *Lot) row(subscription string, x bus.Letter, now time.Time) ([]any, error) {
	state, due := x.State, x.Due
	if state == bus.Behind { // in case nothing is in front of it
		state, due = bus.Waiting, now
	}
	if x.ParkedAt.IsZero() {
		x.ParkedAt = now
	}
	if x.ParkedBy == "" {
		x.ParkedBy = l.process
	}
	if x.Body == nil {
		x.Body = []byte{}
	}
	history, err := encodeHistory(x)
	if err != nil {
		return nil, err
	}
	kind, code, text := Last(x)
	return []any{subscription, Clean(x.ID), Clean(x.Subject), string(state), x.Body, Clean(x.Type), Clean(x.TraceID), millis(due), x.Tries,
		history, millis(x.ParkedAt), Clean(x.ParkedBy), Clean(x.Replay), kind, code, text, Normal(text)}, nil
}

// Front gives the first letters of a subject.
func (l *Lot) Front(ctx context.Context, subscription, subject string, limit int) ([]bus.Letter, error) {
	rows, err := l.db.Query(ctx, front, subscription, Clean(subject), limit)
	if err != nil {
		return nil, fmt.Errorf("parking: front of %s: %w", subscription, err)
	}
	defer rows.Close()
	var out []bus.Letter
	for rows.Next() {
		x, err := scanLetter(rows)
		if err != nil {
			return nil, fmt.Errorf("parking: front of %s: %w", subscription, err)
		}
		out = append(out, x)
	}
	return out, rows.Err()
}

// Failed stores what a failed try changed. If an operator acted on the letter
// after that try began, the act stands and only the history grows.
func (l *Lot) Failed(ctx context.Context, subscription string, x bus.Letter) error {
	history, err := encodeHistory(x)
	if err != nil {
		return err
	}
	began := l.clock.Now()
	if n := len(x.History); n > 0 {
		began = x.History[n-1].At
	}
	kind, code, text := Last(x)
	return l.exec(ctx, "note a failed try", []store.Statement{{SQL: failed, Args: []any{subscription, Clean(x.ID),
		millis(began), string(x.State), millis(x.Due), x.Tries, history, kind, code, text, Normal(text)}}})
}

// Done removes letters that were handled, and lets what is behind them come first.
func (l *Lot) Done(ctx context.Context, subscription string, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	err := l.db.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec(ctx, lock, subscription); err != nil {
			return err
		}
		subjects, err := removeLetters(ctx, tx, subscription, ids)
		if err != nil {
			return err
		}
		return store.ExecAll(ctx, tx, l.promote(subscription, subjects)...)
	})
	if err != nil {
		return fmt.Errorf("parking: remove letters: %w", err)
	}
	return nil
}

// removeLetters deletes letters and gives the subjects they were of.
func removeLetters(ctx context.Context, tx store.Tx, subscription string, ids []string) ([]string, error) {
	w := &where{}
	w.and("subscription =", subscription)
	w.in("id", ids)
	rows, err := tx.Query(ctx, `DELETE FROM letter WHERE `+w.text()+` RETURNING subject`, w.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var subject string
		if err := rows.Scan(&subject); err != nil {
			return nil, err
		}
		out = append(out, subject)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// promote gives the statements that let the next letters of the subjects come first.
func (l *Lot) promote(subscription string, subjects []string) []store.Statement {
	slices.Sort(subjects)
	var out []store.Statement
	for _, s := range slices.Compact(subjects) {
		out = append(out, store.Statement{SQL: promote, Args: []any{subscription, s, l.clock.Now().UnixMilli()}})
	}
	return out
}

// Woken gives the subjects whose first letter is due, and whether the
// subscription is held.
func (l *Lot) Woken(ctx context.Context, subscription string, now time.Time, limit int) ([]bus.Blocked, bool, error) {
	rows, err := l.db.Query(ctx, woken, subscription, now.UnixMilli(), limit)
	if err != nil {
		return nil, false, fmt.Errorf("parking: due letters: %w", err)
	}
	defer rows.Close()
	var out []bus.Blocked
	held := false
	for rows.Next() {
		b := bus.Blocked{State: bus.Waiting}
		var until, due int64
		if err := rows.Scan(&until, &b.Subject, &due); err != nil {
			return nil, false, fmt.Errorf("parking: due letters: %w", err)
		}
		if due < 0 { // the subscription's own row
			held = until > now.UnixMilli()
			continue
		}
		b.Due = moment(due)
		out = append(out, b)
	}
	return out, held, rows.Err()
}

func (l *Lot) exec(ctx context.Context, what string, statements []store.Statement) error {
	err := l.db.Update(ctx, func(tx store.Tx) error { return store.ExecAll(ctx, tx, statements...) })
	if err != nil {
		return fmt.Errorf("parking: %s: %w", what, err)
	}
	return nil
}
