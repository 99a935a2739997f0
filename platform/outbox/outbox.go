// Package outbox makes a fact and its event one commit, and an event and its
// effect one commit.
//
// A Box belongs to one service's store. Box.Write puts events into the outbox
// table inside the transaction that changes the state: both exist or neither.
// A Relay, one at a time per store (it holds a lease), reads the outbox in
// commit order of each subject, publishes in pipelined batches and deletes what
// the bus confirmed. It survives the death of any process and any outage of bus
// or store; it may publish an event twice, never skip one.
//
// Once is the other end: it runs a consumer's change in a transaction together
// with an inbox row, so that an event delivered twice has one effect; OnceAll
// does it for several. Inbox rows are kept as long as the bus can deliver the
// event again. A replay has rows of its own.
//
// Order: Write numbers the events of each subject and holds the subject's row
// until commit, so that on every engine a subject's outbox rows appear in the
// order of their numbers. Rows of different subjects may appear out of order
// (PostgreSQL hands out serials before commit); since the relay deletes row by
// row and keeps no cursor, none can be skipped.
package outbox

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/id"
	"trama/platform/store"
	"trama/platform/telemetry"
)

//go:embed schema
var schema embed.FS

// Schema gives the migrations of the tables this package and package
// idempotency keep in every service's store.
func Schema() fs.FS {
	sub, err := fs.Sub(schema, "schema")
	if err != nil {
		panic(err) // the folder is embedded: cannot happen
	}
	return sub
}

// Message is an event-to-be: what the service knows; the Box adds the rest.
type Message struct {
	Type    string // an event type of contracts/events
	Subject string // id of the aggregate: the unit of order
	Data    any    // payload, encoded as JSON
}

// Box is the outbox of one service's store.
type Box struct {
	db     store.DB
	source string
	clock  clock.Clock
	ids    id.Source
	wake   chan struct{}

	// Crash are the points "outbox.before" (the caller's rows are written, the
	// events are not), "outbox.written", "outbox.committed", "inbox.row",
	// "inbox.effect" (the handler's work is done) and "inbox.committed".
	Crash *crash.Points
}

// New makes the box of the service whose events come from source ("/financeiro").
func New(db store.DB, source string, c clock.Clock, ids id.Source) *Box {
	return &Box{db: db, source: source, clock: c, ids: ids, wake: make(chan struct{}, 1)}
}

// Event completes a message: id, time, source, schema and the trace of ctx.
func (b *Box) Event(ctx context.Context, m Message) (bus.Event, error) {
	return Build(ctx, b.ids, b.clock, b.source, m)
}

// Build completes a message for stores that keep their outbox in their own way.
func Build(ctx context.Context, ids id.Source, c clock.Clock, source string, m Message) (bus.Event, error) {
	data, err := json.Marshal(m.Data)
	if err != nil {
		return bus.Event{}, fmt.Errorf("outbox: encode %s: %w", m.Type, err)
	}
	return bus.Event{
		SpecVersion:     "1.0",
		ID:              ids.New(),
		Source:          source,
		Type:            m.Type,
		Subject:         m.Subject,
		Time:            c.Now(),
		DataContentType: "application/json",
		DataSchema:      "urn:trama:evento:" + m.Type, // the $id of its JSON Schema; CloudEvents wants an absolute URI
		TraceParent:     telemetry.TraceParent(ctx),
		Data:            data,
	}, nil
}

// The statements of Write. The number of an event is taken from its subject's
// row, which stays locked until commit.
const (
	countSubject = `INSERT INTO outbox_subject (subject, last) VALUES ($1, 1)
		ON CONFLICT (subject) DO UPDATE SET last = outbox_subject.last + 1`
	addEvent = `INSERT INTO outbox (subject, n, body) SELECT subject, last, $2 FROM outbox_subject WHERE subject = $1`
)

// Write stores the messages in tx. The relay wakes after the commit.
func (b *Box) Write(ctx context.Context, tx store.Tx, messages ...Message) error {
	if len(messages) == 0 {
		return nil
	}
	statements := make([]store.Statement, 0, 2*len(messages))
	for _, m := range messages {
		e, err := b.Event(ctx, m)
		if err != nil {
			return err
		}
		if err := e.Check(); err != nil { // no bus would take it, and what follows would wait behind it
			return fmt.Errorf("outbox: %s: %v", m.Type, err)
		}
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("outbox: encode %s: %w", m.Type, err)
		}
		statements = append(statements,
			store.Statement{SQL: countSubject, Args: []any{m.Subject}},
			store.Statement{SQL: addEvent, Args: []any{m.Subject, string(body)}})
	}
	b.Crash.At("outbox.before")
	if err := store.ExecAll(ctx, tx, statements...); err != nil {
		return fmt.Errorf("outbox: write: %w", err)
	}
	b.Crash.At("outbox.written")
	tx.AfterCommit(func() {
		b.Crash.At("outbox.committed")
		b.signal()
	})
	return nil
}

func (b *Box) signal() {
	select {
	case b.wake <- struct{}{}:
	default: // a wake-up is already waiting
	}
}

// Wake fires after this process committed events. Other processes' commits are
// found by the relay's polling.
func (b *Box) Wake() <-chan struct{} { return b.wake }

// Pending gives up to limit events, in the order they must be published.
func (b *Box) Pending(ctx context.Context, limit int) ([]Entry, error) {
	rows, err := b.db.Query(ctx, `SELECT seq, n, body FROM outbox ORDER BY seq LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("outbox: read: %w", err)
	}
	defer rows.Close()
	var out []Entry
	for rows.Next() {
		var seq, n int64
		var body string
		if err := rows.Scan(&seq, &n, &body); err != nil {
			return nil, fmt.Errorf("outbox: read: %w", err)
		}
		entry := Entry{Key: strconv.FormatInt(seq, 10)}
		if err := json.Unmarshal([]byte(body), &entry.Event); err != nil {
			return nil, fmt.Errorf("outbox: row %d: %w", seq, err)
		}
		entry.Event.Sequence = strconv.FormatInt(n, 10)
		out = append(out, entry)
	}
	return out, rows.Err()
}

// Done forgets events that the bus has confirmed: exactly those, as a row with a
// number in between may be committed after the others were read. One statement
// serves a row of numbers without a gap.
func (b *Box) Done(ctx context.Context, entries []Entry) error {
	numbers := make([]int64, len(entries))
	for i, e := range entries {
		var err error
		if numbers[i], err = strconv.ParseInt(e.Key, 10, 64); err != nil {
			return fmt.Errorf("outbox: key %q: %w", e.Key, err)
		}
	}
	slices.Sort(numbers)
	var statements []store.Statement
	for i := 0; i < len(numbers); {
		last := i
		for last+1 < len(numbers) && numbers[last+1] <= numbers[last]+1 {
			last++
		}
		statements = append(statements, store.Statement{SQL: `DELETE FROM outbox WHERE seq BETWEEN $1 AND $2`, Args: []any{numbers[i], numbers[last]}})
		i = last + 1
	}
	return b.db.Update(ctx, func(tx store.Tx) error {
		if err := store.ExecAll(ctx, tx, statements...); err != nil {
			return fmt.Errorf("outbox: forget: %w", err)
		}
		return nil
	})
}

// Backlog gives how many events wait to be published, and when the first of them
// happened (zero when there is none).
func (b *Box) Backlog(ctx context.Context) (n int64, oldest time.Time, err error) {
	if err := b.db.QueryRow(ctx, `SELECT COUNT(*) FROM outbox`).Scan(&n); err != nil {
		return 0, time.Time{}, fmt.Errorf("outbox: count: %w", err)
	}
	first, err := b.Pending(ctx, 1)
	if err != nil || len(first) == 0 {
		return n, time.Time{}, err
	}
	return n, first[0].Event.Time, nil
}

// Lease holds the right to relay for this store, among all processes.
func (b *Box) Lease(ctx context.Context) (store.Lease, error) {
	return b.db.Lease(ctx, "relay")
}
