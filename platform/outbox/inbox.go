package outbox

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"trama/platform/bus"
	"trama/platform/store"
)

// InboxRow is the statement that marks an event as handled by a subscription:
// its name, the InboxKey, the time in Unix milliseconds.
const InboxRow = `INSERT INTO inbox (subscription, event_id, at) VALUES ($1, $2, $3)
	ON CONFLICT (subscription, event_id) DO NOTHING`

// inboxChunk bounds the rows of one statement.
const inboxChunk = 500

// InboxKey gives the key of an event in the inbox. In a replay, whose id is not
// empty, every event is handled once more, and once only.
func InboxKey(eventID, replay string) string {
	if replay == "" {
		return eventID
	}
	return eventID + "#" + replay
}

// Once runs fn in one transaction with the inbox row of the event. When the
// event was handled before, fn does not run and nil is returned.
func (b *Box) Once(ctx context.Context, subscription string, e bus.Event, fn func(tx store.Tx) error) error {
	return b.db.Update(ctx, func(tx store.Tx) error {
		replay := bus.Replay(ctx)
		n, err := tx.Exec(ctx, InboxRow, subscription, InboxKey(e.ID, replay), b.clock.Now().UnixMilli())
		if err == nil && replay != "" {
			err = b.handled(ctx, tx, subscription, e)
		}
		if err != nil {
			return fmt.Errorf("inbox: %w", err)
		}
		if n == 0 {
			return nil
		}
		return b.effect(tx, func() error { return fn(tx) })
	})
}

// handled notes for later that the event has had its effect: a replay may come
// before the first delivery.
func (b *Box) handled(ctx context.Context, tx store.Tx, subscription string, events ...bus.Event) error {
	rows := make([]store.Statement, len(events))
	for i, e := range events {
		rows[i] = store.Statement{SQL: InboxRow, Args: []any{subscription, e.ID, b.clock.Now().UnixMilli()}}
	}
	return store.ExecAll(ctx, tx, rows...)
}

// OnceAll runs fn in one transaction with the inbox rows of the events. fn gets
// those that were not handled before, in their order, and does not run when
// there are none.
func (b *Box) OnceAll(ctx context.Context, subscription string, events []bus.Event, fn func(tx store.Tx, fresh []bus.Event) error) error {
	return b.db.Update(ctx, func(tx store.Tx) error {
		replay := bus.Replay(ctx)
		taken := make(map[string]bool, len(events))
		for from := 0; from < len(events); from += inboxChunk {
			if err := b.mark(ctx, tx, subscription, replay, events[from:min(from+inboxChunk, len(events))], taken); err != nil {
				return fmt.Errorf("inbox: %w", err)
			}
		}
		if replay != "" {
			if err := b.handled(ctx, tx, subscription, events...); err != nil {
				return fmt.Errorf("inbox: %w", err)
			}
		}
		var fresh []bus.Event
		for _, e := range events {
			if key := InboxKey(e.ID, replay); taken[key] {
				delete(taken, key) // an event that is in the batch twice is fresh once
				fresh = append(fresh, e)
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		return b.effect(tx, func() error { return fn(tx, fresh) })
	})
}

// mark inserts inbox rows and puts the keys of those that were not there into taken.
func (b *Box) mark(ctx context.Context, tx store.Tx, subscription, replay string, events []bus.Event, taken map[string]bool) error {
	args := []any{subscription, b.clock.Now().UnixMilli()}
	values := make([]string, len(events))
	for i, e := range events {
		args = append(args, InboxKey(e.ID, replay))
		values[i] = "($1, $" + strconv.Itoa(len(args)) + ", $2)"
	}
	rows, err := tx.Query(ctx, `INSERT INTO inbox (subscription, event_id, at) VALUES `+strings.Join(values, ", ")+`
		ON CONFLICT (subscription, event_id) DO NOTHING RETURNING event_id`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return err
		}
		taken[key] = true
	}
	return errors.Join(rows.Err(), rows.Close())
}

// effect runs the handler's work between the crash points of the inbox.
func (b *Box) effect(tx store.Tx, work func() error) error {
	b.Crash.At("inbox.row")
	if err := work(); err != nil {
		return err
	}
	b.Crash.At("inbox.effect")
	tx.AfterCommit(func() { b.Crash.At("inbox.committed") })
	return nil
}
