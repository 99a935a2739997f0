// Package store keeps payments in a relational store, one SQL text for SQLite and
// PostgreSQL. A payment and the events of what happened to it are one
// transaction; so are a payment and the answer under its Idempotency-Key.
//
// The history is a column of the payment: it is only ever read with it. Windows
// of time are ranges of ids (UUIDv7), so that one index serves the velocity rules
// and the lists, and they stay quick with millions of rows.
package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"trama/platform/clock"
	"trama/platform/idempotency"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/services/payments/internal/app"
	"trama/services/payments/internal/payment"
)

//go:embed migrations
var migrations embed.FS

// Migrations gives the service's tables.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded: cannot happen
	}
	return sub
}

// Tell gives the event of what happened to a payment.
type Tell func(payment.State, payment.Happening) outbox.Message

// Payments is the store. It is safe for concurrent use.
type Payments struct {
	db    store.DB
	box   *outbox.Box
	clock clock.Clock
	tell  Tell

	factsOfCard, factsOfCPF string // statements
}

// New makes the store of payments in db.
func New(db store.DB, box *outbox.Box, c clock.Clock, tell Tell) *Payments {
	return &Payments{db: db, box: box, clock: c, tell: tell, factsOfCard: ofIssuer(factsOfCard), factsOfCPF: ofIssuer(factsOfCPF)}
}

// Insert stores a new payment; see app.Acceptor.
func (s *Payments) Insert(ctx context.Context, p *payment.Payment, key *idempotency.Key) error {
	args, err := values(p.State())
	if err != nil {
		return fmt.Errorf("payment: insert: %w", err)
	}
	return s.db.Update(ctx, func(tx store.Tx) error {
		if key != nil {
			answer := idempotency.Answer{Status: 202, Resource: p.ID()}
			if err := idempotency.Save(ctx, tx, *key, answer, s.clock.Now()); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, insertPayment, args...); err != nil {
			return fmt.Errorf("payment: insert: %w", err)
		}
		return s.publish(ctx, tx, p)
	})
}

// Answered gives the payment accepted under a key; see app.Acceptor.
func (s *Payments) Answered(ctx context.Context, key idempotency.Key) (string, bool, error) {
	a, ok, err := idempotency.Find(ctx, s.db, key, s.clock.Now())
	return a.Resource, ok, err
}

// Answer gives what was answered under a key; see app.Answers.
func (s *Payments) Answer(ctx context.Context, key idempotency.Key) (idempotency.Answer, bool, error) {
	return idempotency.Find(ctx, s.db, key, s.clock.Now())
}

// Keyed gives a transaction that keeps an answer; see app.Answers.
func (s *Payments) Keyed(key idempotency.Key, answer func() idempotency.Answer) app.Unit {
	return func(ctx context.Context, fn func(tx store.Tx) error) error {
		return s.db.Update(ctx, func(tx store.Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			return idempotency.Save(ctx, tx, key, answer(), s.clock.Now())
		})
	}
}

// Get gives a payment; app.ErrNotFound when there is none.
func (s *Payments) Get(ctx context.Context, id string) (*payment.Payment, error) {
	return scan(s.db.QueryRow(ctx, `SELECT `+columns+` FROM payment WHERE id = $1`, id))
}

// Update changes a payment; see app.Payments.
func (s *Payments) Update(ctx context.Context, unit app.Unit, id string, fn func(*payment.Payment, app.Seat) error) (*payment.Payment, error) {
	if unit == nil {
		unit = s.db.Update
	}
	var changed *payment.Payment
	err := unit(ctx, func(tx store.Tx) error {
		changed = nil
		p, err := scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM payment WHERE id = $1`+tx.ForUpdate(), id))
		if err != nil {
			return err
		}
		if err := fn(p, &seat{tx, p}); err != nil {
			return err
		}
		changed = p
		return s.save(ctx, tx, p)
	})
	if err == nil && changed == nil { // the event was handled before, so fn did not run
		return s.Get(ctx, id)
	}
	return changed, err
}

// save writes what verbs can change.
func (s *Payments) save(ctx context.Context, tx store.Tx, p *payment.Payment) error {
	if !p.Changed() {
		return nil
	}
	st := p.State()
	history, err := encodeHistory(st.History)
	if err != nil {
		return fmt.Errorf("payment: save: %w", err)
	}
	all := []store.Statement{{SQL: `UPDATE payment SET version = $2, status = $3, reason = $4, card_token = $5, score = $6,
		findings = $7, charge_id = $8, code = $9, expires_at = $10, student_id = $11, enrolment_id = $12, refund_at = $13,
		refund_note = $14, duplicate = $15, history = $16, updated_at = $17, due_at = $18 WHERE id = $1`, Args: []any{
		st.ID, st.Version, string(st.Status), string(st.Reason), st.Card.Token, st.Score, joined(st.Findings), st.ChargeID, st.Code,
		millis(st.ExpiresAt), st.StudentID, st.EnrolmentID, millis(st.RefundAt), st.RefundNote, st.Duplicate, history, millis(st.UpdatedAt), due(st),
	}}}
	if !p.KeepsSeat() {
		all = append(all, store.Statement{SQL: `DELETE FROM seat WHERE cpf = $1 AND course_id = $2 AND payment_id = $3`,
			Args: []any{st.Payer.CPF, st.Course.ID, st.ID}})
	}
	if err := store.ExecAll(ctx, tx, all...); err != nil {
		return fmt.Errorf("payment: save: %w", err)
	}
	return s.publish(ctx, tx, p)
}

func (s *Payments) publish(ctx context.Context, tx store.Tx, p *payment.Payment) error {
	var messages []outbox.Message
	for _, h := range p.Happened() {
		messages = append(messages, s.tell(p.State(), h))
	}
	return s.box.Write(ctx, tx, messages...)
}

// seat is the seat of one payment within its transaction.
type seat struct {
	tx store.Tx
	p  *payment.Payment
}

// Look says who has the seat.
func (s *seat) Look(ctx context.Context) (app.Claim, error) {
	st := s.p.State()
	rows, err := s.tx.Query(ctx, `SELECT seat.payment_id, payment.status FROM seat JOIN payment ON payment.id = seat.payment_id
		WHERE seat.cpf = $1 AND seat.course_id = $2`, st.Payer.CPF, st.Course.ID)
	if err != nil {
		return app.Free, fmt.Errorf("seat: %w", err)
	}
	defer rows.Close()
	claim := app.Free
	for rows.Next() {
		var holder, status string
		if err := rows.Scan(&holder, &status); err != nil {
			return app.Free, fmt.Errorf("seat: %w", err)
		}
		switch {
		case holder == st.ID:
			claim = app.Ours
		case payment.Status(status) == payment.Approved:
			claim = app.Paid
		default:
			claim = app.Undecided
		}
	}
	return claim, rows.Err()
}

// Take takes the seat if it is free.
func (s *seat) Take(ctx context.Context) (app.Claim, error) {
	st := s.p.State()
	n, err := s.tx.Exec(ctx, `INSERT INTO seat (cpf, course_id, payment_id) VALUES ($1, $2, $3)
		ON CONFLICT (cpf, course_id) DO NOTHING`, st.Payer.CPF, st.Course.ID, st.ID)
	if err != nil {
		return app.Free, fmt.Errorf("seat: %w", err)
	}
	if n == 1 {
		return app.Ours, nil
	}
	claim, err := s.Look(ctx)
	if err == nil && claim == app.Free { // given back between the two statements
		claim = app.Undecided
	}
	return claim, err
}
