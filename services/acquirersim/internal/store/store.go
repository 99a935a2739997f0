// Package store keeps the simulator's ledger: charges by idempotency key, and
// the notices that have not reached the merchant yet. A notice is written in
// the transaction of the change that it tells of.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"trama/platform/money"
	"trama/platform/store"
	"trama/services/acquirersim/internal/card"
	"trama/services/acquirersim/internal/charge"
)

//go:embed migrations
var migrations embed.FS

// Migrations gives the ledger's tables.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded: cannot happen
	}
	return sub
}

// Ledger is the store of charges. It is safe for concurrent use.
type Ledger struct {
	db   store.DB
	wake chan struct{}
}

// New makes the ledger in db.
func New(db store.DB) *Ledger {
	return &Ledger{db: db, wake: make(chan struct{}, 1)}
}

const columns = `id, key, method, state, reason, amount_cents, installments, behaviour, asks, code, expires_at, created_at, updated_at`

// Make stores c unless its key has a charge; it gives the stored one, and
// whether that is c.
func (l *Ledger) Make(ctx context.Context, c charge.Charge) (stored charge.Charge, fresh bool, err error) {
	err = l.db.Update(ctx, func(tx store.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO charge (`+columns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (key) DO NOTHING`,
			c.ID, c.Key, string(c.Method), string(c.State), c.Reason, int64(c.Amount), c.Installments, string(c.Behaviour),
			c.Asks, c.Code, millis(c.ExpiresAt), millis(c.CreatedAt), millis(c.UpdatedAt))
		if err != nil {
			return fmt.Errorf("ledger: make: %w", err)
		}
		if stored, fresh = c, n == 1; fresh {
			return nil
		}
		stored, err = one(tx.QueryRow(ctx, `SELECT `+columns+` FROM charge WHERE key = $1`, c.Key))
		return err
	})
	return stored, fresh, err
}

// Get gives the charge with this id or key; charge.ErrNotFound when there is none.
func (l *Ledger) Get(ctx context.Context, ref string) (charge.Charge, error) {
	return one(l.db.QueryRow(ctx, `SELECT `+columns+` FROM charge WHERE id = $1 OR key = $1`, ref))
}

// Update changes the charge with this id or key in one transaction, and stores
// the notice that fn gives with it, if any.
func (l *Ledger) Update(ctx context.Context, ref string, fn func(*charge.Charge) (*Notice, error)) (c charge.Charge, err error) {
	err = l.db.Update(ctx, func(tx store.Tx) error {
		c, err = one(tx.QueryRow(ctx, `SELECT `+columns+` FROM charge WHERE id = $1 OR key = $1`+tx.ForUpdate(), ref))
		if err != nil {
			return err
		}
		before := c
		notice, err := fn(&c)
		if err != nil || c == before {
			return err
		}
		if _, err = tx.Exec(ctx, `UPDATE charge SET state = $2, reason = $3, asks = $4, updated_at = $5 WHERE id = $1`,
			c.ID, string(c.State), c.Reason, c.Asks, millis(c.UpdatedAt)); err != nil {
			return fmt.Errorf("ledger: update: %w", err)
		}
		return l.queue(ctx, tx, notice)
	})
	return c, err
}

// Filter chooses charges of a list.
type Filter struct {
	State  charge.State // "": any
	Key    string       // "": any
	Before string       // ids below this one only; "": from the newest
	Limit  int
}

// List gives charges, newest first.
func (l *Ledger) List(ctx context.Context, f Filter) ([]charge.Charge, error) {
	where, args := []string{"1 = 1"}, []any{}
	add := func(cond string, v any) {
		args = append(args, v)
		where = append(where, fmt.Sprintf(cond, len(args)))
	}
	switch f.State {
	case "":
	case charge.Pending: // spelled out, so that the partial index serves
		where = append(where, "state = 'pendente'")
	default:
		add("state = $%d", string(f.State))
	}
	if f.Key != "" {
		add("key = $%d", f.Key)
	}
	if f.Before != "" {
		add("id < $%d", f.Before)
	}
	args = append(args, f.Limit)
	sql := fmt.Sprintf(`SELECT %s FROM charge WHERE %s ORDER BY id DESC LIMIT $%d`, columns, strings.Join(where, " AND "), len(args))
	return l.many(ctx, sql, args...)
}

// Due gives pending charges whose time was over at now.
func (l *Ledger) Due(ctx context.Context, now time.Time, limit int) ([]charge.Charge, error) {
	return l.many(ctx, `SELECT `+columns+` FROM charge WHERE state = 'pendente' AND expires_at <= $1 ORDER BY expires_at LIMIT $2`,
		millis(now), limit)
}

func (l *Ledger) many(ctx context.Context, sql string, args ...any) ([]charge.Charge, error) {
	rows, err := l.db.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("ledger: list: %w", err)
	}
	defer rows.Close()
	var out []charge.Charge
	for rows.Next() {
		c, err := one(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

func one(row store.Row) (charge.Charge, error) {
	var c charge.Charge
	var method, state, behaviour string
	var amount, expires, created, updated int64
	err := row.Scan(&c.ID, &c.Key, &method, &state, &c.Reason, &amount, &c.Installments, &behaviour, &c.Asks, &c.Code, &expires, &created, &updated)
	if errors.Is(err, store.ErrNoRows) {
		return c, charge.ErrNotFound
	}
	if err != nil {
		return c, fmt.Errorf("ledger: read: %w", err)
	}
	c.Method, c.State, c.Behaviour = charge.Method(method), charge.State(state), card.Behaviour(behaviour)
	c.Amount, c.ExpiresAt, c.CreatedAt, c.UpdatedAt = money.Cents(amount), moment(expires), moment(created), moment(updated)
	return c, nil
}
