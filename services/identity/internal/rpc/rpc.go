// Package rpc answers other services' calls to identity: the interface generated
// from contracts/rpc/identity on one side, the use cases on the other.
package rpc

import (
	"context"

	"connectrpc.com/connect/v2"

	identityv1 "trama/contracts/rpc/identity/v1"
	"trama/contracts/rpc/identity/v1/identityv1connect"
	"trama/services/identity/internal/app"
)

// Register makes the calls available on a server.
func Register(a *app.Accounts) func(*connect.Server) {
	return func(s *connect.Server) {
		identityv1connect.RegisterAccountServiceHandler(s, accounts{a})
	}
}

type accounts struct{ app *app.Accounts }

// IssueInitialPassword gives out a first password.
func (a accounts) IssueInitialPassword(ctx context.Context, r *identityv1.IssueInitialPasswordRequest) (*identityv1.IssueInitialPasswordResponse, error) {
	secret, expires, err := a.app.IssueInitial(ctx, r.GetAccountId())
	if err != nil {
		return nil, err
	}
	return &identityv1.IssueInitialPasswordResponse{Password: secret, ExpiresAtMillis: expires.UnixMilli()}, nil
}
