package httpx_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"trama/platform/fault"
	"trama/platform/httpx"
	"trama/platform/telemetry"
)

const caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// recorded is a handler behind the standard chain with a recorder.
func recorded(t *testing.T, h http.HandlerFunc) (http.Handler, *telemetry.Recorder) {
	t.Helper()
	rec, err := telemetry.Open(telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rec.Close(context.Background()) })
	return httpx.Service(slog.New(slog.DiscardHandler), h, httpx.WithTelemetry(rec.For("marketing"),
		httpx.Templates("GET /v1/marketing/leads/{id}", "POST /v1/marketing/leads"))), rec
}

func TestSpansAreNamedByRoute(t *testing.T) {
	for _, c := range []struct{ method, path, name, label string }{
		{"GET", "/v1/marketing/leads/0198", "GET /v1/marketing/leads/{id}", "/v1/marketing/leads/{id}"},
		{"HEAD", "/v1/marketing/leads/0198", "HEAD /v1/marketing/leads/{id}", "/v1/marketing/leads/{id}"},
		{"POST", "/v1/marketing/leads", "POST /v1/marketing/leads", "/v1/marketing/leads"},
		{"DELETE", "/v1/marketing/leads/0198", "DELETE /v1/marketing/leads/*", "other"},
		{"GET", "/cursos/ana@exemplo.br/x", "GET /cursos/*", "other"},
		{"GET", "/a/b/c/d/e/f", "GET /a/b/c/d/*", "other"},
		{"GET", "/", "GET /", "other"},
		{"MADEUP", "/x", "other /x", "other"},
	} {
		h, rec := recorded(t, func(http.ResponseWriter, *http.Request) {})
		do(h, c.method, c.path, "", "traceparent", caller)
		spans := rec.Trace("4bf92f3577b34da6a3ce929d0e0e4736")
		if len(spans) != 1 || spans[0].Name != c.name || spans[0].Kind != "server" || spans[0].Service != "marketing" || spans[0].ParentID != "00f067aa0ba902b7" {
			t.Errorf("%s %s: %+v", c.method, c.path, spans)
		}
		method, _, _ := strings.Cut(c.name, " ")
		series := `trama_http_server_seconds_count{method="` + method + `",route="` + c.label + `",service="marketing",status="2xx"} 1`
		if w := show(rec); !strings.Contains(w, series) {
			t.Errorf("no %s in %s", series, w)
		}
	}
}

func show(rec *telemetry.Recorder) string {
	w := httptest.NewRecorder()
	rec.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	return w.Body.String()
}

func TestFilesAreTracedWithoutARecord(t *testing.T) {
	h, rec := recorded(t, func(http.ResponseWriter, *http.Request) {})
	w, _ := do(h, "GET", "/ativos/estilo.css", "", "traceparent", caller)
	if !strings.HasPrefix(w.Header().Get("Traceresponse"), caller[:36]) || len(rec.Trace(caller[3:35])) != 0 || strings.Contains(show(rec), "trama_http") {
		t.Errorf("answered %q, recorded %v", w.Header().Get("Traceresponse"), rec.Trace(caller[3:35]))
	}
}

func TestTheSpanIsTheOneThatProblemsAndLogsName(t *testing.T) {
	for status, err := range map[int]error{
		500: errors.New("secret"), 503: fault.New(fault.Unavailable, "fora", fault.Text{}), 404: fault.New(fault.NotFound, "nada", fault.Text{}),
	} {
		var inside string
		h, rec := recorded(t, func(w http.ResponseWriter, r *http.Request) {
			inside = telemetry.TraceParent(r.Context())
			httpx.WriteProblem(w, r, err)
		})
		w, _ := do(h, "GET", "/x", "")
		var p httpx.Problem
		if json.Unmarshal(w.Body.Bytes(), &p) != nil || w.Code != status {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		spans := rec.Trace(p.TraceID)
		if len(spans) != 1 || inside != "00-"+p.TraceID+"-"+spans[0].SpanID+"-01" || w.Header().Get("Traceresponse") != inside {
			t.Fatalf("problem %s, in context %s, answered %s: %+v", p.TraceID, inside, w.Header().Get("Traceresponse"), spans)
		}
		s := spans[0]
		if s.Failed != (status >= 500) || strings.Contains(s.Error, "secret") || s.Attributes["problem"] != strings.TrimPrefix(p.Type, httpx.TypePrefix) {
			t.Errorf("%d gives %+v", status, s)
		}
	}
}

func TestAnAnswerThatBreaksOffFails(t *testing.T) {
	h, rec := recorded(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half"))
		panic(http.ErrAbortHandler)
	})
	func() {
		defer func() { _ = recover() }()
		do(h, "GET", "/x", "", "traceparent", caller)
	}()
	if spans := rec.Trace(caller[3:35]); len(spans) != 1 || !spans[0].Failed {
		t.Errorf("recorded %+v", spans)
	}
}
