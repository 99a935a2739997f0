// Package app holds the use cases of payments, one per file, and the ports they
// need. Calls to other services and to the acquirer are never made inside a
// transaction; what they answered is brought into one afterwards, where the
// state is looked at again.
package app

import (
	"context"
	"time"

	"trama/platform/fault"
	"trama/platform/idempotency"
	"trama/platform/money"
	"trama/platform/store"
	"trama/services/payments/internal/card"
	"trama/services/payments/internal/fraud"
	"trama/services/payments/internal/payment"
)

// Unit runs fn in one transaction. That of an event's handler runs it once per
// event (outbox.Once); nil means a plain transaction.
type Unit func(ctx context.Context, fn func(tx store.Tx) error) error

// Claim is the answer to the question for the one seat that a person has in a
// course. A seat belongs to the payment whose card is being charged, or whose
// money has arrived; it is free again when that payment is refused or refunded.
type Claim uint8

// The claims.
const (
	Free      Claim = iota // nobody has it
	Ours                   // this payment has it
	Paid                   // an approved payment has it
	Undecided              // another payment is being charged for it
)

// Seat is the seat of the payment under change, inside its transaction.
type Seat interface {
	// Look says who has it.
	Look(ctx context.Context) (Claim, error)
	// Take takes it if it is free; it never answers Free.
	Take(ctx context.Context) (Claim, error)
}

// Payments is the store of payments as the use cases that change them see it.
type Payments interface {
	// Get gives a payment; ErrNotFound when there is none.
	Get(ctx context.Context, id string) (*payment.Payment, error)
	// Update changes a payment in one transaction, together with the events of
	// what happened to it, and gives it as it then is. fn calls nothing outside
	// and may run more than once. An error of fn undoes all.
	Update(ctx context.Context, unit Unit, id string, fn func(*payment.Payment, Seat) error) (*payment.Payment, error)
}

// Acceptor stores new payments.
type Acceptor interface {
	// Insert stores a payment, its first event and the answer under the
	// request's key, if it has one, in one transaction. idempotency.ErrRace when
	// another request has used the key meanwhile.
	Insert(ctx context.Context, p *payment.Payment, key *idempotency.Key) error
	// Answered gives the id of the payment that was accepted under a key.
	Answered(ctx context.Context, key idempotency.Key) (id string, ok bool, err error)
	Get(ctx context.Context, id string) (*payment.Payment, error)
}

// Past gives what is known of a payment's card, address and person.
type Past interface {
	Facts(ctx context.Context, s payment.State, l fraud.Limits) (fraud.Facts, error)
}

// Course is what academics says of a course.
type Course struct {
	ID     string
	Title  string
	Price  money.Cents
	Active bool
}

// Courses asks academics.
type Courses interface {
	// Course gives a course; NotFound when there is none, Unavailable or Timeout
	// when academics does not answer.
	Course(ctx context.Context, id string) (Course, error)
}

// ChargeState is what the acquirer says of a charge.
type ChargeState uint8

// The states of a charge.
const (
	ChargePending ChargeState = iota + 1 // the payer, or the acquirer, has not decided
	ChargeApproved
	ChargeRefused
	ChargeExpired
	ChargeRefunded
)

// Charge is what the acquirer says about the charge of one key.
type Charge struct {
	ID        string
	State     ChargeState
	Reason    string // slug, of a refused one
	Amount    money.Cents
	Code      string // of pix and boleto
	ExpiresAt time.Time
}

// ChargeRequest asks for a charge. Equal requests are one charge.
type ChargeRequest struct {
	Key          string
	Method       payment.Method
	Amount       money.Cents
	Token        string // of cards
	Installments int
	ExpiresAt    time.Time // of pix and boleto
}

// Acquirer takes the money. Every method may fail with Unavailable or Timeout,
// which leave the outcome unknown.
type Acquirer interface {
	// Tokenize exchanges a card for a token. Invalid: the acquirer does not know
	// such a card.
	Tokenize(ctx context.Context, c card.Card) (token string, err error)
	// Charge makes the charge of a key, or gives the one that the key has.
	Charge(ctx context.Context, r ChargeRequest) (Charge, error)
	// Find gives the charge of a key; NotFound when there is none.
	Find(ctx context.Context, key string) (Charge, error)
	// Refund gives a charge's money back; again is harmless. Conflict: there is
	// none to give back.
	Refund(ctx context.Context, chargeID, key string) (Charge, error)
}

// ErrNotFound: there is no such payment, or the caller may not know of it.
var ErrNotFound = fault.New(fault.NotFound, "pagamento-nao-encontrado", fault.Text{
	PT: "Não há pagamento com este endereço.", EN: "There is no payment at this address.",
})
