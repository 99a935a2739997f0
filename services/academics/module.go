package academics

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"trama/platform/clock"
	"trama/platform/idempotency"
	"trama/platform/module"
	"trama/platform/schedule"
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
		{Name: "academics.worker", Subscriptions: events.Subscriptions(deps, cfg.MaxInFlight), Tasks: []schedule.Task{purge(d)}},
	}}, nil
}

// purge is the task that forgets the Idempotency-Keys of POST /cursos.
func purge(d module.Deps) schedule.Task {
	return schedule.Task{Name: "academics.idempotency", About: "Esquece chaves de idempotência vencidas.", Every: time.Hour,
		Run: func(ctx context.Context) (schedule.Result, error) {
			n, err := idempotency.Purge(ctx, d.Store, d.Clock.Now())
			if err != nil || n == 0 {
				return schedule.Result{}, err
			}
			return schedule.Result{Note: fmt.Sprintf("%d chaves esquecidas", n)}, nil
		}}
}

// Migrations gives the service's schema for both engines.
func Migrations() fs.FS { return schema.Migrations() }

// Seed fills an empty school with the demonstration courses and gives how many
// it wrote: all of them the first time, 0 ever after, also when staff deleted
// some meanwhile. Several processes may call it at once.
func Seed(ctx context.Context, db store.DB, c clock.Clock) (int, error) {
	return demo.Seed(ctx, db, c)
}
