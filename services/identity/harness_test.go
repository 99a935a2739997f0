package identity_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"trama/contracts/events"
	identityv1 "trama/contracts/rpc/identity/v1"
	"trama/contracts/rpc/identity/v1/identityv1connect"
	"trama/platform/bus"
	"trama/platform/call"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/enginetest"
	"trama/platform/id"
	"trama/platform/module"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
	"trama/services/identity"
)

// office is the service behind its public doors.
type office struct {
	db       store.DB
	box      *outbox.Box
	clock    *clock.Shifted
	ids      id.Source
	students bus.Handler
	accounts identityv1connect.AccountServiceClient
	log      *bytes.Buffer
}

// engines runs a test on every engine.
func engines(t *testing.T, test func(t *testing.T, o *office)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newOffice(t, openFile(t, filepath.Join(t.TempDir(), "identity.db")), nil)) })
	t.Run("postgres", func(t *testing.T) { test(t, newOffice(t, openPostgres(t), nil)) })
}

func openFile(t testing.TB, path string) store.DB {
	t.Helper()
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: path, Synchronous: "OFF"})
	return opened(t, db, err)
}

// openPostgres makes a schema of the test's own.
func openPostgres(t testing.TB) store.DB {
	t.Helper()
	admin := enginetest.PostgresAdmin(t)
	schema := "trama_test_" + enginetest.Suffix()
	enginetest.PostgresExec(t, admin, `CREATE SCHEMA `+schema)
	t.Cleanup(func() { enginetest.PostgresExec(t, admin, `DROP SCHEMA `+schema+` CASCADE`) })
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	db, err := pgstore.Open(t.Context(), pgstore.Options{URL: u.String()})
	return opened(t, db, err)
}

func opened(t testing.TB, db store.DB, err error) store.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := migration.Run(t.Context(), db, "platform", outbox.Schema()); err != nil {
		t.Fatal(err)
	}
	if _, err := migration.Run(t.Context(), db, "identity", identity.Migrations()); err != nil {
		t.Fatal(err)
	}
	return db
}

func config() identity.Config {
	return identity.Config{InitialPasswordLife: 72 * time.Hour, ParallelHashes: 1, MaxInFlight: 32}
}

func newOffice(t testing.TB, db store.DB, points *crash.Points) *office {
	t.Helper()
	o := &office{db: db, clock: &clock.Shifted{}, log: &bytes.Buffer{}}
	o.ids = id.New(o.clock, rand.Reader)
	o.box = outbox.New(db, "/identidade", o.clock, o.ids)
	service, err := identity.New(config(), module.Deps{
		Clock: o.clock, IDs: o.ids, Log: slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Store: db, Box: o.box, Crash: points,
	})
	if err != nil {
		t.Fatal(err)
	}
	network := call.New(nil)
	for _, m := range service.Modules {
		if m.RPC != nil {
			network.Serve(service.Name, m.RPC)
		}
		for _, sub := range m.Subscriptions {
			if sub.Name != "identity.alunos" {
				t.Fatalf("unexpected subscription %s", sub.Name)
			}
			o.students = sub.Handler
		}
	}
	o.accounts = identityv1connect.NewAccountServiceClient(network.Client(service.Name))
	return o
}

func (o *office) student(email string) events.AlunoCriado {
	return events.AlunoCriado{AlunoID: o.ids.New(), Pessoa: events.Pessoa{Nome: "Ana Souza", Email: email},
		Curso: events.Curso{ID: o.ids.New(), Titulo: "Go para serviços"}}
}

func (o *office) deliver(ctx context.Context, data any, eventID string) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return o.students(ctx, bus.Event{SpecVersion: "1.0", ID: eventID, Source: "/academico",
		Type: events.TypeAlunoCriado, Subject: "s", Time: o.clock.Now(), Data: body})
}

// open makes an account for a new student and gives its id.
func (o *office) open(t testing.TB, email string) string {
	t.Helper()
	if err := o.deliver(t.Context(), o.student(email), o.ids.New()); err != nil {
		t.Fatal(err)
	}
	all := o.created(t)
	return all[len(all)-1].ContaID
}

// created gives the ContaCriada events in the outbox, in order.
func (o *office) created(t testing.TB) []events.ContaCriada {
	t.Helper()
	entries, err := o.box.Pending(t.Context(), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	var out []events.ContaCriada
	for _, e := range entries {
		var d events.ContaCriada
		if err := json.Unmarshal(e.Event.Data, &d); err != nil || e.Event.Type != events.TypeContaCriada || e.Event.Subject != d.ContaID {
			t.Fatalf("published %s about %s: %v", e.Event.Type, e.Event.Subject, err)
		}
		out = append(out, d)
	}
	return out
}

func (o *office) issue(t testing.TB, accountID string) (*identityv1.IssueInitialPasswordResponse, error) {
	t.Helper()
	return o.accounts.IssueInitialPassword(wait(t), &identityv1.IssueInitialPasswordRequest{AccountId: accountID})
}

func (o *office) count(t testing.TB, table string) int {
	t.Helper()
	var n int
	if err := o.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func wait(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
