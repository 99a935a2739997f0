package parking_test

import (
	"path/filepath"
	"testing"

	"trama/platform/clock"
	"trama/platform/enginetest"
	"trama/platform/outbox"
	"trama/platform/parking"
	"trama/platform/parking/parkingtest"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
)

func TestSQLite(t *testing.T) {
	parkingtest.Run(t, func(t *testing.T) parkingtest.Kit {
		path := filepath.Join(t.TempDir(), "s.db")
		return kit(t, func() (store.DB, error) {
			return sqlitestore.Open(t.Context(), sqlitestore.Options{Path: path, Synchronous: "OFF"})
		})
	})
}

func TestPostgres(t *testing.T) {
	parkingtest.Run(t, func(t *testing.T) parkingtest.Kit {
		url := enginetest.PostgresDatabase(t)
		return kit(t, func() (store.DB, error) { return pgstore.Open(t.Context(), pgstore.Options{URL: url}) })
	})
}

// kit gives handles on one store.
func kit(t *testing.T, open func() (store.DB, error)) parkingtest.Kit {
	opened := func() store.DB {
		db, err := open()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	first := opened()
	if _, err := migration.Run(t.Context(), first, "platform", outbox.Schema()); err != nil {
		t.Fatal(err)
	}
	return parkingtest.Kit{
		Open: func(_ *testing.T, c clock.Clock) parkingtest.Lot { return parking.New(opened(), c, "host:1") },
		Handled: func(t *testing.T, subscription, key string) bool {
			var n int
			err := first.QueryRow(t.Context(), `SELECT COUNT(*) FROM inbox WHERE subscription = $1 AND event_id = $2`, subscription, key).Scan(&n)
			if err != nil {
				t.Fatal(err)
			}
			return n == 1
		},
	}
}
