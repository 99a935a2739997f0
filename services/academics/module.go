package academics

import (
	"context"
	"io/fs"

	"trama/platform/clock"
	"trama/platform/module"
	"trama/platform/store"
	"trama/services/academics/internal/app"
	"trama/services/academics/internal/demo"
	"trama/services/academics/internal/events"
	"trama/services/academics/internal/rest"
	"trama/services/academics/internal/rpc"
	schema "trama/services/academics/internal/store"
)

// New gives the service's modules. d.Store must be migrated with outbox.Schema
// and Migrations. No I/O.
func New(cfg Config, d module.Deps) (module.Service, error) {
	deps := app.Deps{DB: d.Store, Box: d.Box, Clock: d.Clock, IDs: d.IDs, Log: d.Log, Crash: d.Crash}
	api, err := rest.New(deps, d.Secret("academics.cursor"))
	if err != nil {
		return module.Service{}, err
	}
	return module.Service{Name: "academics", Modules: []module.Module{
		{Name: "academics.api", REST: api, RPC: rpc.Register(deps)},
		{Name: "academics.worker", Subscriptions: events.Subscriptions(deps, cfg.MaxInFlight)},
	}}, nil
}

// Migrations gives the service's schema for both engines.
func Migrations() fs.FS { return schema.Migrations() }

// Seed fills an empty school with the demonstration courses and gives how many
// it wrote: all of them the first time, 0 ever after, also when staff deleted
// some meanwhile. Several processes may call it at once.
func Seed(ctx context.Context, db store.DB, c clock.Clock) (int, error) {
	return demo.Seed(ctx, db, c)
}
