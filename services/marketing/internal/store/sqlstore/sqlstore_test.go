package sqlstore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"trama/platform/clock"
	"trama/platform/enginetest"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
	"trama/services/marketing/internal/store/sqlstore"
	"trama/services/marketing/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T, c clock.Clock, ids id.Source) storetest.Kit {
		db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(t.TempDir(), "marketing.db")})
		if err != nil {
			t.Fatal(err)
		}
		return kit(t, db, c, ids)
	})
}

func TestPostgres(t *testing.T) {
	storetest.Run(t, func(t *testing.T, c clock.Clock, ids id.Source) storetest.Kit {
		db, err := pgstore.Open(t.Context(), pgstore.Options{URL: enginetest.PostgresDatabase(t)})
		if err != nil {
			t.Fatal(err)
		}
		return kit(t, db, c, ids)
	})
}

func kit(t *testing.T, db store.DB, c clock.Clock, ids id.Source) storetest.Kit {
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := migration.Run(t.Context(), db, "platform", outbox.Schema()); err != nil {
		t.Fatal(err)
	}
	if _, err := migration.Run(t.Context(), db, "marketing", sqlstore.Migrations()); err != nil {
		t.Fatal(err)
	}
	box := outbox.New(db, "/marketing", c, ids)
	return storetest.Kit{Store: sqlstore.New(db, box, c), Source: box, Dump: func(t *testing.T) string { return dump(t, db) }}
}

// dump gives every text of the service's tables and of the platform's.
func dump(t *testing.T, db store.DB) string {
	var all strings.Builder
	for table, columns := range map[string]string{
		"lead": "id, email, name", "outbox": "subject, subject, body", "outbox_subject": "subject, subject, subject",
		"enrolment": "digest, course_id, digest", "inbox": "subscription, event_id, event_id", "idempotency": `scope, '"' || value || '"', body`,
	} {
		rows, err := db.Query(context.Background(), "SELECT "+columns+" FROM "+table)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var a, b, c string
			if err := rows.Scan(&a, &b, &c); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&all, table, a, b, c)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}
