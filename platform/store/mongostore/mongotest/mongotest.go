// Package mongotest gives tests a MongoDB-protocol server: the one that the
// environment variable TRAMA_TEST_MONGODB_URL names. Without it tests are
// skipped, or fail where TRAMA_TEST_REQUIRE names mongodb. The module
// tests/ferretdb is such a server.
package mongotest

import (
	"context"
	"errors"
	"net/url"
	"os"
	"testing"
	"time"

	"trama/platform/enginetest"
	"trama/platform/store/mongostore"
)

// URLEnv names the environment variable with the server's address.
const URLEnv = "TRAMA_TEST_MONGODB_URL"

// URL gives the address of an empty database of the test's own.
func URL(t testing.TB) string {
	t.Helper()
	raw := os.Getenv(URLEnv)
	if raw == "" {
		enginetest.Missing(t, "mongodb", errors.New(URLEnv+" names no server"))
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/trama_test_" + enginetest.Suffix()
	return u.String()
}

// Open gives an empty database that goes away with the test.
func Open(t testing.TB) *mongostore.DB {
	t.Helper()
	url := URL(t)
	db, err := mongostore.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := db.Ping(ctx); err != nil {
		enginetest.Missing(t, "mongodb", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		drop(t, url)
	})
	return db
}

// drop removes the database by a client of its own: the test may have closed the other.
func drop(t testing.TB, url string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	db, err := mongostore.Open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Database().Drop(ctx); err != nil {
		t.Errorf("drop the test's database: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
