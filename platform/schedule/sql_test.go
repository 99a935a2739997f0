package schedule_test

import (
	"context"
	"path/filepath"
	"testing"

	"trama/platform/clock"
	"trama/platform/enginetest"
	"trama/platform/outbox"
	"trama/platform/schedule"
	"trama/platform/schedule/scheduletest"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
)

func migrated(t testing.TB, db store.DB, err error) store.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migration.Run(context.Background(), db, "platform", outbox.Schema()); err != nil {
		t.Fatal(err)
	}
	return db
}

func openSQLite(t testing.TB, path string) store.DB {
	t.Helper()
	db, err := sqlitestore.Open(context.Background(), sqlitestore.Options{Path: path})
	return migrated(t, db, err)
}

func closing(t testing.TB, db store.DB) store.DB {
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestSQLite(t *testing.T) {
	scheduletest.Run(t, func(t *testing.T, c clock.Clock) schedule.Ledger {
		return schedule.NewSQL(closing(t, openSQLite(t, filepath.Join(t.TempDir(), "x.db"))), c)
	})
}

func TestPostgres(t *testing.T) {
	scheduletest.Run(t, func(t *testing.T, c clock.Clock) schedule.Ledger {
		db, err := pgstore.Open(t.Context(), pgstore.Options{URL: enginetest.PostgresDatabase(t), MaxConns: 4})
		return schedule.NewSQL(closing(t, migrated(t, db, err)), c)
	})
}
