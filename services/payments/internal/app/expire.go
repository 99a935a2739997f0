package app

import (
	"context"
	"log/slog"
	"time"

	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/fault"
	"trama/services/payments/internal/payment"
)

// Deadline is the end of a payment's time, and a place in the order of them.
type Deadline struct {
	At time.Time
	ID string
}

// Deadlines finds payments whose time is over.
type Deadlines interface {
	// Overdue gives waiting payments whose time was over at now, the longest
	// overdue first, behind a place in that order (zero: from the start).
	Overdue(ctx context.Context, now time.Time, after Deadline, limit int) ([]Deadline, error)
}

// Expiry ends the wait for payers who did not pay.
type Expiry struct {
	Deadlines Deadlines
	Payments  Payments
	Acquirer  Acquirer
	Settler   *Settler
	Grace     time.Duration // how long the acquirer may still say "pending" after the end
	Clock     clock.Clock
	Crash     *crash.Points
	Log       *slog.Logger
}

const expiryBatch = 100

// Pass asks the acquirer a last time about every payment whose time is over: one
// that was paid after all is approved, the others are refused as expired. A
// payment that cannot be settled now does not hold up the others; it is looked
// at again in the next pass. It gives how many it looked at, and how many of
// those could not be settled.
func (e *Expiry) Pass(ctx context.Context) (overdue, failed int, err error) {
	now, after := e.Clock.Now(), Deadline{}
	for {
		due, err := e.Deadlines.Overdue(ctx, now, after, expiryBatch)
		if err != nil {
			return overdue, failed, err
		}
		for _, d := range due {
			if err := e.end(ctx, d, now); err != nil {
				if ctx.Err() != nil {
					return overdue, failed, ctx.Err()
				}
				failed++
				e.Log.Warn("payments: a payment whose time is over could not be settled", "payment", d.ID, "error", err)
			}
			overdue++
			after = d
		}
		if len(due) < expiryBatch {
			return overdue, failed, nil
		}
	}
}

func (e *Expiry) end(ctx context.Context, d Deadline, now time.Time) error {
	charge, err := e.Acquirer.Find(ctx, d.ID)
	e.Crash.At("payments.expiry-asked")
	switch {
	case err == nil && charge.State != ChargePending:
		return e.Settler.Settle(ctx, nil, d.ID, charge)
	case err == nil && now.Before(d.At.Add(e.Grace)):
		return nil // clocks differ: let the acquirer end it
	case err != nil && fault.KindOf(err) != fault.NotFound:
		return err
	}
	_, err = e.Payments.Update(ctx, nil, d.ID, func(p *payment.Payment, _ Seat) error {
		if p.Status() != payment.Awaiting || p.RefundDue() {
			return nil
		}
		return p.Refuse(payment.Expired, e.Clock.Now())
	})
	return err
}
