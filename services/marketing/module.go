package marketing

import (
	"context"
	"io/fs"
	"time"

	"trama/platform/idempotency"
	"trama/platform/module"
	"trama/platform/outbox"
	"trama/platform/store/mongostore"
	"trama/services/marketing/internal/app"
	"trama/services/marketing/internal/courses"
	"trama/services/marketing/internal/events"
	"trama/services/marketing/internal/lead"
	"trama/services/marketing/internal/rest"
	"trama/services/marketing/internal/store/mongodoc"
	"trama/services/marketing/internal/store/sqlstore"
)

// New gives the service's modules. Its store is cfg.Mongo where that is set,
// else d.Store, which must be migrated with outbox.Schema and Migrations. No I/O.
func New(cfg Config, d module.Deps) (module.Service, error) {
	leads, source := openStore(cfg, d)
	keys := lead.Keys{Unsubscribe: d.Secret("marketing.descadastro"), Address: d.Secret("marketing.matriculas")}
	schedule := lead.Schedule(cfg.Reminders)
	course := courses.New(d.Call("academics"))
	api, err := rest.New(rest.UseCases{
		Register: &app.Register{
			Registry: leads, Enrolments: leads, Courses: course, Keys: keys, Schedule: schedule,
			Clock: d.Clock, IDs: d.IDs, Log: d.Log, Crash: d.Crash,
		},
		Unsubscribe: &app.Unsubscribe{Leads: leads, Keys: keys, Clock: d.Clock},
		Staff:       &app.Staff{Leads: leads, Keys: keys, Clock: d.Clock},
	})
	if err != nil {
		return module.Service{}, err
	}
	remind := &app.Remind{
		Leads: leads, Agenda: leads, Enrolments: leads, Courses: course, Keys: keys, Schedule: schedule,
		Life: cfg.ReminderLife, Clock: d.Clock, Log: d.Log, Crash: d.Crash,
	}
	return module.Service{Name: "marketing", Source: source, Modules: []module.Module{
		{Name: "marketing.api", REST: api},
		{Name: "marketing.worker", Subscriptions: events.Subscriptions(&app.Enrol{Enrolments: leads, Keys: keys})},
		{Name: "marketing.tasks", Loops: append([]module.Loop{{Name: "reminders", Run: remind.Run}}, purge(d)...)},
	}}, nil
}

// purgeEvery is how often idempotency keys that have expired are forgotten.
const purgeEvery = time.Hour

// purge is the loop that does so in an SQL store; in MongoDB a lead's keys are
// few, and go with the lead.
func purge(d module.Deps) []module.Loop {
	if d.Store == nil {
		return nil
	}
	return []module.Loop{{Name: "idempotency", Leader: true, Run: func(ctx context.Context) error {
		for d.Clock.Wait(ctx, purgeEvery) == nil {
			if _, err := idempotency.Purge(ctx, d.Store, d.Clock.Now()); err != nil && ctx.Err() == nil {
				d.Log.WarnContext(ctx, "marketing: expired idempotency keys stay for another hour", "error", err)
			}
		}
		return nil
	}}}
}

// openStore chooses the adapter; source is nil where the outbox is d.Box.
func openStore(cfg Config, d module.Deps) (app.Store, outbox.Source) {
	if cfg.Mongo == nil {
		return sqlstore.New(d.Store, d.Box, d.Clock), nil
	}
	s := mongodoc.New(cfg.Mongo.Database(), d.Clock, d.IDs)
	return s, s
}

// Migrations gives the service's schema for both SQL engines.
func Migrations() fs.FS { return sqlstore.Migrations() }

// Prepare makes the indexes in MongoDB, as migrations make tables elsewhere. The
// service makes them itself at first use; this is for trama migrate.
func Prepare(ctx context.Context, db *mongostore.DB) error {
	return mongodoc.New(db.Database(), nil, nil).Prepare(ctx)
}
