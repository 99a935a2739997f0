// Package sqlstore keeps leads in SQLite or PostgreSQL, through store.DB.
//
// A lead, its events (the platform's outbox) and its idempotency key are one
// transaction. The pair (email, course_id) is unique, so of concurrent
// registrations one inserts and the others find. Times are Unix milliseconds, 0
// for none; an empty course_id means no course.
package sqlstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/services/marketing/internal/app"
	"trama/services/marketing/internal/lead"
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

// Store is the SQL store.
type Store struct {
	db    store.DB
	box   *outbox.Box
	clock clock.Clock
}

var _ app.Store = (*Store)(nil)

// New makes the store over a migrated database and its outbox.
func New(db store.DB, box *outbox.Box, c clock.Clock) *Store {
	return &Store{db: db, box: box, clock: c}
}

const columns = `id, email, course_id, name, phone, course_title, origin, created_at, updated_at,
	enrolled_at, unsubscribed_at, reminded, due, version`

// scan reads a row of columns.
func scan(row store.Row) (lead.Lead, error) {
	var l lead.Lead
	var created, updated, enrolled, unsubscribed, due int64
	err := row.Scan(&l.ID, &l.Email, &l.CourseID, &l.Name, &l.Phone, &l.CourseTitle, &l.Origin,
		&created, &updated, &enrolled, &unsubscribed, &l.Reminded, &due, &l.Version)
	l.CreatedAt, l.UpdatedAt = moment(created), moment(updated)
	l.EnrolledAt, l.UnsubscribedAt, l.Due = moment(enrolled), moment(unsubscribed), moment(due)
	return l, err
}

func one(row store.Row) (lead.Lead, error) {
	l, err := scan(row)
	if errors.Is(err, store.ErrNoRows) {
		return lead.Lead{}, app.ErrNotFound
	}
	if err != nil {
		return lead.Lead{}, fmt.Errorf("read a lead: %w", err)
	}
	return l, nil
}

func many(rows store.Rows, err error) ([]lead.Lead, error) {
	if err != nil {
		return nil, fmt.Errorf("read leads: %w", err)
	}
	defer rows.Close()
	var out []lead.Lead
	for rows.Next() {
		l, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read leads: %w", err)
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

// Get gives a lead.
func (s *Store) Get(ctx context.Context, id string) (lead.Lead, error) {
	return one(s.db.QueryRow(ctx, `SELECT `+columns+` FROM lead WHERE id = $1`, id))
}

// List gives leads, newest first.
func (s *Store) List(ctx context.Context, before string, limit int) ([]lead.Lead, error) {
	if before == "" {
		return many(s.db.Query(ctx, `SELECT `+columns+` FROM lead ORDER BY id DESC LIMIT $1`, limit))
	}
	return many(s.db.Query(ctx, `SELECT `+columns+` FROM lead WHERE id < $1 ORDER BY id DESC LIMIT $2`, before, limit))
}

// SameAddress gives all leads of an address.
func (s *Store) SameAddress(ctx context.Context, email string) ([]lead.Lead, error) {
	return sameAddress(ctx, s.db, email, "")
}

func sameAddress(ctx context.Context, q store.Queryer, email, lock string) ([]lead.Lead, error) {
	return many(q.Query(ctx, `SELECT `+columns+` FROM lead WHERE email = $1 ORDER BY id`+lock, email))
}

// Due gives leads whose reminder is due.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]lead.Lead, error) {
	return many(s.db.Query(ctx, `SELECT `+columns+` FROM lead WHERE due > 0 AND due <= $1 ORDER BY due LIMIT $2`, now.UnixMilli(), limit))
}

// NextDue gives when the next reminder is due.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	var due int64
	err := s.db.QueryRow(ctx, `SELECT due FROM lead WHERE due > 0 ORDER BY due LIMIT 1`).Scan(&due)
	if errors.Is(err, store.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the next reminder: %w", err)
	}
	return moment(due), nil
}

// Update changes a lead and writes the events of the change.
func (s *Store) Update(ctx context.Context, id string, change func(*lead.Lead) ([]outbox.Message, error)) (lead.Lead, error) {
	var out lead.Lead
	err := s.db.Update(ctx, func(tx store.Tx) error {
		l, err := one(tx.QueryRow(ctx, `SELECT `+columns+` FROM lead WHERE id = $1`+tx.ForUpdate(), id))
		if err != nil {
			return err
		}
		before := l
		messages, err := change(&l)
		if err != nil {
			return err
		}
		if l != before {
			l.Version++
			if err := put(ctx, tx, l); err != nil {
				return err
			}
		}
		out = l
		return s.box.Write(ctx, tx, messages...)
	})
	return out, err
}

// put writes what can change of a lead.
func put(ctx context.Context, tx store.Tx, l lead.Lead) error {
	_, err := tx.Exec(ctx, `UPDATE lead SET course_title = $2, updated_at = $3, enrolled_at = $4,
		unsubscribed_at = $5, reminded = $6, due = $7, version = $8 WHERE id = $1`,
		l.ID, l.CourseTitle, millis(l.UpdatedAt), millis(l.EnrolledAt), millis(l.UnsubscribedAt), l.Reminded, millis(l.Due), l.Version)
	return wrap("write a lead", err)
}

// Enrol marks people as enrolled and ends their reminders.
func (s *Store) Enrol(ctx context.Context, subscription string, e bus.Event, what app.Enrolment) error {
	return s.box.Once(ctx, subscription, e, func(tx store.Tx) error {
		for _, digest := range what.Digests {
			_, err := tx.Exec(ctx, `INSERT INTO enrolment (digest, course_id, at) VALUES ($1, $2, $3)
				ON CONFLICT (digest, course_id) DO NOTHING`, digest, what.CourseID, millis(what.At))
			if err != nil {
				return fmt.Errorf("mark an enrolment: %w", err)
			}
		}
		for _, email := range what.Emails {
			leads, err := sameAddress(ctx, tx, email, tx.ForUpdate())
			if err != nil {
				return err
			}
			if err := s.enrol(ctx, tx, leads, what.CourseID); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) enrol(ctx context.Context, tx store.Tx, leads []lead.Lead, courseID string) error {
	for _, l := range leads {
		if l.CourseID != "" && l.CourseID != courseID {
			continue
		}
		before := l
		if l.Enrol(s.clock.Now()); l == before {
			continue
		}
		l.Version++
		if err := put(ctx, tx, l); err != nil {
			return err
		}
	}
	return nil
}

// IsEnrolled says whether the digest is marked.
func (s *Store) IsEnrolled(ctx context.Context, digest, courseID string) (bool, error) {
	var found int
	err := s.db.QueryRow(ctx, `SELECT 1 FROM enrolment WHERE digest = $1 AND (course_id = $2 OR $2 = '') LIMIT 1`, digest, courseID).Scan(&found)
	if errors.Is(err, store.ErrNoRows) {
		return false, nil
	}
	return err == nil, wrap("look for an enrolment", err)
}

// EraseAddress removes every trace of an address.
func (s *Store) EraseAddress(ctx context.Context, email, digest string, farewell func(lead.Lead) []outbox.Message) error {
	return s.db.Update(ctx, func(tx store.Tx) error {
		leads, err := sameAddress(ctx, tx, email, tx.ForUpdate())
		if err != nil {
			return err
		}
		for _, l := range leads {
			for what, sql := range map[string]string{
				"its lead":   `DELETE FROM lead WHERE id = $1`,
				"its events": `DELETE FROM outbox WHERE subject = $1`,
				"its keys":   `DELETE FROM idempotency WHERE resource = $1`,
			} {
				if _, err := tx.Exec(ctx, sql, l.ID); err != nil {
					return fmt.Errorf("erase %s: %w", what, err)
				}
			}
			if err := s.box.Write(ctx, tx, farewell(l)...); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `DELETE FROM enrolment WHERE digest = $1`, digest)
		return wrap("erase enrolments", err)
	})
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

// placeholders gives "$1, $2, …, $n".
func placeholders(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}
	return b.String()
}
