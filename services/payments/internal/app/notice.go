package app

import (
	"context"
	"log/slog"

	"trama/platform/fault"
	"trama/platform/money"
	"trama/services/payments/internal/payment"
)

// Notice is what the acquirer tells of a charge by itself. Its signature has
// been checked.
type Notice struct {
	PaymentID string
	ChargeID  string // empty: not told
	Approved  bool   // says that the money is there
	Amount    *Amount
}

// Notices takes what the acquirer tells. A notice is only the reason to ask: what
// counts is the acquirer's answer, so that a stolen signing key enrols nobody,
// and notices that come twice, late or in the wrong order do no harm.
type Notices struct {
	Payments Payments
	Acquirer Acquirer
	Settler  *Settler
	Log      *slog.Logger
}

var (
	// ErrAmount: the notice speaks of another amount than the payment's.
	ErrAmount = fault.New(fault.Invalid, "valor-divergente", fault.Text{
		PT: "O valor do aviso não é o do pagamento.", EN: "The amount of the notice is not the payment's.",
	})
	// ErrNoCharge: the notice is about a charge that is not this payment's.
	ErrNoCharge = fault.New(fault.NotFound, "cobranca-nao-encontrada", fault.Text{
		PT: "Não há esta cobrança para este pagamento.", EN: "There is no such charge for this payment.",
	})
)

// Take settles the payment that a notice is about.
func (n *Notices) Take(ctx context.Context, notice Notice) error {
	p, err := n.Payments.Get(ctx, notice.PaymentID)
	if err != nil {
		return err
	}
	s := p.State()
	if notice.ChargeID != "" && s.ChargeID != "" && notice.ChargeID != s.ChargeID {
		return ErrNoCharge
	}
	if err := sameAmount(notice, s); err != nil {
		n.Log.Error("payments: a signed notice speaks of another amount", "payment", s.ID)
		return err
	}
	charge, err := n.Acquirer.Find(ctx, s.ID)
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			return ErrNoCharge.Wrap(err)
		}
		return ErrAcquirerDown.Wrap(err)
	}
	if notice.ChargeID != "" && notice.ChargeID != charge.ID {
		return ErrNoCharge
	}
	return n.Settler.Settle(ctx, nil, s.ID, charge)
}

// sameAmount checks the amount of a notice; one that tells of money must have it.
func sameAmount(notice Notice, s payment.State) error {
	if notice.Amount == nil {
		if notice.Approved {
			return ErrAmount
		}
		return nil
	}
	got, err := money.Parse(notice.Amount.Value)
	if err != nil || got != s.Amount || notice.Amount.Currency != money.BRL {
		return ErrAmount
	}
	return nil
}
