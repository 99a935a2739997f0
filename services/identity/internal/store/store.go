// Package store is the SQL of identity: one text for SQLite and PostgreSQL.
// Functions read from a store.Queryer or work inside the caller's transaction;
// those whose name begins with Lock hold what they give until its end.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"trama/platform/store"
	"trama/services/identity/internal/account"
)

//go:embed migrations
var migrations embed.FS

// Migrations gives the schema of identity.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded: cannot happen
	}
	return sub
}

const columns = `id, email, name, password_hash, must_change, password_expires_at, created_at, updated_at`

// Account gives one account; account.ErrNotFound when there is none.
func Account(ctx context.Context, q store.Queryer, id string) (account.Account, error) {
	return scan(q.QueryRow(ctx, `SELECT `+columns+` FROM account WHERE id = $1`, id))
}

// LockAccount gives one account and holds it.
func LockAccount(ctx context.Context, tx store.Tx, id string) (account.Account, error) {
	return scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM account WHERE id = $1`+tx.ForUpdate(), id))
}

// LockAddress gives the account of fresh's e-mail address, storing fresh when
// there is none (isNew), and holds it. The update changes nothing; it makes one
// statement of insert, wait, lock and read.
func LockAddress(ctx context.Context, tx store.Tx, fresh account.Account) (a account.Account, isNew bool, err error) {
	a, err = scan(tx.QueryRow(ctx, `INSERT INTO account (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (email) DO UPDATE SET email = excluded.email RETURNING `+columns, fresh.ID, fresh.Email, fresh.Name,
		fresh.Password.Hash, fresh.Password.MustChange, millis(fresh.Password.ExpiresAt), millis(fresh.CreatedAt), millis(fresh.UpdatedAt)))
	return a, a.ID == fresh.ID, err
}

// SavePassword stores the password of an account, which the caller holds.
func SavePassword(ctx context.Context, tx store.Tx, a *account.Account) error {
	_, err := tx.Exec(ctx, `UPDATE account SET password_hash = $2, must_change = $3, password_expires_at = $4, updated_at = $5
		WHERE id = $1`, a.ID, a.Password.Hash, a.Password.MustChange, millis(a.Password.ExpiresAt), millis(a.UpdatedAt))
	if err != nil {
		return fmt.Errorf("save password: %w", err)
	}
	return nil
}

// Linked says whether a student has an account.
func Linked(ctx context.Context, q store.Queryer, studentID string) (bool, error) {
	var n int64
	if err := q.QueryRow(ctx, `SELECT COUNT(*) FROM account_student WHERE student_id = $1`, studentID).Scan(&n); err != nil {
		return false, fmt.Errorf("read link: %w", err)
	}
	return n > 0, nil
}

// Link makes a student belong to an account.
func Link(ctx context.Context, tx store.Tx, studentID, accountID string, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO account_student (student_id, account_id, linked_at) VALUES ($1, $2, $3)`,
		studentID, accountID, millis(now))
	if err != nil {
		return fmt.Errorf("link student: %w", err)
	}
	return nil
}

func scan(row store.Row) (account.Account, error) {
	var a account.Account
	var expires, created, updated int64
	err := row.Scan(&a.ID, &a.Email, &a.Name, &a.Password.Hash, &a.Password.MustChange, &expires, &created, &updated)
	if errors.Is(err, store.ErrNoRows) {
		return account.Account{}, account.ErrNotFound
	}
	if err != nil {
		return account.Account{}, fmt.Errorf("read account: %w", err)
	}
	a.Password.ExpiresAt, a.CreatedAt, a.UpdatedAt = instant(expires), instant(created), instant(updated)
	return a, nil
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
