package system

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"

	"golang.org/x/sync/errgroup"

	"trama/platform/module"
	"trama/platform/outbox"
	"trama/platform/parking"
	"trama/platform/parking/mongoparking"
	"trama/platform/schedule"
	"trama/platform/schedule/mongoschedule"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/mongostore"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
	"trama/services/academics"
	"trama/services/acquirersim"
	"trama/services/identity"
	"trama/services/marketing"
	"trama/services/notifications"
	"trama/services/operations"
	"trama/services/operations/agent"
	"trama/services/payments"
)

// sources names each service in its events (CloudEvents source).
var sources = map[string]string{
	"marketing": "/marketing", "payments": "/financeiro", "academics": "/academico",
	"identity": "/identidade", "notifications": "/notificacoes", "acquirersim": "/simulador",
}

// migrations gives each service's own tables.
func migrations(service string) fs.FS {
	switch service {
	case "marketing":
		return marketing.Migrations()
	case "payments":
		return payments.Migrations()
	case "academics":
		return academics.Migrations()
	case "identity":
		return identity.Migrations()
	case "notifications":
		return notifications.Migrations()
	case "acquirersim":
		return acquirersim.Migrations()
	}
	return nil
}

// builders gives the constructor of each service.
func (h *Host) builders() map[string]func(module.Deps) (module.Service, error) {
	c := h.Config
	return map[string]func(module.Deps) (module.Service, error){
		"marketing": func(d module.Deps) (module.Service, error) {
			cfg := c.Marketing
			if s := h.stores["marketing"]; s != nil && s.mongo != nil {
				cfg.Mongo = s.mongo
			}
			return marketing.New(cfg, d)
		},
		"payments":  func(d module.Deps) (module.Service, error) { return payments.New(c.Payments, d) },
		"academics": func(d module.Deps) (module.Service, error) { return academics.New(c.Academics, d) },
		"identity":  func(d module.Deps) (module.Service, error) { return identity.New(c.Identity, d) },
		"notifications": func(d module.Deps) (module.Service, error) {
			cfg := c.Notifications
			cfg.PublicURL = h.PublicURL()
			cfg.MailboxDir = h.Dir.Path("correio")
			return notifications.New(cfg, d)
		},
		"operations": func(d module.Deps) (module.Service, error) {
			return operations.New(operations.Config{Services: storeServices, Log: h.bus}, d)
		},
		"acquirersim": func(d module.Deps) (module.Service, error) {
			cfg := c.Acquirersim
			if cfg.CallbackURL == "" {
				cfg.CallbackURL = h.PublicURL() + "/v1/financeiro/retornos"
			}
			return acquirersim.New(cfg, d)
		},
	}
}

// openStore is a service's store while the host runs.
type openStore struct {
	db    store.DB
	box   *outbox.Box
	mongo *mongostore.DB
	lot   agent.Lot       // where the service's subscriptions park
	desk  schedule.Ledger // of its scheduled tasks
}

func (s *openStore) close() error {
	if s.mongo != nil {
		return s.mongo.Close()
	}
	return s.db.Close()
}

func (s *openStore) ping(ctx context.Context) error {
	if s.mongo != nil {
		return s.mongo.Ping(ctx)
	}
	return s.db.Ping(ctx)
}

// openStores opens and migrates the stores of the services here, side by side.
func (h *Host) openStores(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, service := range storeServices {
		if !h.hasService(service) {
			continue
		}
		s := &openStore{}
		h.stores[service] = s
		g.Go(func() error {
			return storeError(h.Config, h.file(service), service, h.open(ctx, service, s))
		})
	}
	err := g.Wait()
	for service, s := range h.stores {
		if s.db == nil && s.mongo == nil {
			delete(h.stores, service)
		}
	}
	return err
}

// file is where the SQLite file of a service is.
func (h *Host) file(service string) string { return h.Dir.Path(service + ".db") }

func (h *Host) open(ctx context.Context, service string, s *openStore) error {
	if u := h.Config.Stores.url(service); scheme(u) == "mongodb" || scheme(u) == "mongodb+srv" {
		db, err := mongostore.Open(ctx, u)
		if err != nil {
			return err
		}
		s.mongo = db
		s.desk = mongoschedule.New(db, h.Clock)
		s.lot = mongoparking.New(db.Database(), h.Clock, h.ids, process())
		return h.await(ctx, service, func() error { return marketing.Prepare(ctx, db) })
	}
	db, err := openRelational(ctx, h.Config, h.file(service), service)
	if err != nil {
		return err
	}
	if h.Store != nil {
		db = h.Store(service, db)
	}
	s.db = db
	s.box = outbox.New(db, sources[service], h.Clock, h.ids)
	s.box.Crash = h.Crash
	s.lot = parking.New(db, h.Clock, process())
	s.desk = schedule.NewSQL(db, h.Clock)
	return h.migrate(ctx, service, db)
}

// openRelational opens the SQLite file or the PostgreSQL database of a service.
func openRelational(ctx context.Context, c Config, path, service string) (store.DB, error) {
	if u := c.Stores.url(service); u != "" {
		return pgstore.Open(ctx, pgstore.Options{URL: u, MaxConns: c.Stores.MaxConns})
	}
	return sqlitestore.Open(ctx, sqlitestore.Options{Path: path, MaxBatch: c.Stores.MaxBatch})
}

// migrate brings the tables of the platform and of the service up to date.
func (h *Host) migrate(ctx context.Context, service string, db store.DB) error {
	return h.await(ctx, service, func() error {
		n, err := Migrate(ctx, service, db)
		h.steps.Add(int64(n))
		return err
	})
}

// await prepares a store; a database server that is not up yet is waited for:
// the process that starts before its engine must not give up. One that answers
// and knows neither our name nor our database is not waited for.
func (h *Host) await(ctx context.Context, service string, prepare func() error) error {
	u := h.Config.Stores.url(service)
	for first := true; ; first = false {
		err := prepare()
		if err == nil || !isUnavailable(err) || u == "" || pgstore.IsRefused(err) {
			return err
		}
		if first {
			h.Note("waiting for the database of %s at %s", service, hostOf(u))
			h.Log.Warn("the database does not answer; waiting for it", "service", service, "error", reason(err))
		}
		if err := h.Clock.Wait(ctx, engineRetry); err != nil {
			return err
		}
	}
}

// Migrate brings one service's store up to date and says how many steps it took.
func Migrate(ctx context.Context, service string, db store.DB) (int, error) {
	platform, err := migration.Run(ctx, db, "platform", outbox.Schema())
	if err != nil {
		return platform, fmt.Errorf("migrate the platform's tables: %w", err)
	}
	own, err := migration.Run(ctx, db, service, migrations(service))
	if err != nil {
		return platform + own, fmt.Errorf("migrate the service's tables: %w", err)
	}
	return platform + own, nil
}

// startRelays carries the outboxes of the services here to the bus.
func (h *Host) startRelays() {
	ctx, cancel := context.WithCancel(context.Background())
	h.stopRelay = cancel
	for _, s := range h.services {
		var source outbox.Source = s.Source
		if open := h.stores[s.Name]; source == nil && open != nil {
			source = open.box
		}
		if source == nil {
			continue
		}
		relay := outbox.Relay{Source: source, Bus: h.bus, Clock: h.Clock, Log: h.Log.With("service", s.Name, "part", "relay"), Crash: h.Crash, Telemetry: h.telemetry.For(s.Name), Poll: h.RelayPoll}
		h.relays.Go(func() {
			if err := relay.Run(ctx); err != nil {
				h.Log.Error("relay ended", "service", s.Name, "error", err)
			}
		})
	}
}

func scheme(u string) string {
	parsed, err := url.Parse(u)
	if err != nil {
		return ""
	}
	return parsed.Scheme
}
