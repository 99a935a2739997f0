// Package accounts asks identity for first passwords, wherever it runs.
package accounts

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"

	identityv1 "trama/contracts/rpc/identity/v1"
	"trama/contracts/rpc/identity/v1/identityv1connect"
	"trama/platform/fault"
	"trama/services/notifications/internal/letter"
)

// patience is how long an answer is waited for: hashing takes its turn there.
const patience = 15 * time.Second

// Client is app.Accounts over identity's internal calls.
type Client struct {
	rpc identityv1connect.AccountServiceClient
}

// New makes the client.
func New(c *connect.Client) *Client {
	return &Client{rpc: identityv1connect.NewAccountServiceClient(c)}
}

// FirstPassword makes a new first password; nil when the person has chosen one.
func (c *Client) FirstPassword(ctx context.Context, accountID string) (*letter.Password, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, err := c.rpc.IssueInitialPassword(ctx, &identityv1.IssueInitialPasswordRequest{AccountId: accountID})
	switch {
	case err == nil:
		return &letter.Password{Text: got.GetPassword(), ExpiresAt: time.UnixMilli(got.GetExpiresAtMillis()).UTC()}, nil
	case fault.KindOf(err) == fault.Conflict || fault.KindOf(err) == fault.Precondition:
		return nil, nil
	case fault.KindOf(err) == fault.Invalid: // not the mail's fault: it must not be given up for it
		return nil, fault.New(fault.Internal, "conta-recusada", fault.Text{
			PT: "A identidade recusou a conta.", EN: "Identity refused the account.",
		}).Wrap(err)
	}
	return nil, err
}
