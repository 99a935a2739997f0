package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"trama/platform/store"
	"trama/services/academics/internal/enrolment"
)

const enrolmentColumns = `id, student_id, course_id, course_title, payment_id, state, paid, created_at, cancelled_at`

// LockJoinable gives the enrolment that a payment for a course joins, and holds
// it: the student's active one in the course, else the one with this id. false
// when there is neither.
func LockJoinable(ctx context.Context, tx store.Tx, studentID, courseID, id string) (enrolment.Enrolment, bool, error) {
	return maybe(scanEnrolment(tx.QueryRow(ctx, `SELECT `+enrolmentColumns+` FROM enrolment
		WHERE student_id = $1 AND course_id = $2 AND state = 'ativa' OR id = $3
		ORDER BY CASE WHEN student_id = $1 AND course_id = $2 AND state = 'ativa' THEN 0 ELSE 1 END LIMIT 1`+tx.ForUpdate(),
		studentID, courseID, id)))
}

// LockEnrolment gives one enrolment and holds it; false when there is none.
func LockEnrolment(ctx context.Context, tx store.Tx, id string) (enrolment.Enrolment, bool, error) {
	return maybe(scanEnrolment(tx.QueryRow(ctx, `SELECT `+enrolmentColumns+` FROM enrolment WHERE id = $1`+tx.ForUpdate(), id)))
}

// Save stores an enrolment, new or changed, and what is known of the payment
// that changed it. The caller holds both.
func Save(ctx context.Context, tx store.Tx, e *enrolment.Enrolment, p enrolment.Payment) error {
	err := store.ExecAll(ctx, tx, store.Statement{
		SQL: `INSERT INTO enrolment (` + enrolmentColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (id) DO UPDATE SET state = excluded.state, paid = excluded.paid, cancelled_at = excluded.cancelled_at`,
		Args: []any{e.ID, e.StudentID, e.Course.ID, e.Course.Title, e.PaymentID, string(e.State), int64(e.Paid), millis(e.CreatedAt), millis(e.CancelledAt)},
	}, savePayment(p))
	if err != nil {
		return fmt.Errorf("save enrolment: %w", err)
	}
	return nil
}

// SavePayment stores what is known of a payment, which the caller holds.
func SavePayment(ctx context.Context, tx store.Tx, p enrolment.Payment) error {
	if err := store.ExecAll(ctx, tx, savePayment(p)); err != nil {
		return fmt.Errorf("save payment: %w", err)
	}
	return nil
}

func savePayment(p enrolment.Payment) store.Statement {
	return store.Statement{SQL: `UPDATE payment SET enrolment_id = $2, refunded = $3 WHERE id = $1`, Args: []any{p.ID, p.EnrolmentID, p.Refunded}}
}

// EnrolmentPosition is a place in a student's list; the zero value is before the newest.
type EnrolmentPosition struct {
	CreatedAt time.Time
	ID        string
}

// Enrolments lists up to limit enrolments of a student older than a position.
func Enrolments(ctx context.Context, q store.Queryer, studentID string, before EnrolmentPosition, limit int) ([]enrolment.Enrolment, error) {
	at, id := millis(before.CreatedAt), before.ID
	if id == "" {
		at, id = math.MaxInt64, last
	}
	rows, err := q.Query(ctx, `SELECT `+enrolmentColumns+` FROM enrolment
		WHERE student_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4`, studentID, at, id, limit)
	return collect(rows, err, "enrolments", scanEnrolment)
}

// LockPayment gives what is known of a payment and holds it; of one never heard
// of it notes that it exists. Both messages about a payment pass here first, so
// they are handled one after the other.
func LockPayment(ctx context.Context, tx store.Tx, id string) (enrolment.Payment, error) {
	var p enrolment.Payment
	err := tx.QueryRow(ctx, `INSERT INTO payment (id, enrolment_id, refunded) VALUES ($1, '', FALSE)
		ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING id, enrolment_id, refunded`, id).Scan(&p.ID, &p.EnrolmentID, &p.Refunded)
	if err != nil {
		return enrolment.Payment{}, fmt.Errorf("note payment: %w", err)
	}
	return p, nil
}

// maybe turns the absence of a row into false.
func maybe(e enrolment.Enrolment, err error) (enrolment.Enrolment, bool, error) {
	if errors.Is(err, store.ErrNoRows) {
		return enrolment.Enrolment{}, false, nil
	}
	if err != nil {
		return enrolment.Enrolment{}, false, fmt.Errorf("read enrolment: %w", err)
	}
	return e, true, nil
}

func scanEnrolment(row scanner) (enrolment.Enrolment, error) {
	var e enrolment.Enrolment
	var state string
	var paid, created, cancelled int64
	if err := row.Scan(&e.ID, &e.StudentID, &e.Course.ID, &e.Course.Title, &e.PaymentID, &state, &paid, &created, &cancelled); err != nil {
		return enrolment.Enrolment{}, err
	}
	e.State, e.Paid = enrolment.State(state), int(paid)
	e.CreatedAt, e.CancelledAt = instant(created), instant(cancelled)
	return e, nil
}
