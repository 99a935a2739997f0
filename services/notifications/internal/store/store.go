// Package store keeps the messages of notifications in SQLite or PostgreSQL,
// through store.DB. A message is queued in the transaction of the inbox row of
// its event. While it waits, a row holds what its template needs; once it is sent
// or given up, address, subject and times stay, the rest is overwritten with
// nothing. A password is never in a row. Times are Unix milliseconds, 0 for none.
package store

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/services/notifications/internal/app"
	"trama/services/notifications/internal/message"
)

//go:embed migrations
var migrations embed.FS

// Migrations gives the service's own tables.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded: cannot happen
	}
	return sub
}

// ErrNotFound: there is no finished message with this id.
var ErrNotFound = fault.New(fault.NotFound, "mensagem-inexistente", fault.Text{
	PT: "Não há mensagem com este identificador.",
	EN: "There is no message with this id.",
})

// Store is the queue and the history.
type Store struct {
	db   store.DB
	box  *outbox.Box
	wake chan struct{}
}

var (
	_ app.Queue    = (*Store)(nil)
	_ app.Outgoing = (*Store)(nil)
	_ app.Finished = (*Store)(nil)
)

// New makes the store over a migrated database and its inbox.
func New(db store.DB, box *outbox.Box) *Store {
	return &Store{db: db, box: box, wake: make(chan struct{}, 1)}
}

// Wake fires after this process has queued messages.
func (s *Store) Wake() <-chan struct{} { return s.wake }

func (s *Store) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // a wake-up is already waiting
	}
}

const columns = `id, event_id, kind, topic, course_id, name, email, facts, trace, created_at, expires_at,
	state, attempts, due, subject, reason, finished_at`

func scan(row store.Row) (message.Message, error) {
	var m message.Message
	var facts string
	var created, expires, due, finished int64
	err := row.Scan(&m.ID, &m.EventID, &m.Kind, &m.Topic, &m.CourseID, &m.Name, &m.Email, &facts, &m.Trace, &created, &expires,
		&m.State, &m.Attempts, &due, &m.Subject, &m.Reason, &finished)
	if err != nil {
		return m, err
	}
	m.CreatedAt, m.ExpiresAt, m.Due, m.FinishedAt = moment(created), moment(expires), moment(due), moment(finished)
	if facts != "" {
		err = json.Unmarshal([]byte(facts), &m.Facts)
	}
	return m, err
}

func many(rows store.Rows, err error) ([]message.Message, error) {
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	defer rows.Close()
	var out []message.Message
	for rows.Next() {
		m, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read messages: %w", err)
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// Due gives waiting messages that are due by now, or not before latest: nobody
// made those wait so long, so the clock was set back since.
func (s *Store) Due(ctx context.Context, now, latest time.Time, limit int) ([]message.Message, error) {
	return many(s.db.Query(ctx, `SELECT `+columns+` FROM message WHERE state = 'aguardando' AND (due <= $1 OR due > $2)
		ORDER BY due, id LIMIT $3`, now.UnixMilli(), latest.UnixMilli(), limit))
}

// NextDue gives when the next message after now is due.
func (s *Store) NextDue(ctx context.Context, now time.Time) (time.Time, error) {
	var due int64
	err := s.db.QueryRow(ctx, `SELECT due FROM message WHERE state = 'aguardando' AND due > $1 ORDER BY due LIMIT 1`, now.UnixMilli()).Scan(&due)
	if errors.Is(err, store.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the next message: %w", err)
	}
	return moment(due), nil
}

// Save records what became of a waiting message.
func (s *Store) Save(ctx context.Context, m message.Message) error {
	facts, err := encode(m.Facts)
	if err != nil {
		return err
	}
	return s.db.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE message SET topic = $2, name = $3, facts = $4, state = $5, attempts = $6, due = $7,
			subject = $8, reason = $9, finished_at = $10 WHERE id = $1 AND state = 'aguardando'`,
			m.ID, m.Topic, m.Name, facts, string(m.State), m.Attempts, millis(m.Due), m.Subject, m.Reason, millis(m.FinishedAt))
		return wrap("record a message", err)
	})
}

// List gives finished messages, last finished first.
func (s *Store) List(ctx context.Context, after app.Place, limit int) ([]message.Message, error) {
	if after == (app.Place{}) {
		return many(s.db.Query(ctx, `SELECT `+columns+` FROM message WHERE finished_at > 0
			ORDER BY finished_at DESC, id DESC LIMIT $1`, limit))
	}
	return many(s.db.Query(ctx, `SELECT `+columns+` FROM message WHERE finished_at > 0 AND (finished_at, id) < ($1, $2)
		ORDER BY finished_at DESC, id DESC LIMIT $3`, millis(after.At), after.ID, limit))
}

// Get gives one finished message.
func (s *Store) Get(ctx context.Context, id string) (message.Message, error) {
	m, err := scan(s.db.QueryRow(ctx, `SELECT `+columns+` FROM message WHERE id = $1 AND finished_at > 0`, id))
	if errors.Is(err, store.ErrNoRows) {
		return message.Message{}, ErrNotFound
	}
	return m, wrap("read a message", err)
}

// Once runs do in one transaction with the inbox row of the event.
func (s *Store) Once(ctx context.Context, subscription string, e bus.Event, do func(app.Desk) error) error {
	return s.box.Once(ctx, subscription, e, func(tx store.Tx) error {
		tx.AfterCommit(s.signal)
		return do(desk{tx})
	})
}

func encode(f message.Facts) (string, error) {
	if f == (message.Facts{}) {
		return "", nil
	}
	text, err := json.Marshal(f)
	return string(text), wrap("encode a message", err)
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
