// Package acquirer reaches the acquirer by contracts/rpc/acquirer/v1 and gives
// every call its deadline. Another acquirer is another package like this one.
package acquirer

import (
	"context"
	"fmt"
	"time"

	acquirerv1 "trama/contracts/rpc/acquirer/v1"
	"trama/contracts/rpc/acquirer/v1/acquirerv1connect"
	"trama/platform/money"
	"trama/services/payments/internal/app"
	"trama/services/payments/internal/card"
	"trama/services/payments/internal/payment"
)

// description is what stands on the payer's statement, at most 22 characters.
const description = "TRAMA ESCOLA"

// Client implements app.Acquirer.
type Client struct {
	RPC          acquirerv1connect.AcquirerServiceClient
	TokenTimeout time.Duration // the payer waits for it
	Timeout      time.Duration // of everything else
}

// Tokenize exchanges a card for a token.
func (c *Client) Tokenize(ctx context.Context, k card.Card) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.TokenTimeout)
	defer cancel()
	number, cvv := k.Reveal()
	month, year := k.Expiry()
	res, err := c.RPC.Tokenize(ctx, &acquirerv1.TokenizeRequest{
		Number: number, Cvv: cvv, Holder: k.Holder(), ExpiryMonth: int32(month), ExpiryYear: int32(year),
	})
	if err != nil {
		return "", err
	}
	if res.GetToken() == "" {
		return "", fmt.Errorf("acquirer: an empty token")
	}
	return res.GetToken(), nil
}

// Charge makes the charge of a key, or gives the one that the key has.
func (c *Client) Charge(ctx context.Context, r app.ChargeRequest) (app.Charge, error) {
	req := &acquirerv1.ChargeRequest{
		IdempotencyKey: r.Key, AmountCents: int64(r.Amount), Token: r.Token, Installments: int32(r.Installments), Description: description,
	}
	if !r.ExpiresAt.IsZero() {
		req.ExpiresAtMillis = r.ExpiresAt.UnixMilli()
	}
	switch r.Method {
	case payment.Card:
		req.Method = acquirerv1.Method_METHOD_CARD
	case payment.Pix:
		req.Method = acquirerv1.Method_METHOD_PIX
	case payment.Boleto:
		req.Method = acquirerv1.Method_METHOD_BOLETO
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return read(c.RPC.Charge(ctx, req))
}

// Find gives the charge of a key.
func (c *Client) Find(ctx context.Context, key string) (app.Charge, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return read(c.RPC.GetCharge(ctx, &acquirerv1.GetChargeRequest{IdempotencyKey: key}))
}

// Refund gives a charge's money back.
func (c *Client) Refund(ctx context.Context, chargeID, key string) (app.Charge, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return read(c.RPC.Refund(ctx, &acquirerv1.RefundRequest{ChargeId: chargeID, IdempotencyKey: key}))
}

func read(res *acquirerv1.ChargeResponse, err error) (app.Charge, error) {
	if err != nil {
		return app.Charge{}, err
	}
	c := app.Charge{ID: res.GetChargeId(), Reason: res.GetReason(), Amount: money.Cents(res.GetAmountCents()), Code: res.GetCode()}
	if ms := res.GetExpiresAtMillis(); ms != 0 {
		c.ExpiresAt = time.UnixMilli(ms).UTC()
	}
	switch res.GetState() {
	case acquirerv1.ChargeState_CHARGE_STATE_PENDING:
		c.State = app.ChargePending
	case acquirerv1.ChargeState_CHARGE_STATE_APPROVED:
		c.State = app.ChargeApproved
	case acquirerv1.ChargeState_CHARGE_STATE_REFUSED:
		c.State = app.ChargeRefused
	case acquirerv1.ChargeState_CHARGE_STATE_EXPIRED:
		c.State = app.ChargeExpired
	case acquirerv1.ChargeState_CHARGE_STATE_REFUNDED:
		c.State = app.ChargeRefunded
	default:
		return app.Charge{}, fmt.Errorf("acquirer: unknown charge state %s", res.GetState())
	}
	return c, nil
}
