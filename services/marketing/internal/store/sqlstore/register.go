package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"trama/platform/fault"
	"trama/platform/idempotency"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/services/marketing/internal/app"
	"trama/services/marketing/internal/lead"
)

// Replayed gives what a key led to before.
func (s *Store) Replayed(ctx context.Context, key idempotency.Key) (app.Registered, bool, error) {
	a, ok, err := idempotency.Find(ctx, s.db, key, s.clock.Now())
	if err != nil || !ok {
		return app.Registered{}, false, err
	}
	l, err := one(s.db.QueryRow(ctx, `SELECT `+columns+` FROM lead WHERE id = $1`, a.Resource))
	if errors.Is(err, app.ErrNotFound) {
		return app.Registered{}, false, nil // erased between the two reads
	}
	return app.Registered{Lead: l, New: a.Status == http.StatusCreated}, err == nil, err
}

// errVanished: the lead that made ours a repetition was erased meanwhile.
var errVanished = fault.New(fault.Unavailable, store.CodeUnavailable, fault.Text{
	PT: "O registro mudou durante o pedido. Tente de novo.",
	EN: "The record changed during the request. Please try again.",
})

// Register stores a lead or gives the one that is there.
func (s *Store) Register(ctx context.Context, l lead.Lead, key *idempotency.Key, events ...outbox.Message) (app.Registered, error) {
	l.Version = 1
	var out app.Registered
	err := s.db.Update(ctx, func(tx store.Tx) error {
		var err error
		if out, err = s.insert(ctx, tx, l, events); err != nil || key == nil {
			return err
		}
		status := http.StatusOK
		if out.New {
			status = http.StatusCreated
		}
		return idempotency.Save(ctx, tx, *key, idempotency.Answer{Status: status, Resource: out.Lead.ID}, s.clock.Now())
	})
	if err != nil {
		return app.Registered{}, err
	}
	return out, nil
}

var insertLead = `INSERT INTO lead (` + columns + `) VALUES (` + placeholders(14) + `) ON CONFLICT (email, course_id) DO NOTHING`

func (s *Store) insert(ctx context.Context, tx store.Tx, l lead.Lead, events []outbox.Message) (app.Registered, error) {
	n, err := tx.Exec(ctx, insertLead,
		l.ID, l.Email, l.CourseID, l.Name, l.Phone, l.CourseTitle, l.Origin, millis(l.CreatedAt), millis(l.UpdatedAt),
		millis(l.EnrolledAt), millis(l.UnsubscribedAt), l.Reminded, millis(l.Due), l.Version)
	if err != nil {
		return app.Registered{}, fmt.Errorf("insert a lead: %w", err)
	}
	if n == 1 {
		return app.Registered{Lead: l, New: true}, s.box.Write(ctx, tx, events...)
	}
	there, err := one(tx.QueryRow(ctx, `SELECT `+columns+` FROM lead WHERE email = $1 AND course_id = $2`, l.Email, l.CourseID))
	if errors.Is(err, app.ErrNotFound) {
		return app.Registered{}, errVanished
	}
	return app.Registered{Lead: there}, err
}
