package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"trama/platform/money"
	"trama/platform/store"
	"trama/services/payments/internal/app"
	"trama/services/payments/internal/payment"
)

// columns are in the order of values, which adds due_at, and of scan.
const columns = `id, version, status, reason, method, name, email, cpf, phone, course_id, course_title, price_cents,
	amount_cents, coupon, installments, enrolment_ref, card_token, card_brand, card_last4, card_fingerprint, card_country,
	score, findings, charge_id, code, expires_at, student_id, enrolment_id, refund_at, refund_note, duplicate, history,
	created_at, updated_at`

const insertPayment = `INSERT INTO payment (` + columns + `, due_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
	$13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35)`

// step is one entry of the history as it is stored.
type step struct {
	Status string `json:"s"`
	At     int64  `json:"t"`
	Reason string `json:"r,omitempty"`
}

func encodeHistory(history []payment.Step) (string, error) {
	steps := make([]step, len(history))
	for i, h := range history {
		steps[i] = step{string(h.Status), h.At.UnixMilli(), string(h.Reason)}
	}
	b, err := json.Marshal(steps)
	return string(b), err
}

func decodeHistory(text string) ([]payment.Step, error) {
	var steps []step
	if err := json.Unmarshal([]byte(text), &steps); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	history := make([]payment.Step, len(steps))
	for i, s := range steps {
		history[i] = payment.Step{Status: payment.Status(s.Status), At: moment(s.At), Reason: payment.Reason(s.Reason)}
	}
	return history, nil
}

// values gives a state's columns.
func values(s payment.State) ([]any, error) {
	history, err := encodeHistory(s.History)
	if err != nil {
		return nil, err
	}
	return []any{
		s.ID, s.Version, string(s.Status), string(s.Reason), string(s.Method), s.Payer.Name, s.Payer.Email, s.Payer.CPF, s.Payer.Phone,
		s.Course.ID, s.Course.Title, int64(s.Price), int64(s.Amount), s.Coupon, s.Installments, s.EnrolmentRef,
		s.Card.Token, s.Card.Brand, s.Card.LastFour, s.Card.Fingerprint, s.Card.Country,
		s.Score, strings.Join(s.Findings, ","), s.ChargeID, s.Code, millis(s.ExpiresAt), s.StudentID, s.EnrolmentID,
		millis(s.RefundAt), s.RefundNote, s.Duplicate, history, millis(s.CreatedAt), millis(s.UpdatedAt), due(s),
	}, nil
}

func scan(row store.Row) (*payment.Payment, error) {
	var s payment.State
	var status, reason, method, findings, history string
	var price, amount, expires, refund, created, updated int64
	err := row.Scan(&s.ID, &s.Version, &status, &reason, &method, &s.Payer.Name, &s.Payer.Email, &s.Payer.CPF, &s.Payer.Phone,
		&s.Course.ID, &s.Course.Title, &price, &amount, &s.Coupon, &s.Installments, &s.EnrolmentRef,
		&s.Card.Token, &s.Card.Brand, &s.Card.LastFour, &s.Card.Fingerprint, &s.Card.Country,
		&s.Score, &findings, &s.ChargeID, &s.Code, &expires, &s.StudentID, &s.EnrolmentID,
		&refund, &s.RefundNote, &s.Duplicate, &history, &created, &updated)
	if errors.Is(err, store.ErrNoRows) {
		return nil, app.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("payment: read: %w", err)
	}
	if s.History, err = decodeHistory(history); err != nil {
		return nil, fmt.Errorf("payment %s: %w", s.ID, err)
	}
	if findings != "" {
		s.Findings = strings.Split(findings, ",")
	}
	s.Status, s.Reason, s.Method = payment.Status(status), payment.Reason(reason), payment.Method(method)
	s.Price, s.Amount = money.Cents(price), money.Cents(amount)
	s.ExpiresAt, s.RefundAt, s.CreatedAt, s.UpdatedAt = moment(expires), moment(refund), moment(created), moment(updated)
	return payment.Restore(s), nil
}

// due is when the wait for the payer ends; 0 when nobody waits.
func due(s payment.State) int64 {
	if s.Status != payment.Awaiting {
		return 0
	}
	return millis(s.ExpiresAt)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
