// Package rpc serves contracts/rpc/acquirer/v1: messages in, use cases, messages
// out.
package rpc

import (
	"context"
	"time"

	acquirerv1 "trama/contracts/rpc/acquirer/v1"
	"trama/platform/money"
	"trama/services/acquirersim/internal/app"
	"trama/services/acquirersim/internal/charge"
)

// Server implements acquirerv1connect.AcquirerServiceHandler.
type Server struct{ Acquirer *app.Acquirer }

// Tokenize exchanges a card for a token.
func (s Server) Tokenize(_ context.Context, r *acquirerv1.TokenizeRequest) (*acquirerv1.TokenizeResponse, error) {
	token, err := s.Acquirer.Tokenize(r.GetNumber())
	if err != nil {
		return nil, err
	}
	return &acquirerv1.TokenizeResponse{Token: token}, nil
}

// Charge makes the charge of a key, or gives the one it has.
func (s Server) Charge(ctx context.Context, r *acquirerv1.ChargeRequest) (*acquirerv1.ChargeResponse, error) {
	req := app.Request{
		Key: r.GetIdempotencyKey(), Amount: money.Cents(r.GetAmountCents()), Token: r.GetToken(),
		Installments: int(r.GetInstallments()),
	}
	if ms := r.GetExpiresAtMillis(); ms != 0 {
		req.ExpiresAt = time.UnixMilli(ms).UTC()
	}
	switch r.GetMethod() {
	case acquirerv1.Method_METHOD_CARD:
		req.Method = charge.Card
	case acquirerv1.Method_METHOD_PIX:
		req.Method = charge.Pix
	case acquirerv1.Method_METHOD_BOLETO:
		req.Method = charge.Boleto
	}
	return answer(s.Acquirer.Charge(ctx, req))
}

// GetCharge gives the charge of a key.
func (s Server) GetCharge(ctx context.Context, r *acquirerv1.GetChargeRequest) (*acquirerv1.ChargeResponse, error) {
	return answer(s.Acquirer.Get(ctx, r.GetIdempotencyKey()))
}

// Refund gives the money of a charge back.
func (s Server) Refund(ctx context.Context, r *acquirerv1.RefundRequest) (*acquirerv1.ChargeResponse, error) {
	return answer(s.Acquirer.Refund(ctx, r.GetChargeId()))
}

func answer(c charge.Charge, err error) (*acquirerv1.ChargeResponse, error) {
	if err != nil {
		return nil, err
	}
	res := &acquirerv1.ChargeResponse{
		ChargeId: c.ID, IdempotencyKey: c.Key, Reason: c.Reason, AmountCents: int64(c.Amount), Code: c.Code,
	}
	if !c.ExpiresAt.IsZero() {
		res.ExpiresAtMillis = c.ExpiresAt.UnixMilli()
	}
	switch c.State {
	case charge.Approved:
		res.State = acquirerv1.ChargeState_CHARGE_STATE_APPROVED
	case charge.Refused:
		res.State = acquirerv1.ChargeState_CHARGE_STATE_REFUSED
	case charge.Expired:
		res.State = acquirerv1.ChargeState_CHARGE_STATE_EXPIRED
	case charge.Refunded:
		res.State = acquirerv1.ChargeState_CHARGE_STATE_REFUNDED
	default:
		res.State = acquirerv1.ChargeState_CHARGE_STATE_PENDING
	}
	return res, nil
}
