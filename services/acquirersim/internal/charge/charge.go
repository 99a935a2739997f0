// Package charge owns the simulator's charges: their states, and the codes by
// which people pay them. It does no I/O.
//
//	card    hidden ─▶ approved ─▶ refunded      pix, boleto   pending ─▶ approved ─▶ refunded
//	           └────▶ refused                                    └────▶ expired
//
// hidden is the simulation of a charge that got lost on its way: it exists so
// that its key cannot be used for another, but nobody is told of it until it is
// asked for again.
package charge

import (
	"time"

	"trama/platform/fault"
	"trama/platform/money"
	"trama/services/acquirersim/internal/card"
)

// State is where a charge is.
type State string

// The states; the text is what the store and the simulator's pages show.
const (
	Hidden   State = "indefinida"
	Approved State = "aprovada"
	Refused  State = "recusada"
	Pending  State = "pendente"
	Expired  State = "expirada"
	Refunded State = "estornada"
)

// Method is how it is paid.
type Method string

// The methods.
const (
	Card   Method = "cartao"
	Pix    Method = "pix"
	Boleto Method = "boleto"
)

// Charge is one charge of the ledger. Key is the caller's idempotency key: there
// is never a second charge for a key.
type Charge struct {
	ID           string
	Key          string
	Method       Method
	State        State
	Reason       string // slug, of a refused one
	Amount       money.Cents
	Installments int
	Behaviour    card.Behaviour // of the card; empty for the others
	Asks         int            // how often a hidden one was asked for
	Code         string         // what the payer copies, of pix and boleto
	ExpiresAt    time.Time      // zero for cards
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

var (
	// ErrNotFound: no charge has this id or key.
	ErrNotFound = fault.New(fault.NotFound, "cobranca-inexistente", fault.Text{
		PT: "Não há cobrança com este identificador.", EN: "There is no charge with this id or key.",
	})
	// ErrOtherCharge: the key belongs to a charge of another amount or method.
	ErrOtherCharge = fault.New(fault.Conflict, "chave-de-outra-cobranca", fault.Text{
		PT: "Esta chave já é de uma cobrança com outro valor ou meio.", EN: "This key belongs to a charge of another amount or method.",
	})
	// ErrNotPayable: the charge does not wait for a payer (any more).
	ErrNotPayable = fault.New(fault.Conflict, "cobranca-nao-pagavel", fault.Text{
		PT: "Esta cobrança não pode mais ser paga.", EN: "This charge cannot be paid any more.",
	})
	// ErrNotRefundable: only what was approved can be given back.
	ErrNotRefundable = fault.New(fault.Conflict, "cobranca-nao-aprovada", fault.Text{
		PT: "Só uma cobrança aprovada pode ser estornada.", EN: "Only an approved charge can be refunded.",
	})
)

// Decide gives a card charge the outcome of its behaviour.
func (c *Charge) Decide(now time.Time) {
	c.State, c.Reason, c.UpdatedAt = Approved, c.Behaviour.Reason(), now
	if c.Reason != "" {
		c.State = Refused
	}
}

// SameAs checks that a repeated request is for this charge.
func (c *Charge) SameAs(m Method, amount money.Cents) error {
	if c.Method != m || c.Amount != amount {
		return ErrOtherCharge
	}
	return nil
}

// Expire makes a pending charge whose time is over expired; it says whether it did.
func (c *Charge) Expire(now time.Time) bool {
	if c.State != Pending || now.Before(c.ExpiresAt) {
		return false
	}
	c.State, c.UpdatedAt = Expired, now
	return true
}

// Pay is the payer's payment. Paying twice is harmless; changed says whether
// this was the first time.
func (c *Charge) Pay(now time.Time) (changed bool, err error) {
	switch {
	case c.State == Approved && c.Method != Card:
		return false, nil
	case c.State != Pending:
		return false, ErrNotPayable
	}
	c.State, c.UpdatedAt = Approved, now
	return true, nil
}

// Refund gives the whole amount back, once; changed says whether this was the first time.
func (c *Charge) Refund(now time.Time) (changed bool, err error) {
	switch c.State {
	case Refunded:
		return false, nil
	case Approved:
		c.State, c.UpdatedAt = Refunded, now
		return true, nil
	}
	return false, ErrNotRefundable
}
