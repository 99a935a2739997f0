package notifications_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	"trama/contracts/events"
	identityv1 "trama/contracts/rpc/identity/v1"
	"trama/contracts/rpc/identity/v1/identityv1connect"
	"trama/platform/auth"
	"trama/platform/bus"
	"trama/platform/call"
	"trama/platform/clock"
	"trama/platform/config"
	"trama/platform/discovery"
	"trama/platform/enginetest"
	"trama/platform/fault"
	"trama/platform/httpx"
	"trama/platform/id"
	"trama/platform/module"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
	"trama/services/notifications"
)

const (
	operatorToken = "operator-of-this-test"
	course        = "01980a52-7c00-7000-8000-000000000001"
	otherCourse   = "01980a52-7c00-7000-8000-000000000002"
	payment       = "01980a53-10aa-7c11-8f00-2b7d9e6c5a02"
	lead          = "01980a52-7c4f-7d3a-9b1e-5f2c8a6d4e01"
)

// engines runs a test on every engine.
func engines(t *testing.T, test func(t *testing.T, s *service)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newService(t, openSQLite(t, t.TempDir()), nil)) })
	t.Run("postgres", func(t *testing.T) { test(t, newService(t, openPostgres(t), nil)) })
}

func openSQLite(t testing.TB, dir string) store.DB {
	t.Helper()
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(dir, "notifications.db"), Synchronous: "OFF"})
	return migrated(t, db, err)
}

func openPostgres(t testing.TB) store.DB {
	t.Helper()
	db, err := pgstore.Open(t.Context(), pgstore.Options{URL: enginetest.PostgresDatabase(t)})
	return migrated(t, db, err)
}

func migrated(t testing.TB, db store.DB, err error) store.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := migration.Run(t.Context(), db, "platform", outbox.Schema()); err != nil {
		t.Fatal(err)
	}
	if _, err := migration.Run(t.Context(), db, "notifications", notifications.Migrations()); err != nil {
		t.Fatal(err)
	}
	return db
}

// identity gives out passwords that tell their order.
type identity struct {
	mu     sync.Mutex
	fail   []error // for the next calls; nil gives a password
	issued []string
}

func (i *identity) IssueInitialPassword(_ context.Context, r *identityv1.IssueInitialPasswordRequest) (*identityv1.IssueInitialPasswordResponse, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.fail) > 0 {
		err := i.fail[0]
		i.fail = i.fail[1:]
		if err != nil {
			return nil, err
		}
	}
	password := fmt.Sprintf("senha-%d-%s", len(i.issued)+1, enginetest.Suffix())
	i.issued = append(i.issued, password)
	return &identityv1.IssueInitialPasswordResponse{Password: password, ExpiresAtMillis: time.Now().Add(72 * time.Hour).UnixMilli()}, nil
}

// service is notifications behind its public doors.
type service struct {
	db       store.DB
	clock    *clock.Shifted
	ids      id.Source
	http     http.Handler
	subs     map[string]bus.Handler
	identity *identity
	mailbox  string
	log      *lines
	send     func(context.Context) error
	stop     func()
}

func newService(t testing.TB, db store.DB, change func(*notifications.Config, *module.Deps)) *service {
	t.Helper()
	s := &service{db: db, clock: &clock.Shifted{}, subs: map[string]bus.Handler{}, identity: &identity{}, log: &lines{},
		mailbox: filepath.Join(t.TempDir(), "correio")}
	s.ids = id.New(s.clock, rand.Reader)
	network := call.New(discovery.Static(nil))
	network.Serve("identity", func(c *connect.Server) { identityv1connect.RegisterAccountServiceHandler(c, s.identity) })
	var cfg notifications.Config
	if _, problems := config.Load(&cfg, config.Sources{}); len(problems) > 0 {
		t.Fatal(problems)
	}
	cfg.Retry.First, cfg.Retry.Longest = time.Millisecond, 20*time.Millisecond
	cfg.PublicURL, cfg.MailboxDir = "https://escola.example", s.mailbox
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	deps := module.Deps{Clock: s.clock, IDs: s.ids, Log: logger, Store: db, Box: outbox.New(db, "/notificacoes", s.clock, s.ids), Call: network.Client}
	if change != nil {
		change(&cfg, &deps)
	}
	s.mailbox = cfg.MailboxDir
	svc, err := notifications.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range svc.Modules {
		if m.REST != nil {
			s.http = httpx.Service(logger, m.REST, httpx.WithMiddleware(auth.NewChecker(operatorToken, true).Middleware))
		}
		for _, sub := range m.Subscriptions {
			s.subs[sub.Name] = sub.Handler
		}
		for _, l := range m.Loops {
			if !l.Leader {
				t.Errorf("loop %s may run twice at a time", l.Name)
			}
			s.send = l.Run
		}
	}
	return s
}

// start runs the sender until the test ends or stop is called.
func (s *service) start(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.send(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
}

// lines is a log that may be written and read at the same time.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// event hands an event to a subscription.
func (s *service) event(t testing.TB, subscription, eventType string, data any) bus.Event {
	t.Helper()
	raw, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	e := bus.Event{ID: s.ids.New(), Type: eventType, Subject: "s", Time: s.clock.Now(), Data: raw,
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
	s.deliver(t, subscription, e)
	return e
}

func (s *service) deliver(t testing.TB, subscription string, e bus.Event) {
	t.Helper()
	handler, ok := s.subs[subscription]
	if !ok {
		t.Fatalf("no subscription %s", subscription)
	}
	if err := handler(t.Context(), e); err != nil {
		t.Fatalf("%s: %v", subscription, err)
	}
}

// item is a message as the API lists it.
type item struct{ ID, Para, Assunto, Situacao string }

func (s *service) get(path string, local bool, headers ...string) (int, string, http.Header) {
	r := httptest.NewRequest("GET", path, nil)
	if local {
		r.RemoteAddr, r.Host = "127.0.0.1:41234", "127.0.0.1:8080"
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, r)
	text, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(text), w.Header()
}

const messages = "/v1/notificacoes/mensagens"

func (s *service) list(t testing.TB) []item {
	t.Helper()
	status, text, _ := s.get(messages+"?limite=100", true)
	var page struct{ Itens []item }
	if err := json.Unmarshal([]byte(text), &page); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s %v", status, text, err)
	}
	return page.Itens
}

// await waits until no message waits any more, and gives what became of them.
func (s *service) await(t testing.TB) []item {
	t.Helper()
	eventually(t, "the queue is empty", func() bool { return s.count(t, `SELECT COUNT(*) FROM message WHERE state = 'aguardando'`) == 0 })
	return s.list(t)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

func (s *service) count(t testing.TB, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := s.db.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// content gives text and HTML of a message.
func (s *service) content(t testing.TB, id string) (text, html string) {
	t.Helper()
	status, body, _ := s.get(messages+"/"+id, true)
	var m struct{ Texto, HTML string }
	if err := json.Unmarshal([]byte(body), &m); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s %v", status, body, err)
	}
	return m.Texto, m.HTML
}

// header gives the headers of the file of a message.
func (s *service) header(t testing.TB, id string) mail.Header {
	t.Helper()
	f, err := os.Open(filepath.Join(s.mailbox, id+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := mail.ReadMessage(f)
	if err != nil {
		t.Fatal(err)
	}
	return m.Header
}

var (
	ana    = events.Pessoa{Nome: "Ana Souza", Email: "ana@exemplo.com.br"}
	golang = events.Curso{ID: course, Titulo: "Go para serviços"}
	errOut = fault.New(fault.Unavailable, "servico-indisponivel", fault.Text{PT: "Fora do ar.", EN: "Down."})
)

func accountCreated() events.ContaCriada {
	return events.ContaCriada{ContaID: "01980a53-1400-7b30-8d00-112233445566", AlunoID: "a", Pessoa: ana, Curso: golang, Nova: true}
}

func want(t testing.TB, what string, got, wanted any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(wanted); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}
