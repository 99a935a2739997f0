package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"trama/platform/fault"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
)

// engineRetry is how often a database that is down at start is asked again.
const engineRetry = 500 * time.Millisecond

func isUnavailable(err error) bool {
	k := fault.KindOf(err)
	return k == fault.Unavailable || k == fault.Timeout
}

// Report tells what a migration run found in one store.
type Report struct {
	Service    string
	Relational bool // false: documents, nothing to migrate
	Applied    int  // steps taken now, or already there when only asked
	Pending    int
}

// StoreServices gives the named services, all that keep data when none is named;
// an error names what is none of them.
func StoreServices(names ...string) ([]string, error) {
	if len(names) == 0 {
		return slices.Clone(storeServices), nil
	}
	for _, name := range names {
		if !slices.Contains(storeServices, name) {
			return nil, fmt.Errorf("%q is no service with a store; there are %s", name, strings.Join(storeServices, ", "))
		}
	}
	return names, nil
}

// MigrateStores brings the stores of the services, as StoreServices gives them, up
// to date, or, without apply, says what is pending and changes nothing. folder is
// the data folder.
func MigrateStores(ctx context.Context, c Config, folder string, services []string, apply bool) ([]Report, error) {
	var out []Report
	for _, service := range services {
		r := Report{Service: service}
		if s := scheme(c.Stores.url(service)); s == "mongodb" || s == "mongodb+srv" {
			out = append(out, r)
			continue
		}
		r.Relational = true
		file := filepath.Join(folder, service+".db")
		if err := migrateStore(ctx, c, file, service, apply, &r); err != nil {
			return out, storeError(c, file, service, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func migrateStore(ctx context.Context, c Config, file, service string, apply bool, r *Report) (err error) {
	if _, statErr := os.Stat(file); !apply && errors.Is(statErr, fs.ErrNotExist) && c.Stores.url(service) == "" {
		// To open the file would make it; an empty one elsewhere tells the same.
		elsewhere, err := os.MkdirTemp("", "trama-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(elsewhere)
		file = filepath.Join(elsewhere, "empty.db")
	}
	db, err := openRelational(ctx, c, file, service)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if apply {
		r.Applied, err = Migrate(ctx, service, db)
		return err
	}
	return countMigrations(ctx, db, service, r)
}

func countMigrations(ctx context.Context, db store.DB, service string, r *Report) error {
	platform, err := migration.Status(ctx, db, "platform", outbox.Schema())
	if err != nil {
		return err
	}
	own, err := migration.Status(ctx, db, service, migrations(service))
	if err != nil {
		return err
	}
	for _, f := range append(platform, own...) {
		if f.Applied {
			r.Applied++
		} else {
			r.Pending++
		}
	}
	return nil
}

// PrepareDatabases makes roles, databases and schemas for every service whose
// store is PostgreSQL, and says in lines what is there now.
func PrepareDatabases(ctx context.Context, c Config, adminURL string) ([]string, error) {
	var targets []pgstore.Target
	for _, service := range storeServices {
		u := c.Stores.url(service)
		if s := scheme(u); s != "postgres" && s != "postgresql" {
			continue
		}
		t, err := pgstore.TargetOf(u)
		if err != nil {
			return nil, fmt.Errorf("stores.%s: %w", service, err)
		}
		targets = append(targets, t)
	}
	if len(targets) == 0 {
		return nil, errors.New("no service has a postgres:// store; set one, as -s stores.payments=postgres://…")
	}
	if err := pgstore.Provision(ctx, adminURL, targets); err != nil {
		return nil, reason(err)
	}
	var lines []string
	for _, t := range targets {
		lines = append(lines, "ready: "+t.String())
	}
	return lines, nil
}
