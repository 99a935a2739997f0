package store

import (
	"context"
	"fmt"
	"time"

	"trama/platform/store"
)

// Notice is what the merchant is to be told.
type Notice struct {
	ID       string
	ChargeID string
	Body     string // JSON
	Attempts int    // made so far
	NextAt   time.Time
}

func (l *Ledger) queue(ctx context.Context, tx store.Tx, n *Notice) error {
	if n == nil {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO callback (id, charge_id, body, attempts, next_at) VALUES ($1, $2, $3, $4, $5)`,
		n.ID, n.ChargeID, n.Body, n.Attempts, millis(n.NextAt))
	if err != nil {
		return fmt.Errorf("ledger: queue notice: %w", err)
	}
	tx.AfterCommit(func() {
		select {
		case l.wake <- struct{}{}:
		default: // a wake-up is already waiting
		}
	})
	return nil
}

// Wake fires after this process queued a notice.
func (l *Ledger) Wake() <-chan struct{} { return l.wake }

// Notices gives those that are due by now, the one that waits longest first, or not
// before latest: nobody made those wait so long, so the clock was set back since.
func (l *Ledger) Notices(ctx context.Context, now, latest time.Time, limit int) ([]Notice, error) {
	rows, err := l.db.Query(ctx, `SELECT id, charge_id, body, attempts, next_at FROM callback
		WHERE next_at <= $1 OR next_at > $2 ORDER BY next_at LIMIT $3`, millis(now), millis(latest), limit)
	if err != nil {
		return nil, fmt.Errorf("ledger: notices: %w", err)
	}
	defer rows.Close()
	var out []Notice
	for rows.Next() {
		var n Notice
		var next int64
		if err := rows.Scan(&n.ID, &n.ChargeID, &n.Body, &n.Attempts, &next); err != nil {
			return nil, fmt.Errorf("ledger: notices: %w", err)
		}
		n.NextAt = moment(next)
		out = append(out, n)
	}
	return out, rows.Err()
}

// Delivered forgets a notice.
func (l *Ledger) Delivered(ctx context.Context, id string) error {
	return l.db.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM callback WHERE id = $1`, id)
		return err
	})
}

// Postpone counts a failed attempt and sets the next one.
func (l *Ledger) Postpone(ctx context.Context, id string, next time.Time) error {
	return l.db.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE callback SET attempts = attempts + 1, next_at = $2 WHERE id = $1`, id, millis(next))
		return err
	})
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
