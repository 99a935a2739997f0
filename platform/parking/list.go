package parking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"trama/platform/bus"
	"trama/platform/store"
)

const (
	subscriptions = `SELECT subscription FROM subscription_hold WHERE subscription >= $1 ORDER BY subscription`
	getLetter     = `SELECT ` + letterColumns + `, position, kind, code, error FROM letter WHERE subscription = $1 AND id = $2`
	countBehind   = `SELECT COUNT(*) FROM letter WHERE subscription = $1 AND subject = $2 AND position > $3`
	counts        = `SELECT s.subscription, s.until,
		(SELECT COUNT(*) FROM letter l WHERE l.subscription = s.subscription AND l.state = 'waiting'),
		(SELECT COUNT(*) FROM letter l WHERE l.subscription = s.subscription AND l.state = 'behind'),
		(SELECT COUNT(*) FROM letter l WHERE l.subscription = s.subscription AND l.state = 'dead'),
		COALESCE((SELECT l.parked_at FROM letter l WHERE l.subscription = s.subscription AND l.state = 'dead' ORDER BY l.position LIMIT 1), 0),
		COALESCE((SELECT MIN(l.due) FROM letter l WHERE l.subscription = s.subscription AND l.state = 'waiting'), -1)
		FROM subscription_hold s ORDER BY s.subscription`
)

// all gives the subscriptions that f selects, in order, from one on.
func (l *Lot) all(ctx context.Context, f Filter, from string) ([]string, error) {
	if f.Subscription != "" {
		return []string{f.Subscription}, nil
	}
	rows, err := l.db.Query(ctx, subscriptions, from)
	if err != nil {
		return nil, fmt.Errorf("parking: subscriptions: %w", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("parking: subscriptions: %w", err)
		}
		out = append(out, name)
	}
	return out, rows.Err()
}

// List gives letters by subscription and position.
func (l *Lot) List(ctx context.Context, f Filter, after string, limit int) (items []Entry, next string, err error) {
	limit = Limit(limit)
	from, position := Place(after)
	names, err := l.all(ctx, f, from)
	if err != nil {
		return nil, "", err
	}
	for _, name := range names {
		if name != from {
			position = 0
		}
		some, err := l.page(ctx, f, name, position, limit-len(items))
		if err != nil {
			return nil, "", err
		}
		if items = append(items, some...); len(items) == limit {
			last := items[limit-1]
			return items, last.Subscription + " " + strconv.FormatInt(last.Position, 10), nil
		}
	}
	return items, "", nil
}

// Place reads the after of List; a subscription's name has no spaces.
func Place(after string) (subscription string, position int64) {
	subscription, number, _ := strings.Cut(after, " ")
	position, _ = strconv.ParseInt(number, 10, 64)
	return subscription, position
}

// Limit gives the number of letters that a caller's limit means.
func Limit(n int) int {
	if n <= 0 {
		return BulkLimit
	}
	return n
}

func (l *Lot) page(ctx context.Context, f Filter, subscription string, after int64, limit int) ([]Entry, error) {
	w := f.where(subscription)
	w.and("position >", after)
	rows, err := l.db.Query(ctx, `SELECT id, subject, state, type, trace_id, due, tries, parked_at, parked_by, replay, position, kind, code, error
		FROM letter WHERE `+w.text()+` ORDER BY position LIMIT `+w.arg(limit), w.args...)
	if err != nil {
		return nil, fmt.Errorf("parking: list: %w", err)
	}
	defer rows.Close()
	var out []Entry
	for rows.Next() {
		e := Entry{Subscription: subscription}
		var due, parked int64
		err := rows.Scan(&e.ID, &e.Subject, &e.State, &e.Type, &e.TraceID, &due, &e.Tries, &parked, &e.ParkedBy, &e.Replay,
			&e.Position, &e.LastKind, &e.LastCode, &e.LastError)
		if err != nil {
			return nil, fmt.Errorf("parking: list: %w", err)
		}
		e.Due, e.ParkedAt = moment(due), moment(parked)
		out = append(out, e)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for i := range out {
		if err := l.countBehind(ctx, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (l *Lot) countBehind(ctx context.Context, e *Entry) error {
	if e.State == bus.Behind { // else a page of one subject would count its letters again and again
		return nil
	}
	if err := l.db.QueryRow(ctx, countBehind, e.Subscription, e.Subject, e.Position).Scan(&e.BehindIt); err != nil {
		return fmt.Errorf("parking: letters behind: %w", err)
	}
	return nil
}

// Causes groups what failed.
func (l *Lot) Causes(ctx context.Context, f Filter) ([]Cause, error) {
	names, err := l.all(ctx, f, "")
	if err != nil {
		return nil, err
	}
	var out []Cause
	for _, name := range names {
		some, err := l.causes(ctx, f, name)
		if err != nil {
			return nil, fmt.Errorf("parking: causes: %w", err)
		}
		out = append(out, some...)
	}
	slices.SortStableFunc(out, func(a, b Cause) int { return b.Count - a.Count })
	return out, nil
}

func (l *Lot) causes(ctx context.Context, f Filter, subscription string) ([]Cause, error) {
	w := f.where(subscription)
	rows, err := l.db.Query(ctx, `SELECT type, kind, code, cause, COUNT(*), MIN(parked_at), MAX(parked_at), MIN(id) FROM letter
		WHERE `+w.text()+` AND state <> 'behind' GROUP BY type, kind, code, cause ORDER BY type, kind, code, cause`, w.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Cause
	for rows.Next() {
		c := Cause{Subscription: subscription}
		var oldest, newest int64
		if err := rows.Scan(&c.Type, &c.Kind, &c.Code, &c.Error, &c.Count, &oldest, &newest, &c.Example); err != nil {
			return nil, err
		}
		c.Oldest, c.Newest = moment(oldest), moment(newest)
		out = append(out, c)
	}
	return out, rows.Err()
}

// Get gives one letter.
func (l *Lot) Get(ctx context.Context, subscription, id string) (Entry, error) {
	e, err := get(ctx, l.db, subscription, Clean(id))
	if err != nil {
		return Entry{}, err
	}
	return e, l.countBehind(ctx, &e)
}

func get(ctx context.Context, q store.Queryer, subscription, id string) (Entry, error) {
	e := Entry{Subscription: subscription}
	var err error
	e.Letter, err = scanLetter(q.QueryRow(ctx, getLetter, subscription, id), &e.Position, &e.LastKind, &e.LastCode, &e.LastError)
	switch {
	case errors.Is(err, store.ErrNoRows):
		return Entry{}, ErrNotFound
	case err != nil:
		return Entry{}, fmt.Errorf("parking: get: %w", err)
	}
	return e, nil
}

// Counts gives what each subscription has parked.
func (l *Lot) Counts(ctx context.Context) ([]Count, error) {
	rows, err := l.db.Query(ctx, counts)
	if err != nil {
		return nil, fmt.Errorf("parking: counts: %w", err)
	}
	defer rows.Close()
	var out []Count
	for rows.Next() {
		var c Count
		var until, oldest, due int64
		if err := rows.Scan(&c.Subscription, &until, &c.Waiting, &c.Behind, &c.Dead, &oldest, &due); err != nil {
			return nil, fmt.Errorf("parking: counts: %w", err)
		}
		c.OldestDead, c.Held = moment(oldest), until > l.clock.Now().UnixMilli()
		if due >= 0 { // a letter that was always due has zero
			c.NextDue = time.UnixMilli(due).UTC()
		}
		out = append(out, c)
	}
	return out, rows.Err()
}
