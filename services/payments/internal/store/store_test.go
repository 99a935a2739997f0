package store_test

import (
	"path/filepath"
	"testing"

	"trama/platform/enginetest"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
	payments "trama/services/payments/internal/store"
	"trama/services/payments/internal/store/storetest"
)

func prepare(t *testing.T, db store.DB) store.DB {
	t.Helper()
	t.Cleanup(func() { _ = db.Close() })
	if _, err := migration.Run(t.Context(), db, "platform", outbox.Schema()); err != nil {
		t.Fatal(err)
	}
	if _, err := migration.Run(t.Context(), db, "payments", payments.Migrations()); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.DB {
		db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(t.TempDir(), "p.db"), Synchronous: "OFF"})
		if err != nil {
			t.Fatal(err)
		}
		return prepare(t, db)
	})
}

func TestPostgres(t *testing.T) {
	url := enginetest.PostgresDatabase(t)
	storetest.Run(t, func(t *testing.T) store.DB {
		schema := "s" + enginetest.Suffix() // quicker to make than a database
		enginetest.PostgresExec(t, url, `CREATE SCHEMA `+schema)
		db, err := pgstore.Open(t.Context(), pgstore.Options{URL: url + "&search_path=" + schema})
		if err != nil {
			t.Fatal(err)
		}
		return prepare(t, db)
	})
}
