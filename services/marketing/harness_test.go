package marketing_test

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
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	"trama/contracts/events"
	academicsv1 "trama/contracts/rpc/academics/v1"
	"trama/contracts/rpc/academics/v1/academicsv1connect"
	"trama/platform/auth"
	"trama/platform/bus"
	"trama/platform/call"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/discovery"
	"trama/platform/enginetest"
	"trama/platform/fault"
	"trama/platform/httpx"
	"trama/platform/id"
	"trama/platform/idempotency"
	"trama/platform/module"
	"trama/platform/outbox"
	"trama/platform/schedule"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/mongostore"
	"trama/platform/store/mongostore/mongotest"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
	"trama/services/marketing"
)

const (
	operatorToken = "operator-of-this-test"
	courseGo      = "01980a52-7c00-7000-8000-000000000001" // on sale
	courseOld     = "01980a52-7c00-7000-8000-000000000002" // not sold any more
	courseNone    = "01980a52-7c00-7000-8000-00000000ffff"
)

// engine is where the service under test keeps its data.
type engine struct {
	db    store.DB
	mongo *mongostore.DB
}

// engines runs a test on every engine.
func engines(t *testing.T, test func(t *testing.T, s *service)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newService(t, openSQLite(t))) })
	t.Run("postgres", func(t *testing.T) { test(t, newService(t, openPostgres(t))) })
	t.Run("mongodb", func(t *testing.T) { test(t, newService(t, engine{mongo: mongotest.Open(t)})) })
}

func openSQLite(t testing.TB) engine {
	t.Helper()
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(t.TempDir(), "marketing.db"), Synchronous: "OFF"})
	return migrated(t, db, err)
}

func openPostgres(t testing.TB) engine {
	t.Helper()
	db, err := pgstore.Open(t.Context(), pgstore.Options{URL: enginetest.PostgresDatabase(t)})
	return migrated(t, db, err)
}

func migrated(t testing.TB, db store.DB, err error) engine {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := migration.Run(t.Context(), db, "platform", outbox.Schema()); err != nil {
		t.Fatal(err)
	}
	if _, err := migration.Run(t.Context(), db, "marketing", marketing.Migrations()); err != nil {
		t.Fatal(err)
	}
	return engine{db: db}
}

// academics answers for the courses of this test.
type academics struct{ down bool }

func (a *academics) GetCourse(_ context.Context, r *academicsv1.GetCourseRequest) (*academicsv1.GetCourseResponse, error) {
	switch {
	case a.down:
		return nil, discovery.Unknown("academics")
	case r.GetId() == courseGo:
		return &academicsv1.GetCourseResponse{Id: courseGo, Title: "Go para serviços", Active: true}, nil
	case r.GetId() == courseOld:
		return &academicsv1.GetCourseResponse{Id: courseOld, Title: "Flash", Active: false}, nil
	}
	return nil, fault.New(fault.NotFound, "curso-nao-encontrado", fault.Text{PT: "Não há.", EN: "None."})
}

// service is marketing behind its public doors.
type service struct {
	clock     *steered
	ids       id.Source
	http      http.Handler
	handler   bus.Handler // of MatriculaConfirmada
	source    outbox.Source
	academics *academics
	log       *bytes.Buffer
	loop      func(context.Context) error
	purge     func(context.Context) error
	close     func() error
	db        store.DB
}

// keys counts the idempotency keys of an SQL store.
func (s *service) keys(t testing.TB) (n int) {
	t.Helper()
	if err := s.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM idempotency`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func newService(t testing.TB, e engine, reminders ...time.Duration) *service {
	t.Helper()
	if reminders == nil {
		reminders = []time.Duration{24 * time.Hour, 72 * time.Hour, 168 * time.Hour}
	}
	s := &service{db: e.db, clock: &steered{asleep: make(chan time.Duration)}, academics: &academics{}, log: &bytes.Buffer{}}
	s.ids = id.New(s.clock, rand.Reader)
	network := call.New(discovery.Static(nil))
	network.Serve("academics", func(c *connect.Server) {
		academicsv1connect.RegisterCourseServiceHandler(c, s.academics)
	})
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	secret := func(purpose string) []byte { sum := sha256.Sum256([]byte("test " + purpose)); return sum[:] }
	deps := module.Deps{Clock: s.clock, IDs: s.ids, Log: logger, Secret: secret, Call: network.Client, Store: e.db, Crash: crash.FromEnv()}
	if e.db != nil {
		deps.Box = outbox.New(e.db, "/marketing", s.clock, s.ids)
		s.source, s.close = deps.Box, e.db.Close
	}
	svc, err := marketing.New(marketing.Config{Reminders: reminders, ReminderLife: 24 * time.Hour, Mongo: e.mongo}, deps)
	if err != nil {
		t.Fatal(err)
	}
	if e.mongo != nil {
		s.source, s.close = svc.Source, e.mongo.Close
	}
	for _, m := range svc.Modules {
		switch m.Name {
		case "marketing.api":
			guard := idempotency.NewGuard(secret("idempotency"), auth.Name, httpx.WriteProblem)
			s.http = httpx.Service(logger, m.REST,
				httpx.WithMiddleware(auth.NewChecker(operatorToken, true).Middleware, guard.Middleware))
		case "marketing.worker":
			s.handler = m.Subscriptions[0].Handler
		case "marketing.tasks":
			s.loop = s.again(m.Tasks[0])
			if len(m.Tasks) > 1 {
				s.purge = s.again(m.Tasks[1])
			}
		}
	}
	return s
}

// again runs a task at its times, as a runner does that keeps no books.
func (s *service) again(task schedule.Task) func(context.Context) error {
	return func(ctx context.Context) error {
		for ctx.Err() == nil {
			res, err := task.Run(ctx)
			if err != nil && ctx.Err() == nil {
				return err
			}
			pause := task.Every
			if !res.Next.IsZero() {
				pause = min(pause, max(res.Next.Sub(s.clock.Now()), time.Millisecond))
			}
			_ = s.clock.Wait(ctx, pause)
		}
		return nil
	}
}

// answer is what came back over HTTP.
type answer struct {
	status int
	header http.Header
	text   string
}

func (a answer) field(t testing.TB, name string) any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.text), &m); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.text, err)
	}
	return m[name]
}

// broken gives "pointer rule" of every broken rule of a problem.
func (a answer) broken(t testing.TB) string {
	t.Helper()
	var p httpx.Problem
	if err := json.Unmarshal([]byte(a.text), &p); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.text, err)
	}
	var all []string
	for _, f := range p.Errors {
		all = append(all, f.Field+" "+f.Rule)
	}
	return strings.Join(all, ", ")
}

// send makes a request; headers are "Name: value".
func (s *service) send(method, path, body string, headers ...string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, r)
	text, _ := io.ReadAll(w.Result().Body)
	return answer{status: w.Code, header: w.Header(), text: string(text)}
}

const staff = "Authorization: Bearer " + operatorToken

func newLead(email, course string) string {
	body := map[string]any{"nome": "Ana Souza", "email": email, "telefone": "(11) 98765-4321", "origem": "site", "consentimento": true}
	if course != "" {
		body["cursoId"] = course
	}
	text, _ := json.Marshal(body)
	return string(text)
}

// register registers a lead and gives its id.
func (s *service) register(t testing.TB, email, course string) string {
	t.Helper()
	a := s.send("POST", "/v1/marketing/leads", newLead(email, course))
	if a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.text)
	}
	return a.field(t, "id").(string)
}

// state gives a lead's situacao.
func (s *service) state(t testing.TB, id string) any {
	t.Helper()
	a := s.send("GET", "/v1/marketing/leads/"+id, "", staff)
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.text)
	}
	return a.field(t, "situacao")
}

// published gives the events of one type that wait in the outbox.
func (s *service) published(t testing.TB, eventType string) []bus.Event {
	t.Helper()
	entries, err := s.source.Pending(t.Context(), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	var out []bus.Event
	for _, e := range entries {
		if e.Event.Type == eventType {
			out = append(out, e.Event)
		}
	}
	return out
}

// reminders gives the reminders that were published.
func (s *service) reminders(t testing.TB) []events.LembreteDevido {
	t.Helper()
	var out []events.LembreteDevido
	for _, e := range s.published(t, events.TypeLembreteDevido) {
		var r events.LembreteDevido
		if err := json.Unmarshal(e.Data, &r); err != nil {
			t.Fatal(err)
		}
		if e.Subject != r.LeadID {
			t.Errorf("a reminder of %s has subject %s", r.LeadID, e.Subject)
		}
		out = append(out, r)
	}
	return out
}

// pass runs the reminder loop until it goes to sleep, and gives for how long it would.
func (s *service) pass(t testing.TB) time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.loop(ctx) }()
	var pause time.Duration
	select {
	case pause = <-s.clock.asleep:
	case <-time.After(30 * time.Second):
		t.Fatal("the loop does not come to rest")
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return pause
}

// steered is a clock whose time is moved by hand, and on which long waits last
// until the waiter is cancelled.
type steered struct {
	clock.Shifted
	asleep chan time.Duration
	real   bool // long waits too are on the machine's clock
}

func (c *steered) Wait(ctx context.Context, d time.Duration) error {
	if c.real || d < 10*time.Millisecond { // a store's pause between two tries
		return c.Shifted.Wait(ctx, d)
	}
	select {
	case c.asleep <- d:
	case <-ctx.Done():
	}
	<-ctx.Done()
	return ctx.Err()
}

func confirmed(id, course, email, contact string) bus.Event {
	data, _ := json.Marshal(events.MatriculaConfirmada{MatriculaID: "m", AlunoID: "a", Curso: events.Curso{ID: course, Titulo: "Go"},
		Pessoa: events.Pessoa{Nome: "Ana", Email: email}, Contato: contact})
	return bus.Event{ID: id, Type: events.TypeMatriculaConfirmada, Subject: "a", Time: time.Now().UTC(), Data: data}
}

func want(t testing.TB, what string, got, wanted any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(wanted); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}
