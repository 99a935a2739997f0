package app

import (
	"context"
	"fmt"
	"log/slog"

	"trama/platform/clock"
	"trama/services/payments/internal/payment"
)

// Settler brings what the acquirer says into a payment. It is the only way from a
// charge to a payment's state, whoever asked: the worker, a notice, the end of
// the time to pay, a refund. What is already so is left alone.
type Settler struct {
	Payments Payments
	Clock    clock.Clock
	Log      *slog.Logger
}

// Settle applies a charge to the payment of its key.
func (s *Settler) Settle(ctx context.Context, unit Unit, id string, c Charge) error {
	_, err := s.Payments.Update(ctx, unit, id, func(p *payment.Payment, seat Seat) error {
		return s.apply(ctx, p, seat, c)
	})
	return err
}

func (s *Settler) apply(ctx context.Context, p *payment.Payment, seat Seat, c Charge) error {
	if c.Amount != p.State().Amount {
		return fmt.Errorf("payment %s: the acquirer charged %s instead of %s", p.ID(), c.Amount, p.State().Amount)
	}
	now := s.Clock.Now()
	switch c.State {
	case ChargeApproved:
		return s.approve(ctx, p, seat, c)
	case ChargeRefused:
		if p.Settled() {
			return nil
		}
		return p.Refuse(payment.ReasonOf(c.Reason), now)
	case ChargeExpired:
		if p.Settled() {
			return nil
		}
		return p.Refuse(payment.Expired, now)
	case ChargeRefunded:
		return s.giveBack(p, c)
	case ChargePending:
		if p.Status() != payment.Analysing {
			return nil
		}
		if p.State().Method == payment.Card {
			return ErrUnknown // still being decided
		}
		return p.Issue(c.ID, c.Code, c.ExpiresAt, now)
	}
	return fmt.Errorf("payment %s: unknown state %d of its charge", p.ID(), c.State)
}

// approve takes the money, or sends it back when the course is already paid.
func (s *Settler) approve(ctx context.Context, p *payment.Payment, seat Seat, c Charge) error {
	if !p.Open() {
		return nil
	}
	if p.Status() == payment.Analysing && p.State().Method == payment.Card {
		return p.Approve(c.ID, s.Clock.Now()) // its analysis took the seat
	}
	switch claim, err := seat.Take(ctx); {
	case err != nil:
		return err
	case claim == Undecided:
		return ErrSeatUndecided
	case claim == Paid:
		return p.SendBack(c.ID, s.Clock.Now())
	}
	return p.Approve(c.ID, s.Clock.Now())
}

// giveBack records money that went back. A payment that never counted as
// approved, because we died between the acquirer's two answers, is refused.
func (s *Settler) giveBack(p *payment.Payment, c Charge) error {
	now := s.Clock.Now()
	if p.Status() == payment.Approved || p.RefundDue() {
		return p.GiveBack(now)
	}
	if p.Settled() {
		return nil
	}
	s.Log.Warn("payments: the acquirer gave back money of a payment that was not approved", "payment", p.ID(), "charge", c.ID)
	return p.Refuse(payment.ByAcquirer, now)
}
