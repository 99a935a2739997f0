package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"trama/platform/id"
	"trama/platform/money"
	"trama/services/payments/internal/app"
	"trama/services/payments/internal/fraud"
	"trama/services/payments/internal/payment"
)

func joined(findings []string) string { return strings.Join(findings, ",") }

// List gives payments, newest first; see app.Lister.
func (s *Payments) List(ctx context.Context, f app.Filter) ([]*payment.Payment, error) {
	where, args := []string{}, []any{}
	add := func(cond string, v any) {
		args = append(args, v)
		where = append(where, fmt.Sprintf(cond, len(args)))
	}
	if f.Status != "" {
		add("status = $%d", string(f.Status))
	}
	if f.Email != "" {
		add("email = $%d", f.Email)
	}
	if f.Before != "" {
		add("id < $%d", f.Before)
	}
	sql := `SELECT ` + columns + ` FROM payment`
	if len(where) > 0 {
		sql += ` WHERE ` + strings.Join(where, " AND ")
	}
	args = append(args, f.Limit)
	rows, err := s.db.Query(ctx, sql+fmt.Sprintf(` ORDER BY id DESC LIMIT $%d`, len(args)), args...)
	if err != nil {
		return nil, fmt.Errorf("payment: list: %w", err)
	}
	defer rows.Close()
	var out []*payment.Payment
	for rows.Next() {
		p, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

const overduePayments = `SELECT due_at, id FROM payment WHERE due_at > 0 AND due_at <= $1 AND (due_at, id) > ($2, $3)
	ORDER BY due_at, id LIMIT $4`

// Overdue gives payments whose time to pay was over at now; see app.Deadlines.
func (s *Payments) Overdue(ctx context.Context, now time.Time, after app.Deadline, limit int) ([]app.Deadline, error) {
	rows, err := s.db.Query(ctx, overduePayments,
		now.UnixMilli(), millis(after.At), after.ID, limit)
	if err != nil {
		return nil, fmt.Errorf("payment: overdue: %w", err)
	}
	defer rows.Close()
	var out []app.Deadline
	for rows.Next() {
		var ms int64
		var d app.Deadline
		if err := rows.Scan(&ms, &d.ID); err != nil {
			return nil, fmt.Errorf("payment: overdue: %w", err)
		}
		d.At = moment(ms)
		out = append(out, d)
	}
	return out, rows.Err()
}

// Only payments accepted before the one in question count: the n-th of a burst
// is the n-th whatever the order in which they are analysed.
const (
	factsOfCard = `SELECT COUNT(*) FILTER (WHERE id >= $3), COUNT(*) FILTER (WHERE id >= $3 AND status = 'recusado' AND reason IN (%s)),
		COUNT(DISTINCT cpf) FILTER (WHERE cpf <> $5)
		FROM (SELECT id, cpf, status, reason FROM payment
			WHERE card_fingerprint = $1 AND card_fingerprint <> '' AND id < $2 AND id >= $4 ORDER BY id DESC LIMIT $6) AS recent`
	factsOfEmail = `SELECT COUNT(*) FROM (SELECT id FROM payment
			WHERE email = $1 AND id < $2 AND id >= $3 ORDER BY id DESC LIMIT $4) AS recent`
	factsOfCPF = `SELECT COUNT(*) FILTER (WHERE id >= $3), COUNT(*) FILTER (WHERE id >= $3 AND status = 'recusado' AND reason IN (%s)),
		COUNT(DISTINCT card_fingerprint) FILTER (WHERE id >= $4 AND card_fingerprint NOT IN ('', $5)),
		COALESCE(MAX(amount_cents) FILTER (WHERE status = 'aprovado'), 0)
		FROM (SELECT id, status, reason, card_fingerprint, amount_cents FROM payment
			WHERE cpf = $1 AND id < $2 ORDER BY id DESC LIMIT $6) AS recent`
)

// Facts gives what is known of a payment's past; see app.Past. It looks at no
// more rows per card, address and person than the limits need.
func (s *Payments) Facts(ctx context.Context, p payment.State, l fraud.Limits) (fraud.Facts, error) {
	f := fraud.Facts{Amount: p.Amount, Card: p.Method == payment.Card, Country: p.Card.Country}
	window, people := floor(p.CreatedAt.Add(-l.Window)), floor(p.CreatedAt.Add(-max(l.Window, l.PeopleWindow)))
	depth := l.Depth()
	if f.Card {
		err := s.db.QueryRow(ctx, s.factsOfCard, p.Card.Fingerprint, p.ID, window, people, p.Payer.CPF, depth).
			Scan(&f.ByCard, &f.RefusedCard, &f.OtherPeople)
		if err != nil {
			return f, fmt.Errorf("facts of card: %w", err)
		}
	}
	if err := s.db.QueryRow(ctx, factsOfEmail, p.Payer.Email, p.ID, window, depth).Scan(&f.ByEmail); err != nil {
		return f, fmt.Errorf("facts of e-mail: %w", err)
	}
	var largest int64
	err := s.db.QueryRow(ctx, s.factsOfCPF, p.Payer.CPF, p.ID, window, people, p.Card.Fingerprint, max(depth, 20)).
		Scan(&f.ByCPF, &f.RefusedCPF, &f.OtherCards, &largest)
	if err != nil {
		return f, fmt.Errorf("facts of CPF: %w", err)
	}
	f.LargestApproved = money.Cents(largest)
	return f, nil
}

// ofIssuer fills in the reasons that count as refusals; they are our own slugs.
func ofIssuer(sql string) string {
	var quoted []string
	for _, r := range payment.IssuerReasons() {
		quoted = append(quoted, "'"+string(r)+"'")
	}
	return fmt.Sprintf(sql, strings.Join(quoted, ", "))
}

// floor gives a text that sorts below every id made at or after t.
func floor(t time.Time) string {
	ms := max(t.UnixMilli(), 0)
	var b [16]byte
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	return id.Format(b)
}
