// Package payment owns what a payment is and may become. It does no I/O.
//
//	recebido ─▶ em_analise ─▶ aprovado ─▶ estornado
//	               │  │           ▲
//	               │  └▶ aguardando_pagamento (pix, boleto)
//	               ▼              ▼
//	            recusado ◀────────┘
//
// A Payment changes through its verbs only. Each verb that changes something
// adds a step to the history and notes what happened, so that whoever stores it
// can tell the world in the same transaction. Verbs are safe to repeat: what has
// already happened is not noted again.
//
// Two rules deserve a word. A payment refused because its time was over becomes
// approved when the acquirer says that the payer was in time: money that was
// taken wins over our clock. And money that arrives for a course that somebody
// has already paid is sent back: the payment then ends as recusado with
// curso-ja-pago, never as aprovado.
package payment

import (
	"slices"
	"time"

	"trama/platform/fault"
	"trama/platform/money"
)

// ErrState: the state of the payment does not allow what was asked (409).
var ErrState = fault.New(fault.Conflict, "pagamento-nao-aprovado", fault.Text{
	PT: "Só um pagamento aprovado pode ser estornado.",
	EN: "Only an approved payment can be refunded.",
})

// Payer is who will study and to whom we write.
type Payer struct {
	Name  string
	Email string // lower case
	CPF   string // 11 digits
	Phone string // "+55…" or empty
}

// Course is what is paid for, as it was when the payment was accepted.
type Course struct {
	ID    string
	Title string
}

// CardOnFile is what we keep of a card.
type CardOnFile struct {
	Token       string // the acquirer's; forgotten once there is an outcome
	Brand       string
	LastFour    string
	Fingerprint string // keyed digest of the number: the same card, the same text
	Country     string // ISO 3166-1 alpha-2; empty when not known
}

// Step is one entry of the history.
type Step struct {
	Status Status
	At     time.Time
	Reason Reason
}

// State is everything that is stored of a payment.
type State struct {
	ID           string
	Version      int64 // 1 at acceptance, +1 per change
	Status       Status
	Reason       Reason // why refused; empty otherwise
	Method       Method
	Payer        Payer
	Course       Course
	Price        money.Cents // of the course
	Amount       money.Cents // charged: price less discount
	Coupon       string
	Installments int
	EnrolmentRef string // id that the enrolment must get
	Card         CardOnFile
	Score        int      // of the fraud analysis
	Findings     []string // its reasons, for staff
	ChargeID     string   // at the acquirer
	Code         string   // what the payer copies, of pix and boleto
	ExpiresAt    time.Time
	StudentID    string // filled once academics has enrolled
	EnrolmentID  string
	RefundAt     time.Time // when a refund was asked for; zero: never
	RefundNote   string    // why, in the words of staff
	Duplicate    bool      // the money is to go back because the course was already paid
	History      []Step
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Happening is what a verb did, for the outbox.
type Happening uint8

// The happenings.
const (
	HasBeenReceived Happening = iota + 1
	HasBeenIssued
	HasBeenApproved
	HasBeenRefused
	RefundIsDue
	HasBeenRefunded
)

// Payment is one payment.
type Payment struct {
	s       State
	changed bool
	events  []Happening
}

// Order is an accepted wish to pay; its parts have been checked.
type Order struct {
	ID           string
	EnrolmentRef string
	Method       Method
	Payer        Payer
	Course       Course
	Price        money.Cents
	Amount       money.Cents
	Coupon       string
	Installments int
	Card         CardOnFile
}

// Accept makes the payment of an order.
func Accept(o Order, now time.Time) *Payment {
	p := &Payment{s: State{
		ID: o.ID, EnrolmentRef: o.EnrolmentRef, Method: o.Method, Payer: o.Payer, Course: o.Course, Price: o.Price,
		Amount: o.Amount, Coupon: o.Coupon, Installments: o.Installments, Card: o.Card, CreatedAt: now,
	}}
	p.move(Received, None, now)
	p.note(HasBeenReceived)
	return p
}

// Restore makes the payment of a stored state.
func Restore(s State) *Payment { return &Payment{s: s} }

// State gives a copy of what is to be stored.
func (p *Payment) State() State {
	s := p.s
	s.History, s.Findings = slices.Clone(p.s.History), slices.Clone(p.s.Findings)
	return s
}

// Changed says whether a verb changed something since the payment was made or restored.
func (p *Payment) Changed() bool { return p.changed }

// Happened gives what the verbs did since then, in order.
func (p *Payment) Happened() []Happening { return slices.Clone(p.events) }

// ID gives the id.
func (p *Payment) ID() string { return p.s.ID }

// Status gives the state.
func (p *Payment) Status() Status { return p.s.Status }

// Settled says whether the charge has an outcome that nothing but a refund, or a
// payer who was in time after all, changes.
func (p *Payment) Settled() bool {
	return p.s.Status == Approved || p.s.Status == Refused || p.s.Status == Refunded
}

// Final says whether nothing more happens without a new request.
func (p *Payment) Final() bool {
	switch p.s.Status {
	case Refused:
		return p.s.RefundAt.IsZero() || p.s.Reason == AlreadyPaid
	case Refunded:
		return true
	case Approved:
		return p.s.EnrolmentID != "" && p.s.RefundAt.IsZero()
	}
	return false
}

// RefundDue says whether money is to go back and has not yet.
func (p *Payment) RefundDue() bool {
	if p.s.RefundAt.IsZero() || p.s.Status == Refunded {
		return false
	}
	return !(p.s.Status == Refused && p.s.Reason == AlreadyPaid)
}

// KeepsSeat says whether the payment may hold the one place that a person has in
// a course; see the store's seat table.
func (p *Payment) KeepsSeat() bool { return p.s.Status != Refused && p.s.Status != Refunded }

func (p *Payment) move(to Status, r Reason, now time.Time) {
	p.s.Status = to
	p.s.History = append(slices.Clip(p.s.History), Step{Status: to, At: now, Reason: r})
	p.touch(now)
}

// touch counts one version per change of the stored row, however many verbs it took.
func (p *Payment) touch(now time.Time) {
	if !p.changed {
		p.s.Version++
	}
	p.s.UpdatedAt, p.changed = now, true
}

func (p *Payment) note(h Happening) { p.events = append(p.events, h) }
