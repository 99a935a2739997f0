package payments_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	"trama/contracts/rpc/academics/v1/academicsv1connect"
	"trama/contracts/rpc/acquirer/v1/acquirerv1connect"
	"trama/platform/auth"
	"trama/platform/bus"
	"trama/platform/call"
	"trama/platform/clock"
	"trama/platform/config"
	"trama/platform/crash"
	"trama/platform/discovery"
	"trama/platform/httpx"
	"trama/platform/id"
	"trama/platform/idempotency"
	"trama/platform/module"
	"trama/platform/outbox"
	"trama/platform/schedule"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/sqlitestore"
	"trama/services/payments"
)

const (
	operatorToken = "operator-token-of-the-test"
	goCourse      = "01980a52-7c00-7000-8000-000000000001" // R$ 1.299,00
	sqlCourse     = "01980a52-7c00-7000-8000-000000000002" // R$ 990,00
	oldCourse     = "01980a52-7c00-7000-8000-000000000003" // not sold any more
	freeCourse    = "01980a52-7c00-7000-8000-000000000004"
	cheapCourse   = "01980a52-7c00-7000-8000-000000000005" // R$ 20,00
)

// school is one running payments service with its public doors, an acquirer and
// an academics that do what the test says.
type school struct {
	t     *testing.T
	dir   string
	clock *clock.Shifted
	logs  *buffer
	bank  *bank
	desk  *desk
	db    store.DB
	box   *outbox.Box
	rest  http.Handler
	subs  []bus.Subscription
	tasks map[string]schedule.Task
	heard []bus.Event // everything published so far

	resolver discovery.Resolver // where the neighbours are; nil: in this process
}

func defaults(t *testing.T) payments.Config {
	t.Helper()
	var cfg payments.Config
	if _, problems := config.Load(&cfg, config.Sources{}); len(problems) > 0 {
		t.Fatalf("defaults: %+v", problems)
	}
	return cfg
}

func start(t *testing.T) *school { return startWith(t, defaults(t), nil) }

func startWith(t *testing.T, cfg payments.Config, points *crash.Points) *school {
	t.Helper()
	s := newSchool(t, t.TempDir())
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(s.dir, "payments.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s.over(db, cfg, points)
	return s
}

// newSchool gives a school without a service; over adds it.
func newSchool(t *testing.T, dir string) *school {
	return &school{t: t, dir: dir, clock: &clock.Shifted{}, logs: &buffer{}, bank: newBank(), desk: newDesk()}
}

// over builds the service over a store.
func (s *school) over(db store.DB, cfg payments.Config, points *crash.Points) {
	t := s.t
	t.Helper()
	migrate(t, db)
	network := call.New(s.resolver)
	t.Cleanup(network.Close)
	if s.resolver == nil {
		s.neighbours(network)
	}
	ids := id.New(s.clock, rand.Reader)
	s.bank.clock, s.db, s.box = s.clock, db, outbox.New(db, payments.Source, s.clock, ids)
	logger := slog.New(slog.NewJSONHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	svc, err := payments.New(cfg, module.Deps{
		Clock: s.clock, IDs: ids, Log: logger, Store: db, Box: s.box, Call: network.Client, Secret: secret, Crash: points,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.tasks = map[string]schedule.Task{}
	for _, m := range svc.Modules {
		if m.REST != nil {
			guard := idempotency.NewGuard([]byte("guard"), auth.Name, httpx.WriteProblem)
			s.rest = httpx.Service(logger, m.REST,
				httpx.WithMiddleware(auth.NewChecker(operatorToken, true).Middleware, guard.Middleware))
		}
		s.subs = append(s.subs, m.Subscriptions...)
		for _, task := range m.Tasks {
			s.tasks[task.Name] = task
		}
	}
}

// neighbours serves the acquirer and academics.
func (s *school) neighbours(network *call.Network) {
	network.Serve("acquirersim", func(c *connect.Server) { acquirerv1connect.RegisterAcquirerServiceHandler(c, s.bank) })
	network.Serve("academics", func(c *connect.Server) { academicsv1connect.RegisterCourseServiceHandler(c, s.desk) })
}

func migrate(t *testing.T, db store.DB) {
	t.Helper()
	if _, err := migration.Run(t.Context(), db, "platform", outbox.Schema()); err != nil {
		t.Fatal(err)
	}
	if _, err := migration.Run(t.Context(), db, "payments", payments.Migrations()); err != nil {
		t.Fatal(err)
	}
}

func secret(purpose string) []byte {
	sum := sha256.Sum256([]byte(purpose))
	return sum[:]
}

// answer is what came back from a request.
type answer struct {
	code   int
	header http.Header
	body   string
	json   map[string]any
}

// broken gives "field rule" of each entry of erros, in order.
func (a answer) broken() string {
	var out []string
	list, _ := a.json["erros"].([]any)
	for _, e := range list {
		m, _ := e.(map[string]any)
		out = append(out, m["campo"].(string)+" "+m["regra"].(string))
	}
	return strings.Join(out, ", ")
}

// at follows keys through objects; "" when one is missing.
func (a answer) at(keys ...string) string {
	var v any = a.json
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	text, _ := v.(string)
	return text
}

// steps gives the states of the history.
func (a answer) steps() string {
	var out []string
	list, _ := a.json["historico"].([]any)
	for _, e := range list {
		out = append(out, e.(map[string]any)["situacao"].(string))
	}
	return strings.Join(out, " ")
}

// do sends one request; headers are "Name: value".
func (s *school) do(method, path, body string, headers ...string) answer {
	s.t.Helper()
	return s.send(s.t.Context(), method, path, strings.NewReader(body), headers...)
}

func (s *school) send(ctx context.Context, method, path string, body io.Reader, headers ...string) answer {
	s.t.Helper()
	r := httptest.NewRequestWithContext(ctx, method, path, body)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.rest.ServeHTTP(w, r)
	a := answer{code: w.Code, header: w.Header(), body: w.Body.String()}
	if strings.Contains(w.Header().Get("Content-Type"), "json") {
		if err := json.Unmarshal(w.Body.Bytes(), &a.json); err != nil {
			s.t.Fatalf("%s %s: %v: %s", method, path, err, a.body)
		}
	}
	return a
}

const asOperator = "Authorization: Bearer " + operatorToken

// get reads a payment as its payer.
func (s *school) get(id string) answer {
	s.t.Helper()
	a := s.do("GET", "/v1/financeiro/pagamentos/"+id, "")
	if a.code != 200 {
		s.t.Fatalf("payment %s: %d %s", id, a.code, a.body)
	}
	return a
}

// pay posts a wish and gives the id of the accepted payment.
func (s *school) pay(w map[string]any, headers ...string) string {
	s.t.Helper()
	a := s.do("POST", "/v1/financeiro/pagamentos", text(w), headers...)
	if a.code != 202 {
		s.t.Fatalf("pay: %d %s", a.code, a.body)
	}
	return a.at("id")
}

// work delivers every event to its consumers until nothing is left, as the bus
// would, and gives the new ones. A consumer's error fails the test.
func (s *school) work() []bus.Event {
	s.t.Helper()
	from := len(s.heard)
	for {
		entries, err := s.box.Pending(s.t.Context(), 100)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(entries) == 0 {
			return s.heard[from:]
		}
		for _, entry := range entries {
			s.heard = append(s.heard, entry.Event)
			if err := s.deliver(entry.Event); err != nil {
				s.t.Fatalf("%s: %v", entry.Event.Type, err)
			}
		}
		if err := s.box.Done(s.t.Context(), entries); err != nil {
			s.t.Fatal(err)
		}
	}
}

// deliver gives one event to the subscriptions of its type.
func (s *school) deliver(e bus.Event) error {
	for _, sub := range s.subs {
		for _, typ := range sub.Types {
			if typ != e.Type {
				continue
			}
			if err := sub.Handler(s.t.Context(), e); err != nil {
				return err
			}
		}
	}
	return nil
}

// waiting gives what is in the outbox, without taking it.
func (s *school) waiting() []bus.Event {
	s.t.Helper()
	entries, err := s.box.Pending(s.t.Context(), 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	var out []bus.Event
	for _, e := range entries {
		out = append(out, e.Event)
	}
	return out
}

// names gives the short names of events, in order.
func names(events []bus.Event) string {
	var out []string
	for _, e := range events {
		out = append(out, strings.Split(e.Type, ".")[3])
	}
	return strings.Join(out, " ")
}

// count says how many payments there are.
func (s *school) count() int {
	s.t.Helper()
	var n int
	if err := s.db.QueryRow(s.t.Context(), `SELECT COUNT(*) FROM payment`).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// run runs a task once and gives what it did.
func (s *school) run(task string) (note string) {
	s.t.Helper()
	res, err := s.tasks[task].Run(s.t.Context())
	if err != nil {
		s.t.Fatalf("%s: %v", task, err)
	}
	return res.Note
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(bytes.TrimSpace(b))
}
