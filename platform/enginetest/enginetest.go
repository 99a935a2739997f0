// Package enginetest gives tests the engines of this machine. A test that needs
// one which cannot be reached is skipped, saying so; where the environment
// variable TRAMA_TEST_REQUIRE names the engine (comma-separated: postgres,
// rabbitmq, mongodb), as in CI, it fails instead.
package enginetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
)

// RequireEnv names the engines that must be there.
const RequireEnv = "TRAMA_TEST_REQUIRE"

// Missing skips or fails the test because an engine cannot be used.
func Missing(t testing.TB, engine string, err error) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv(RequireEnv), ","), engine) {
		t.Fatalf("%s is required by %s but cannot be used: %v", engine, RequireEnv, err)
	}
	t.Skipf("%s cannot be used here (%v); set %s=%s to make this a failure", engine, err, RequireEnv, engine)
}

// Suffix gives eight random hex digits, for names that are a test's own.
func Suffix() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return hex.EncodeToString(b[:])
}

// PostgresAdmin gives the URL of a superuser on the test server
// (TRAMA_TEST_POSTGRES_URL, default postgres://postgres@127.0.0.1:5432/postgres).
func PostgresAdmin(t testing.TB) string {
	t.Helper()
	u := os.Getenv("TRAMA_TEST_POSTGRES_URL")
	if u == "" {
		u = "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, u)
	if err != nil {
		Missing(t, "postgres", err)
	}
	_ = conn.Close(ctx)
	return u
}

// PostgresDatabase makes an empty database that goes away with the test, and
// gives its URL.
func PostgresDatabase(t testing.TB) string {
	t.Helper()
	admin := PostgresAdmin(t)
	name := "trama_test_" + Suffix()
	PostgresExec(t, admin, `CREATE DATABASE `+name)
	t.Cleanup(func() { PostgresExec(t, admin, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`) })
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// PostgresExec runs one statement on the given server.
func PostgresExec(t testing.TB, url, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatalf("postgres: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("postgres: %s: %v", sql, err)
	}
}

// RabbitMQ gives the URL of the test broker (TRAMA_TEST_RABBITMQ_URL, default
// amqp://guest:guest@127.0.0.1:5672/). Tests use names of their own (Suffix).
func RabbitMQ(t testing.TB) string {
	t.Helper()
	u := os.Getenv("TRAMA_TEST_RABBITMQ_URL")
	if u == "" {
		u = "amqp://guest:guest@127.0.0.1:5672/"
	}
	parsed, err := url.Parse(u)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", parsed.Host, 3*time.Second)
	if err != nil {
		Missing(t, "rabbitmq", err)
	}
	_ = conn.Close()
	return u
}

// MongoDatabase gives the URL of an empty database on a MongoDB-protocol server
// (TRAMA_TEST_MONGODB_URL; tests/ferretdb starts one). There is no default:
// such a server is rarely running by itself.
func MongoDatabase(t testing.TB) string {
	t.Helper()
	base := os.Getenv("TRAMA_TEST_MONGODB_URL")
	if base == "" {
		Missing(t, "mongodb", errors.New("TRAMA_TEST_MONGODB_URL is not set"))
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/trama_test_" + Suffix()
	return u.String()
}

// DropQueues removes the exchange and the queues of a test at its end.
func DropQueues(t testing.TB, brokerURL, exchange string, queues ...string) {
	t.Helper()
	t.Cleanup(func() {
		conn, err := amqp.Dial(brokerURL)
		if err != nil {
			t.Logf("rabbitmq: clean up %s: %v", exchange, err)
			return
		}
		defer conn.Close()
		for _, name := range queues {
			if ch, err := conn.Channel(); err == nil { // a missing queue closes the channel
				_, _ = ch.QueueDelete(name, false, false, false)
				_ = ch.Close()
			}
		}
		if ch, err := conn.Channel(); err == nil {
			_ = ch.ExchangeDelete(exchange, false, false)
		}
	})
}

// PostgresTry runs one statement and gives its error.
func PostgresTry(t testing.TB, url, sql string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatalf("postgres: %v", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}
