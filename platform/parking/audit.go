package parking

import (
	"context"
	"fmt"
	"strconv"

	"trama/platform/store"
)

// Note writes an audit row.
func (l *Lot) Note(ctx context.Context, a Act) error {
	return l.exec(ctx, "note an act", []store.Statement{l.audit(a)})
}

// audit gives the statement that writes a.
func (l *Lot) audit(a Act) store.Statement {
	if a.At.IsZero() {
		a.At = l.clock.Now()
	}
	return store.Statement{SQL: audit, Args: []any{a.At.UnixMilli(), Clean(a.Who), Clean(a.Act), Clean(a.Subscription),
		Clean(a.Letter), Clean(a.Type), Clean(a.Subject), Clean(a.Detail)}}
}

// Audit gives acts, oldest first.
func (l *Lot) Audit(ctx context.Context, f Filter, after string, limit int) (acts []Act, next string, err error) {
	limit = Limit(limit)
	from, _ := strconv.ParseInt(after, 10, 64)
	w := &where{}
	w.and("seq >", from)
	w.equal("subscription", f.Subscription, "subject", f.Subject, "type", f.Type)
	w.in("letter", f.IDs)
	if !f.From.IsZero() {
		w.and("at >=", f.From.UnixMilli())
	}
	if !f.To.IsZero() {
		w.and("at <", f.To.UnixMilli())
	}
	rows, err := l.db.Query(ctx, `SELECT seq, at, who, act, subscription, letter, type, subject, detail FROM letter_audit
		WHERE `+w.text()+` ORDER BY seq LIMIT `+w.arg(limit), w.args...)
	if err != nil {
		return nil, "", fmt.Errorf("parking: audit: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var a Act
		var seq, at int64
		if err := rows.Scan(&seq, &at, &a.Who, &a.Act, &a.Subscription, &a.Letter, &a.Type, &a.Subject, &a.Detail); err != nil {
			return nil, "", fmt.Errorf("parking: audit: %w", err)
		}
		a.ID, a.At = strconv.FormatInt(seq, 10), moment(at)
		acts = append(acts, a)
	}
	if len(acts) == limit {
		next = acts[limit-1].ID
	}
	return acts, next, rows.Err()
}
