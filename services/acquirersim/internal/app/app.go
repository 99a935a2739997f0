// Package app holds what the simulated acquirer does: exchange cards for tokens,
// charge, answer for charges, refund, and play the payer of pix and boleto.
//
// The ledger decides: a key has one charge for ever, written before the answer,
// so that whoever dies in between, the money is asked for once.
package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/fault"
	"trama/platform/id"
	"trama/platform/money"
	"trama/services/acquirersim/internal/card"
	"trama/services/acquirersim/internal/charge"
	"trama/services/acquirersim/internal/store"
	"trama/services/acquirersim/internal/vault"
)

// Settings are the traits of the simulation; see the service's Config.
type Settings struct {
	Delay       time.Duration
	Hang        time.Duration
	UnknownAsks int
	Merchant    charge.Merchant
}

// Acquirer is the simulator.
type Acquirer struct {
	Settings Settings
	Ledger   *store.Ledger
	Vault    *vault.Vault
	Clock    clock.Clock
	IDs      id.Source
	Crash    *crash.Points
}

var (
	// ErrCard: what was sent is no card.
	ErrCard = fault.New(fault.Invalid, "cartao-invalido", fault.Text{
		PT: "A adquirente não reconhece este número de cartão.", EN: "The acquirer does not recognise this card number.",
	})
	// ErrRequest: the charge asked for makes no sense.
	ErrRequest = fault.New(fault.Invalid, "cobranca-invalida", fault.Text{
		PT: "A cobrança pedida não é válida.", EN: "The charge asked for is not valid.",
	})
	// ErrLost plays the answer that does not come.
	ErrLost = fault.New(fault.Timeout, "adquirente-sem-resposta", fault.Text{
		PT: "A adquirente não respondeu a tempo; a cobrança pode ter sido feita.",
		EN: "The acquirer did not answer in time; the charge may have been made.",
	})
)

// Tokenize gives a token for a card number; nothing is stored.
func (a *Acquirer) Tokenize(number string) (string, error) {
	if !card.Valid(number) {
		return "", ErrCard
	}
	return a.Vault.Seal(card.BehaviourOf(number)), nil
}

// Request asks for a charge.
type Request struct {
	Key          string
	Method       charge.Method
	Amount       money.Cents
	Token        string // of cards
	Installments int    // of cards
	ExpiresAt    time.Time
}

// Charge makes the charge of a key, or gives the one it has.
func (a *Acquirer) Charge(ctx context.Context, r Request) (charge.Charge, error) {
	c, err := a.draft(r)
	if err != nil {
		return charge.Charge{}, err
	}
	if err := a.Clock.Wait(ctx, a.Settings.Delay); err != nil {
		return charge.Charge{}, err
	}
	c, fresh, err := a.Ledger.Make(ctx, c)
	if err != nil {
		return charge.Charge{}, err
	}
	a.Crash.At("acquirersim.charged")
	if fresh {
		if c.Behaviour == card.TimeoutThenApprove || c.Behaviour == card.TimeoutThenUnknown {
			return charge.Charge{}, a.hang(ctx)
		}
		return c, nil
	}
	if err := c.SameAs(r.Method, r.Amount); err != nil {
		return charge.Charge{}, err
	}
	if c.State != charge.Hidden {
		return a.current(ctx, c)
	}
	return a.find(ctx, c.ID)
}

// draft is the charge that a request makes if its key is new.
func (a *Acquirer) draft(r Request) (charge.Charge, error) {
	now := a.Clock.Now()
	c := charge.Charge{ID: a.IDs.New(), Key: r.Key, Method: r.Method, Amount: r.Amount, CreatedAt: now, UpdatedAt: now}
	if r.Key == "" || r.Amount <= 0 {
		return c, ErrRequest
	}
	if r.Method == charge.Card {
		b, err := a.Vault.Open(r.Token)
		if err != nil {
			return c, err
		}
		if c.Installments = r.Installments; c.Installments < 1 {
			return c, ErrRequest
		}
		if c.Behaviour = b; b == card.TimeoutThenUnknown {
			c.State = charge.Hidden
			return c, nil
		}
		c.Decide(now)
		return c, nil
	}
	if r.ExpiresAt.IsZero() {
		return c, ErrRequest
	}
	c.State, c.ExpiresAt, c.Installments = charge.Pending, r.ExpiresAt, 1
	switch r.Method {
	case charge.Pix:
		c.Code = charge.PixCode(c.ID, c.Amount, a.Settings.Merchant)
	case charge.Boleto:
		c.Code = charge.BoletoLine(c.ID, c.Amount, c.ExpiresAt)
	default:
		return c, ErrRequest
	}
	return c, nil
}

// find decides a hidden charge that was asked for often enough; before that, no
// answer comes.
func (a *Acquirer) find(ctx context.Context, id string) (charge.Charge, error) {
	c, err := a.Ledger.Update(ctx, id, func(c *charge.Charge) (*store.Notice, error) {
		if c.State == charge.Hidden && c.Asks >= a.Settings.UnknownAsks {
			c.Decide(a.Clock.Now())
		}
		return nil, nil
	})
	if err == nil && c.State == charge.Hidden {
		err = a.hang(ctx)
	}
	return c, err
}

// hang keeps the caller waiting and then answers nothing useful.
func (a *Acquirer) hang(ctx context.Context) error {
	if err := a.Clock.Wait(ctx, a.Settings.Hang); err != nil {
		return err
	}
	return ErrLost
}

// Get gives the charge of a key. A hidden one is not found; it counts how often
// that was said.
func (a *Acquirer) Get(ctx context.Context, key string) (charge.Charge, error) {
	c, err := a.Ledger.Get(ctx, key)
	if err != nil {
		return charge.Charge{}, err
	}
	if c.State != charge.Hidden {
		return a.current(ctx, c)
	}
	if _, err = a.Ledger.Update(ctx, c.ID, func(c *charge.Charge) (*store.Notice, error) {
		c.Asks++
		return nil, nil
	}); err != nil {
		return charge.Charge{}, err
	}
	return charge.Charge{}, charge.ErrNotFound
}

// current makes sure that what is told stays true: a charge whose time is over
// is expired in the ledger before anybody hears of it.
func (a *Acquirer) current(ctx context.Context, c charge.Charge) (charge.Charge, error) {
	if !c.Expire(a.Clock.Now()) {
		return c, nil
	}
	return a.expire(ctx, c.ID)
}

// expire ends a charge's time and tells the merchant.
func (a *Acquirer) expire(ctx context.Context, id string) (charge.Charge, error) {
	return a.Ledger.Update(ctx, id, func(c *charge.Charge) (*store.Notice, error) {
		if !c.Expire(a.Clock.Now()) {
			return nil, nil
		}
		return a.notice(*c)
	})
}

// ExpireDue ends the time of every charge that is over and says how many. A
// charge that fails does not stop the others.
func (a *Acquirer) ExpireDue(ctx context.Context) (n int, err error) {
	for ctx.Err() == nil {
		due, err := a.Ledger.Due(ctx, a.Clock.Now(), 100)
		if err != nil {
			return n, err
		}
		for _, c := range due {
			if _, err := a.expire(ctx, c.ID); err != nil {
				return n, err
			}
			n++
		}
		if len(due) < 100 {
			break
		}
	}
	return n, nil
}

// Refund gives back the whole amount of an approved charge; again is harmless.
func (a *Acquirer) Refund(ctx context.Context, id string) (charge.Charge, error) {
	if err := a.Clock.Wait(ctx, a.Settings.Delay); err != nil {
		return charge.Charge{}, err
	}
	return a.Ledger.Update(ctx, id, func(c *charge.Charge) (*store.Notice, error) {
		_, err := c.Refund(a.Clock.Now())
		return nil, err
	})
}

// Pay plays the payer of a pix or boleto, by the charge's id or key. The
// merchant is told by a notice.
func (a *Acquirer) Pay(ctx context.Context, ref string) (charge.Charge, error) {
	return a.Ledger.Update(ctx, ref, func(c *charge.Charge) (*store.Notice, error) {
		if c.Expire(a.Clock.Now()) {
			return nil, charge.ErrNotPayable
		}
		changed, err := c.Pay(a.Clock.Now())
		if err != nil || !changed {
			return nil, err
		}
		return a.notice(*c)
	})
}

// List gives charges, newest first.
func (a *Acquirer) List(ctx context.Context, f store.Filter) ([]charge.Charge, error) {
	return a.Ledger.List(ctx, f)
}

// notice tells the merchant what became of a charge, in the shape of Retorno of
// the payments contract.
func (a *Acquirer) notice(c charge.Charge) (*store.Notice, error) {
	type amount struct {
		Value    string `json:"valor"`
		Currency string `json:"moeda"`
	}
	n := &store.Notice{ID: a.IDs.New(), ChargeID: c.ID, NextAt: a.Clock.Now()}
	body, err := json.Marshal(struct {
		ID      string    `json:"id"`
		Payment string    `json:"pagamentoId"`
		Charge  string    `json:"cobrancaId"`
		State   string    `json:"situacao"`
		Amount  amount    `json:"valor"`
		At      time.Time `json:"em"`
	}{n.ID, c.Key, c.ID, string(c.State), amount{c.Amount.String(), money.BRL}, c.UpdatedAt})
	if err != nil {
		return nil, fmt.Errorf("acquirersim: notice: %w", err)
	}
	n.Body = string(body)
	return n, nil
}
