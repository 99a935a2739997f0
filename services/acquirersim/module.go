package acquirersim

import (
	"io/fs"

	"connectrpc.com/connect/v2"

	"trama/contracts/rpc/acquirer/v1/acquirerv1connect"
	"trama/platform/module"
	"trama/services/acquirersim/internal/app"
	"trama/services/acquirersim/internal/charge"
	"trama/services/acquirersim/internal/notify"
	"trama/services/acquirersim/internal/rest"
	"trama/services/acquirersim/internal/rpc"
	"trama/services/acquirersim/internal/store"
	"trama/services/acquirersim/internal/vault"
)

// Name is the service's name.
const Name = "acquirersim"

// Migrations gives the service's tables.
func Migrations() fs.FS { return store.Migrations() }

// New puts the service together; it does no I/O.
func New(cfg Config, d module.Deps) (module.Service, error) {
	v, err := vault.New(d.Secret("acquirersim.vault"))
	if err != nil {
		return module.Service{}, err
	}
	secret := []byte(cfg.CallbackSecret.Reveal())
	if len(secret) == 0 {
		secret = d.Secret("acquirer.callback")
	}
	ledger := store.New(d.Store)
	acquirer := &app.Acquirer{
		Settings: app.Settings{
			Delay: cfg.Delay, Hang: cfg.Hang, UnknownAsks: cfg.UnknownAsks,
			Merchant: charge.Merchant{Name: cfg.MerchantName, City: cfg.MerchantCity},
		},
		Ledger: ledger, Vault: v, Clock: d.Clock, IDs: d.IDs, Crash: d.Crash,
	}
	sender := &notify.Sender{
		URL: cfg.CallbackURL, Secret: secret, Timeout: cfg.CallbackTimeout,
		Backoff: cfg.CallbackBackoff, MaxBackoff: cfg.CallbackMaxBackoff,
		Ledger: ledger, Expire: acquirer.ExpireDue, Clock: d.Clock, Log: d.Log, Crash: d.Crash,
	}
	return module.Service{Name: Name, Modules: []module.Module{{
		Name: Name + ".api",
		REST: rest.Handler(acquirer),
		RPC: func(s *connect.Server) {
			acquirerv1connect.RegisterAcquirerServiceHandler(s, rpc.Server{Acquirer: acquirer})
		},
		Loops: []module.Loop{{Name: "notices", Leader: true, Run: sender.Run}},
	}}}, nil
}
