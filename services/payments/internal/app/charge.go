package app

import (
	"context"
	"log/slog"
	"time"

	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/fault"
	"trama/services/payments/internal/fraud"
	"trama/services/payments/internal/payment"
)

// Charger takes a received payment through the fraud analysis and the charge.
// Every step can be repeated: whoever dies on the way, the next delivery of the
// event goes on where the store says.
type Charger struct {
	Payments Payments
	Past     Past
	Acquirer Acquirer
	Settler  *Settler
	Limits   fraud.Limits
	PixLife  time.Duration // how long a pix may be paid
	SlipLife time.Duration // how long a boleto may be paid
	Clock    clock.Clock
	Crash    *crash.Points
	Log      *slog.Logger
}

var (
	// ErrUnknown: the acquirer does not tell what became of a charge. It is asked
	// again later, by the same key.
	ErrUnknown = fault.New(fault.Timeout, "cobranca-sem-resposta", fault.Text{
		PT: "A operadora ainda não disse o que houve com a cobrança.",
		EN: "The acquirer has not said yet what became of the charge.",
	})
	// ErrSeatUndecided: another payment for the same course and person is being
	// charged; this one waits for its outcome.
	ErrSeatUndecided = fault.New(fault.Unavailable, "pagamento-concorrente", fault.Text{
		PT: "Outro pagamento da mesma pessoa para o mesmo curso está em andamento.",
		EN: "Another payment of the same person for the same course is under way.",
	}).After(time.Second)
)

// Do analyses and charges a payment; unit is the transaction of the event.
func (c *Charger) Do(ctx context.Context, unit Unit, id string) error {
	p, resumed, err := c.analyse(ctx, id)
	if err != nil || p.Status() != payment.Analysing {
		return err
	}
	c.Crash.At("payments.analysed")
	charge, refused, err := c.charge(ctx, p.State(), resumed)
	if err != nil {
		return err
	}
	c.Crash.At("payments.charged")
	if refused {
		_, err = c.Payments.Update(ctx, unit, id, func(p *payment.Payment, _ Seat) error {
			if p.Status() != payment.Analysing {
				return nil
			}
			return p.Refuse(payment.ByAcquirer, c.Clock.Now())
		})
	} else {
		err = c.Settler.Settle(ctx, unit, id, charge)
	}
	if err == nil {
		c.Crash.At("payments.settled")
	}
	return err
}

// analyse judges a received payment. resumed says that it was judged before, so
// that a charge may already have been made.
func (c *Charger) analyse(ctx context.Context, id string) (p *payment.Payment, resumed bool, err error) {
	p, err = c.Payments.Get(ctx, id)
	if err != nil || p.Status() != payment.Received {
		return p, true, err
	}
	facts, err := c.Past.Facts(ctx, p.State(), c.Limits)
	if err != nil {
		return nil, false, err
	}
	verdict := c.Limits.Assess(facts)
	p, err = c.Payments.Update(ctx, nil, id, func(p *payment.Payment, seat Seat) error {
		if resumed = p.Status() != payment.Received; resumed {
			return nil
		}
		return c.judge(ctx, p, seat, verdict)
	})
	return p, resumed, err
}

// judge records the verdict. A card takes the seat before it is charged, so that
// of two payments for one course only one is charged; pix and boleto take it
// when their money arrives.
func (c *Charger) judge(ctx context.Context, p *payment.Payment, seat Seat, v fraud.Verdict) error {
	now := c.Clock.Now()
	life := c.PixLife
	if p.State().Method == payment.Boleto {
		life = c.SlipLife
	}
	if err := p.Analyse(v.Score, v.Findings(), v.Suspect, now.Add(life), now); err != nil || p.Settled() {
		return err
	}
	ask := seat.Look
	if p.State().Method == payment.Card {
		ask = seat.Take
	}
	switch claim, err := ask(ctx); {
	case err != nil:
		return err
	case claim == Paid:
		return p.Refuse(payment.AlreadyPaid, now)
	case claim == Undecided && p.State().Method == payment.Card:
		return ErrSeatUndecided // undoes the analysis too: it is made again
	}
	return nil
}

// charge asks the acquirer for the money. An unknown outcome is asked for by the
// payment's own key before anything is repeated, and only ever repeated under
// that key. refused says that the acquirer takes no such charge and made none.
func (c *Charger) charge(ctx context.Context, s payment.State, resumed bool) (charge Charge, refused bool, err error) {
	for attempt := range 2 {
		if resumed || attempt > 0 {
			found, err := c.Acquirer.Find(ctx, s.ID)
			if err == nil {
				return found, false, nil
			}
			if fault.KindOf(err) != fault.NotFound {
				return Charge{}, false, ErrUnknown.Wrap(err)
			}
		}
		charge, err = c.Acquirer.Charge(ctx, ChargeRequest{
			Key: s.ID, Method: s.Method, Amount: s.Amount, Token: s.Card.Token, Installments: s.Installments, ExpiresAt: s.ExpiresAt,
		})
		switch {
		case err == nil:
			return charge, false, nil
		case fault.KindOf(err) == fault.Invalid:
			return c.declined(ctx, s.ID, err)
		case !uncertain(err):
			return Charge{}, false, err
		}
		c.Log.Info("payments: the outcome of a charge is unknown; it is asked for", "payment", s.ID, "error", err)
	}
	return Charge{}, false, ErrUnknown.Wrap(err)
}

// declined makes sure that what the acquirer does not take was not charged either.
func (c *Charger) declined(ctx context.Context, key string, cause error) (Charge, bool, error) {
	found, err := c.Acquirer.Find(ctx, key)
	switch {
	case err == nil:
		return found, false, nil
	case fault.KindOf(err) == fault.NotFound:
		c.Log.Warn("payments: the acquirer takes no such charge", "payment", key, "error", cause)
		return Charge{}, true, nil
	}
	return Charge{}, false, ErrUnknown.Wrap(err)
}

// uncertain says whether a call that failed may have been executed.
func uncertain(err error) bool {
	k := fault.KindOf(err)
	return k.Transient() || k == fault.Internal
}
