package academics_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	"trama/contracts/events"
	"trama/platform/auth"
	"trama/platform/bus"
	"trama/platform/call"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/enginetest"
	"trama/platform/httpx"
	"trama/platform/id"
	"trama/platform/idempotency"
	"trama/platform/module"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
	"trama/services/academics"
)

const operatorToken = "operator-of-this-test"

// school is the service behind its public doors.
type school struct {
	db    store.DB
	box   *outbox.Box
	clock *clock.Shifted
	ids   id.Source
	http  http.Handler
	subs  map[string]bus.Handler
	calls *connect.Client
	log   *bytes.Buffer
}

// engines runs a test on every engine.
func engines(t *testing.T, test func(t *testing.T, s *school)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newSchool(t, openSQLite(t))) })
	t.Run("postgres", func(t *testing.T) { test(t, newSchool(t, openPostgres(t))) })
}

func openSQLite(t testing.TB) store.DB {
	t.Helper()
	return openFile(t, filepath.Join(t.TempDir(), "academics.db"))
}

func openFile(t testing.TB, path string) store.DB {
	t.Helper()
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: path, Synchronous: "OFF"})
	return opened(t, db, err)
}

// openPostgres makes a schema of the test's own: much cheaper than a database.
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
	if _, err := migration.Run(t.Context(), db, "academics", academics.Migrations()); err != nil {
		t.Fatal(err)
	}
	return db
}

func newSchool(t testing.TB, db store.DB) *school {
	t.Helper()
	return newSchoolWith(t, db, nil)
}

func newSchoolWith(t testing.TB, db store.DB, points *crash.Points) *school {
	t.Helper()
	s := &school{db: db, clock: &clock.Shifted{}, subs: map[string]bus.Handler{}, log: &bytes.Buffer{}}
	s.ids = id.New(s.clock, rand.Reader)
	s.box = outbox.New(db, "/academico", s.clock, s.ids)
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	secret := func(purpose string) []byte { sum := sha256.Sum256([]byte("test " + purpose)); return sum[:] }
	service, err := academics.New(academics.Config{MaxInFlight: 32}, module.Deps{
		Clock: s.clock, IDs: s.ids, Log: logger, Store: db, Box: s.box, Secret: secret, Crash: points,
	})
	if err != nil {
		t.Fatal(err)
	}
	network := call.New(nil)
	for _, m := range service.Modules {
		if m.REST != nil {
			guard := idempotency.NewGuard(secret("idempotency"), auth.Name, httpx.WriteProblem)
			s.http = httpx.Service(logger, m.REST,
				httpx.WithMiddleware(auth.NewChecker(operatorToken, true).Middleware, guard.Middleware))
		}
		if m.RPC != nil {
			network.Serve(service.Name, m.RPC)
		}
		for _, sub := range m.Subscriptions {
			s.subs[sub.Name] = sub.Handler
		}
	}
	s.calls = network.Client(service.Name)
	return s
}

// answer is what came back over HTTP.
type answer struct {
	status  int
	header  http.Header
	body    map[string]any
	raw     string
	problem httpx.Problem
}

// rules gives the broken rules of a problem, as "pointer rule".
func (a answer) rules() string {
	var out []string
	for _, e := range a.problem.Errors {
		out = append(out, e.Field+" "+e.Rule)
	}
	return strings.Join(out, "; ")
}

func (a answer) etag() string { return a.header.Get("ETag") }

// do sends a request; body is JSON text or empty. headers are name, value, …
func (s *school) do(method, target, body string, headers ...string) answer {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header()}
	raw, _ := io.ReadAll(w.Body)
	a.raw = string(raw)
	_ = json.Unmarshal(raw, &a.body) // what is no object shows as missing fields
	if w.Header().Get("Content-Type") == httpx.ContentType {
		_ = json.Unmarshal(raw, &a.problem)
	}
	return a
}

// staff is do as the operator.
func (s *school) staff(method, target, body string, headers ...string) answer {
	return s.do(method, target, body, append(headers, "Authorization", "Bearer "+operatorToken)...)
}

// deliver hands an event to a subscription.
func (s *school) deliver(ctx context.Context, subscription, eventType string, data any, eventID string) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return s.subs[subscription](ctx, bus.Event{
		SpecVersion: "1.0", ID: eventID, Source: "/financeiro", Type: eventType, Subject: "s", Time: s.clock.Now(), Data: body,
	})
}

func (s *school) approve(t testing.TB, p events.PagamentoProcessado) {
	t.Helper()
	if err := s.deliver(t.Context(), "academics.pagamentos", events.TypePagamentoProcessado, p, s.ids.New()); err != nil {
		t.Fatalf("approve: %v", err)
	}
}

func (s *school) refund(t testing.TB, p events.PagamentoProcessado) {
	t.Helper()
	if err := s.deliver(t.Context(), "academics.estornos", events.TypePagamentoEstornado, refundOf(p), s.ids.New()); err != nil {
		t.Fatalf("refund: %v", err)
	}
}

func refundOf(p events.PagamentoProcessado) events.PagamentoEstornado {
	return events.PagamentoEstornado{PagamentoID: p.PagamentoID, Referencia: p.Referencia,
		Pagador: events.Pessoa{Nome: p.Aluno.Nome, Email: p.Aluno.Email}, Curso: p.Curso, Valor: p.Valor, EstornadoEm: p.AprovadoEm}
}

// payment is an approved payment of a person for a course, with ids of its own.
func (s *school) payment(cpf, email, courseID string) events.PagamentoProcessado {
	return events.PagamentoProcessado{
		PagamentoID: s.ids.New(), Referencia: events.Referencia{Tipo: "matricula", ID: s.ids.New()},
		Aluno:      events.Aluno{Nome: "Ana Souza", Email: email, CPF: cpf, Telefone: "+5511987654321"},
		Curso:      events.Curso{ID: courseID, Titulo: "Curso " + courseID[len(courseID)-2:]},
		Valor:      events.Dinheiro{Valor: "100.00", Moeda: "BRL"},
		Metodo:     "cartao",
		AprovadoEm: s.clock.Now(),
	}
}

// published gives the events in the outbox, in order.
func (s *school) published(t testing.TB) []bus.Event {
	t.Helper()
	entries, err := s.box.Pending(t.Context(), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]bus.Event, 0, len(entries))
	for _, e := range entries {
		out = append(out, e.Event)
	}
	return out
}

// data decodes the payloads of one type, in order.
func data[T any](t testing.TB, all []bus.Event, eventType string) []T {
	t.Helper()
	var out []T
	for _, e := range all {
		if e.Type != eventType {
			continue
		}
		var d T
		if err := json.Unmarshal(e.Data, &d); err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

// count gives the number of rows of a table.
func (s *school) count(t testing.TB, table string) int {
	t.Helper()
	var n int
	if err := s.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// cpf gives the n-th valid CPF.
func cpf(n int) string {
	digits := fmt.Sprintf("%09d", n+100_000_000)
	for _, length := range []int{9, 10} {
		sum := 0
		for i := range length {
			sum += int(digits[i]-'0') * (length + 1 - i)
		}
		digits += string(rune('0' + sum*10%11%10))
	}
	return digits
}

// courseID gives the id of the n-th course of a test.
func courseID(n int) string { return fmt.Sprintf("01980a52-7c00-7000-8000-%012d", n) }

func wait(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
