package pgstore_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"trama/platform/enginetest"
	"trama/platform/store"
	"trama/platform/store/pgstore"
	"trama/platform/store/storetest"
)

func open(t testing.TB, o pgstore.Options) *pgstore.DB {
	t.Helper()
	db, err := pgstore.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// schema makes an empty schema in the database and gives a URL that uses it.
func schema(t testing.TB, database string) string {
	t.Helper()
	name := "s_" + enginetest.Suffix()
	enginetest.PostgresExec(t, database, `CREATE SCHEMA `+name)
	return with(t, database, "search_path", name)
}

func with(t testing.TB, base, key, value string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(key, value)
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // pgx takes a plus for a plus
	return u.String()
}

func TestContract(t *testing.T) {
	database := enginetest.PostgresDatabase(t)
	storetest.Run(t, func(t *testing.T) store.DB { return open(t, pgstore.Options{URL: schema(t, database)}) })
}

func TestContractOneConnection(t *testing.T) {
	database := enginetest.PostgresDatabase(t)
	storetest.Run(t, func(t *testing.T) store.DB {
		if t.Name() == "TestContractOneConnection/no_dirty_reads" || t.Name() == "TestContractOneConnection/after_commit" {
			return open(t, pgstore.Options{URL: schema(t, database), MaxConns: 2}) // they read beside a transaction
		}
		return open(t, pgstore.Options{URL: schema(t, database), MaxConns: 1})
	})
}

func TestContractPair(t *testing.T) {
	database := enginetest.PostgresDatabase(t)
	storetest.RunPair(t, func(t *testing.T) (a, b store.DB) {
		u := schema(t, database)
		return open(t, pgstore.Options{URL: u}), open(t, pgstore.Options{URL: u})
	})
}

func TestMain(m *testing.M) {
	storetest.Main(m, func(ctx context.Context, url string) (store.DB, error) {
		return pgstore.Open(ctx, pgstore.Options{URL: url})
	})
}

func TestProcesses(t *testing.T) {
	database := enginetest.PostgresDatabase(t)
	storetest.RunProcesses(t,
		func(t *testing.T) string { return schema(t, database) },
		func(t *testing.T, url string) store.DB { return open(t, pgstore.Options{URL: url}) })
}
