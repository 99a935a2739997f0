// Package app is what can be done in identity. It owns the transactions; the
// rules are the domain's, the SQL is the store's.
package app

import (
	"context"
	"io"
	"time"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/fault"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/rule"
	"trama/platform/store"
	"trama/services/identity/internal/account"
	"trama/services/identity/internal/password"
	sql "trama/services/identity/internal/store"
)

// Hasher computes the hash of a password, in its turn.
type Hasher interface {
	Hash(ctx context.Context, password string) (string, error)
}

// Accounts is who can sign in.
type Accounts struct {
	DB     store.DB
	Box    *outbox.Box // in DB
	Clock  clock.Clock
	IDs    id.Source
	Crash  *crash.Points // nil in production
	Rand   io.Reader     // source of first passwords
	Hasher Hasher
	Life   time.Duration // how long a first password works
}

var errBrokenEvent = fault.New(fault.Malformed, "evento-sem-aluno", fault.Text{
	PT: "O evento não traz um identificador válido de aluno.",
	EN: "The event has no valid id of a student.",
})

// Open gives a new student an account: one of its own, or that of the e-mail
// address. Idempotent by the event's id and by the student.
func (a *Accounts) Open(ctx context.Context, subscription string, e bus.Event, p events.AlunoCriado) error {
	if !id.Valid(p.AlunoID) {
		return errBrokenEvent
	}
	var k rule.Checker
	now := a.Clock.Now()
	fresh := account.Account{ID: a.IDs.New(), Email: k.Email("/pessoa/email", p.Pessoa.Email), Name: k.Name("/pessoa/nome", p.Pessoa.Nome),
		CreatedAt: now, UpdatedAt: now}
	if err := k.Err(); err != nil {
		return err
	}
	err := a.Box.Once(ctx, subscription, e, func(tx store.Tx) error {
		linked, err := sql.Linked(ctx, tx, p.AlunoID)
		if err != nil || linked { // the same student in another event
			return err
		}
		owner, isNew, err := sql.LockAddress(ctx, tx, fresh)
		if err != nil {
			return err
		}
		if err := sql.Link(ctx, tx, p.AlunoID, owner.ID, now); err != nil {
			return err
		}
		err = a.Box.Write(ctx, tx, outbox.Message{Type: events.TypeContaCriada, Subject: owner.ID, Data: events.ContaCriada{
			ContaID: owner.ID, AlunoID: p.AlunoID, Pessoa: events.Pessoa{Nome: fresh.Name, Email: owner.Email}, Curso: p.Curso, Nova: isNew,
		}})
		if err != nil {
			return err
		}
		a.Crash.At("identity.linking")
		return nil
	})
	if err == nil {
		a.Crash.At("identity.account")
	}
	return err
}

// IssueInitial makes a first password for an account, stores its hash and gives
// the password and when it ends, this once. Of two calls at once for one
// account the password of the one that commits last works.
func (a *Accounts) IssueInitial(ctx context.Context, accountID string) (secret string, expires time.Time, err error) {
	// Looked at before the costly hash, and again below when it is stored.
	owner, err := sql.Account(ctx, a.DB, accountID)
	if err == nil {
		err = owner.CanIssue()
	}
	if err != nil {
		return "", time.Time{}, err
	}
	if secret, err = password.New(a.Rand); err != nil {
		return "", time.Time{}, err
	}
	hash, err := a.Hasher.Hash(ctx, secret)
	if err != nil {
		return "", time.Time{}, err
	}
	a.Crash.At("identity.hashed")
	err = a.DB.Update(ctx, func(tx store.Tx) error {
		owner, err := sql.LockAccount(ctx, tx, accountID)
		if err != nil {
			return err
		}
		if err := owner.Issue(hash, a.Clock.Now(), a.Life); err != nil {
			return err
		}
		expires = owner.Password.ExpiresAt
		return sql.SavePassword(ctx, tx, &owner)
	})
	if err != nil {
		return "", time.Time{}, err
	}
	a.Crash.At("identity.issued")
	return secret, expires, nil
}
