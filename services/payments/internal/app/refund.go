package app

import (
	"context"
	"errors"
	"fmt"

	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/fault"
	"trama/platform/idempotency"
	"trama/services/payments/internal/payment"
)

// Refunds gives money back: first the request is recorded, then the worker asks
// the acquirer.
type Refunds struct {
	Payments Payments
	Answers  Answers
	Acquirer Acquirer
	Settler  *Settler
	Clock    clock.Clock
	Crash    *crash.Points
}

// Answers keeps what was answered under an Idempotency-Key.
type Answers interface {
	// Answer gives what was answered the first time.
	Answer(ctx context.Context, key idempotency.Key) (idempotency.Answer, bool, error)
	// Keyed gives a transaction that ends with keeping an answer; it fails with
	// idempotency.ErrRace when another request has used the key meanwhile.
	Keyed(key idempotency.Key, answer func() idempotency.Answer) Unit
}

// Request records that an approved payment is to be refunded, for the reason in
// note, and gives the answer that render makes of it. Asking again changes
// nothing; payment.ErrState when there is nothing to refund. key is the
// request's, nil when it has none: the same key gives the same answer.
func (r *Refunds) Request(ctx context.Context, id, note string, key *idempotency.Key,
	render func(*payment.Payment) ([]byte, error)) (body []byte, err error) {
	var unit Unit
	if key != nil {
		if a, ok, err := r.Answers.Answer(ctx, *key); ok || err != nil {
			return a.Body, err
		}
		unit = r.Answers.Keyed(*key, func() idempotency.Answer {
			return idempotency.Answer{Status: 202, Resource: id, Body: body}
		})
	}
	_, err = r.Payments.Update(ctx, unit, id, func(p *payment.Payment, _ Seat) error {
		err := p.RequestRefund(note, r.Clock.Now())
		if err == nil {
			body, err = render(p)
		}
		return err
	})
	if errors.Is(err, idempotency.ErrRace) {
		a, ok, err := r.Answers.Answer(ctx, *key)
		if err == nil && !ok { // it expired in between
			err = idempotency.ErrRunning
		}
		return a.Body, err
	}
	return body, err
}

// Do gives the money of a payment back; unit is the transaction of the event.
func (r *Refunds) Do(ctx context.Context, unit Unit, id string) error {
	p, err := r.Payments.Get(ctx, id)
	if err != nil || !p.RefundDue() {
		return err
	}
	charge, err := r.Acquirer.Refund(ctx, p.State().ChargeID, id+"-estorno")
	if err != nil && fault.KindOf(err) == fault.Conflict {
		if charge, err = r.Acquirer.Find(ctx, id); err == nil && charge.State != ChargeRefunded {
			err = fmt.Errorf("payment %s: the acquirer does not give its money back: state %d", id, charge.State)
		}
	}
	if err != nil {
		return err
	}
	r.Crash.At("payments.refunded")
	return r.Settler.Settle(ctx, unit, id, charge)
}
