package marketing

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"trama/platform/idempotency"
	"trama/platform/module"
	"trama/platform/outbox"
	"trama/platform/schedule"
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
	steps := lead.Schedule(cfg.Reminders)
	course := courses.New(d.Call("academics"))
	api, err := rest.New(rest.UseCases{
		Register: &app.Register{
			Registry: leads, Enrolments: leads, Courses: course, Keys: keys, Schedule: steps,
			Clock: d.Clock, IDs: d.IDs, Log: d.Log, Crash: d.Crash,
		},
		Unsubscribe: &app.Unsubscribe{Leads: leads, Keys: keys, Clock: d.Clock},
		Staff:       &app.Staff{Leads: leads, Keys: keys, Clock: d.Clock},
	})
	if err != nil {
		return module.Service{}, err
	}
	remind := &app.Remind{
		Leads: leads, Agenda: leads, Enrolments: leads, Courses: course, Keys: keys, Schedule: steps,
		Life: cfg.ReminderLife, Clock: d.Clock, Crash: d.Crash,
	}
	return module.Service{Name: "marketing", Source: source, Modules: []module.Module{
		{Name: "marketing.api", REST: api},
		{Name: "marketing.worker", Subscriptions: events.Subscriptions(&app.Enrol{Enrolments: leads, Keys: keys})},
		{Name: "marketing.tasks", Tasks: append([]schedule.Task{{
			Name: "marketing.reminders", About: "Envia os lembretes que venceram.",
			Every: remind.Pause(), Timeout: remindTimeout, Run: remind.Run,
		}}, purge(d)...)},
	}}, nil
}

const (
	purgeEvery    = time.Hour // how often idempotency keys that have expired are forgotten
	remindTimeout = time.Hour // of one run: after an outage there may be many reminders
)

// purge is the task that forgets keys in an SQL store; in MongoDB a lead's keys
// are few, and go with the lead.
func purge(d module.Deps) []schedule.Task {
	if d.Store == nil {
		return nil
	}
	return []schedule.Task{{Name: "marketing.idempotency", About: "Esquece chaves de idempotência vencidas.", Every: purgeEvery,
		Run: func(ctx context.Context) (schedule.Result, error) {
			n, err := idempotency.Purge(ctx, d.Store, d.Clock.Now())
			if err != nil || n == 0 {
				return schedule.Result{}, err
			}
			return schedule.Result{Note: fmt.Sprintf("%d chaves esquecidas", n)}, nil
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
