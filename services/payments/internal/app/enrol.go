package app

import (
	"context"

	"trama/platform/clock"
	"trama/services/payments/internal/payment"
)

// Enrolments notes where the payers now study.
type Enrolments struct {
	Payments Payments
	Clock    clock.Clock
}

// Note records the enrolment that a payment led to; unit is the transaction of the
// event. ErrNotFound when the payment is none of ours.
func (e *Enrolments) Note(ctx context.Context, unit Unit, id, studentID, enrolmentID string) error {
	_, err := e.Payments.Update(ctx, unit, id, func(p *payment.Payment, _ Seat) error {
		p.Enrol(studentID, enrolmentID, e.Clock.Now())
		return nil
	})
	return err
}
