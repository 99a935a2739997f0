package rest_test

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
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/contracts/rpc/operations/v1/operationsv1connect"
	"trama/platform/auth"
	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/sqlitebus"
	"trama/platform/call"
	"trama/platform/clock"
	"trama/platform/httpx"
	"trama/platform/id"
	"trama/platform/parking"
	"trama/services/operations/agent"
	"trama/services/operations/internal/app"
	"trama/services/operations/internal/rest"
)

// rig is the operators' API over three services with a store each.
type rig struct {
	t       *testing.T
	ids     id.Source
	bus     bus.Bus
	lots    map[string]*parking.Lot
	web     *httptest.Server
	silent  string       // service that does not answer
	letters atomic.Int64 // Letter calls that still work; the next one fails
}

const token = "segredo-de-operador"

var services = []string{"alfa", "beta", "gama"}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, lots: map[string]*parking.Lot{}, ids: id.New(clock.System{}, rand.Reader)}
	r.letters.Store(1 << 30)
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	var err error
	r.bus, err = sqlitebus.Open(t.Context(), sqlitebus.Options{Dir: filepath.Join(t.TempDir(), "bus"), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.bus.Close() })
	network := call.New(nowhere{})
	for _, s := range services {
		subs := []bus.Subscription{{Name: s + ".um", Types: []string{bustest.TypeA}}, {Name: s + ".dois", Types: []string{bustest.TypeA}, Rebuildable: true}}
		if err := r.bus.Declare(t.Context(), subs...); err != nil {
			t.Fatal(err)
		}
		r.lots[s] = bustest.NewLot(t)
		a := &agent.Agent{Subscriptions: subs, Bus: r.bus, Parking: r.lots[s], Clock: clock.System{}}
		network.Serve(s, a.Register)
	}
	handler, err := rest.New(&app.Operations{Services: services, Log: r.bus, Clock: clock.System{}, IDs: r.ids,
		Client: func(service string) operationsv1connect.OperationsServiceClient {
			if service == r.silent {
				service = "nenhum"
			}
			return failing{operationsv1connect.NewOperationsServiceClient(network.Client(service)), r}
		}})
	if err != nil {
		t.Fatal(err)
	}
	r.web = httptest.NewServer(httpx.Service(logger, auth.NewChecker(token, true).Middleware(handler)))
	r.web.Config.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
	t.Cleanup(r.web.Close)
	return r
}

type nowhere struct{}

func (nowhere) Resolve(context.Context, string) ([]string, error) { return nil, nil }

// failing is a client whose Letter stops working when the rig says so.
type failing struct {
	operationsv1connect.OperationsServiceClient
	r *rig
}

func (f failing) Letter(ctx context.Context, in *operationsv1.LetterRequest) (*operationsv1.LetterResponse, error) {
	if f.r.letters.Add(-1) < 0 {
		return nil, context.DeadlineExceeded
	}
	return f.OperationsServiceClient.Letter(ctx, in)
}

// dead parks n dead letters of a subscription, each of a subject of its own, and
// gives their ids.
func (r *rig) dead(subscription string, n int) (ids []string) {
	r.t.Helper()
	service, _, _ := strings.Cut(subscription, ".")
	for i := range n {
		e := bustest.NewEvent(r.ids, bustest.TypeA, fmt.Sprintf("%s-%d", subscription, i), 1)
		body, err := bus.Encode(e)
		if err != nil {
			r.t.Fatal(err)
		}
		r.park(service, subscription, bus.Letter{ID: e.ID, Subject: e.Subject, Body: body, Type: e.Type})
		ids = append(ids, e.ID)
	}
	return ids
}

func (r *rig) park(service, subscription string, l bus.Letter) {
	r.t.Helper()
	l.State = bus.Dead
	l.Note(bus.Attempt{At: time.Now(), Took: time.Millisecond, Kind: "invalid", Code: "veneno", Error: "poison"})
	if err := r.lots[service].Park(r.t.Context(), subscription, l); err != nil {
		r.t.Fatal(err)
	}
}

// do sends a request as the operator; body is sent as it is when it is a string.
func (r *rig) do(method, path string, body any) *http.Response {
	r.t.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			r.t.Fatal(err)
		}
		in = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.web.URL+"/v1/operacao/"+path, in)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// want sends a request that must be answered with status, and decodes the answer.
func (r *rig) want(status int, out any, method, path string, body any) {
	r.t.Helper()
	answer := r.do(method, path, body)
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status {
		r.t.Fatalf("%s %s: %d, want %d: %s %v", method, path, answer.StatusCode, status, text, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(text, out); err != nil {
		r.t.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
}

// refused sends a request that must be answered with a problem, and gives the
// fields it names.
func (r *rig) refused(status int, code, method, path string, body any) (fields []string) {
	r.t.Helper()
	var p httpx.Problem
	r.want(status, &p, method, path, body)
	if !strings.HasSuffix(p.Type, "/"+code) {
		r.t.Errorf("%s %s: problem %s, want %s", method, path, p.Type, code)
	}
	for _, f := range p.Errors {
		fields = append(fields, f.Field)
	}
	return fields
}
