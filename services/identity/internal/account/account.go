// Package account owns what an account is and when its password works. No I/O.
package account

import (
	"time"

	"trama/platform/fault"
)

// Account is one e-mail address that can sign in. Several students may belong to it.
type Account struct {
	ID        string
	Email     string // lower case, unique
	Name      string // how to address its owner: the first student's name
	Password  Password
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Password is the state of an account's secret. The zero value is none.
type Password struct {
	Hash       string    // argon2id in PHC form; empty: there is none
	MustChange bool      // we issued it; false once its owner chose one
	ExpiresAt  time.Time // when an issued one stops working; zero for a chosen one
}

// Faults of accounts.
var (
	ErrNotFound = fault.New(fault.NotFound, "conta-nao-encontrada", fault.Text{
		PT: "Não há conta com este identificador.",
		EN: "There is no account with this id.",
	})
	ErrPasswordChosen = fault.New(fault.Conflict, "senha-ja-escolhida", fault.Text{
		PT: "A pessoa já escolheu a própria senha; a inicial não pode mais ser emitida.",
		EN: "The person has chosen a password already; a first one cannot be issued any more.",
	})
)

// CanIssue returns nil while no password was chosen, ErrPasswordChosen afterwards.
func (a *Account) CanIssue() error {
	if a.Password.Hash != "" && !a.Password.MustChange {
		return ErrPasswordChosen
	}
	return nil
}

// Issue makes hash the account's first password for the given time; one issued
// earlier stops working.
func (a *Account) Issue(hash string, now time.Time, life time.Duration) error {
	if err := a.CanIssue(); err != nil {
		return err
	}
	a.Password = Password{Hash: hash, MustChange: true, ExpiresAt: now.Add(life)}
	a.UpdatedAt = now
	return nil
}

// Accepts says whether a secret signs in now; matches compares it with a hash.
func (a *Account) Accepts(matches func(hash string) bool, now time.Time) bool {
	p := a.Password
	if p.Hash == "" || !p.ExpiresAt.IsZero() && !now.Before(p.ExpiresAt) {
		return false
	}
	return matches(p.Hash)
}
