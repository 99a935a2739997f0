package identity

import (
	"crypto/rand"
	"io/fs"

	"trama/platform/module"
	"trama/services/identity/internal/app"
	"trama/services/identity/internal/events"
	"trama/services/identity/internal/password"
	"trama/services/identity/internal/rpc"
	"trama/services/identity/internal/store"
)

// New gives the service's modules. d.Store must be migrated with outbox.Schema
// and Migrations. No I/O.
func New(cfg Config, d module.Deps) (module.Service, error) {
	accounts := &app.Accounts{
		DB: d.Store, Box: d.Box, Clock: d.Clock, IDs: d.IDs, Crash: d.Crash,
		Rand: rand.Reader, Hasher: password.NewHasher(rand.Reader, cfg.ParallelHashes, cfg.HashMemory), Life: cfg.InitialPasswordLife,
	}
	return module.Service{Name: "identity", Modules: []module.Module{
		{Name: "identity.api", RPC: rpc.Register(accounts)},
		{Name: "identity.worker", Subscriptions: events.Subscriptions(accounts, cfg.MaxInFlight)},
	}}, nil
}

// Migrations gives the service's schema for both engines.
func Migrations() fs.FS { return store.Migrations() }
