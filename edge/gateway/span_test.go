package gateway_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"trama/edge/gateway"
	"trama/platform/discovery"
	"trama/platform/httpx"
	"trama/platform/telemetry"
)

// TestOneTraceFromTheDoorToTheService sends a request to a service here and to
// one elsewhere; the way over the wire is one span more.
func TestOneTraceFromTheDoorToTheService(t *testing.T) {
	rec, err := telemetry.Open(telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rec.Close(context.Background()) })
	templates := httpx.Templates("POST /v1/marketing/leads/{id}")
	marketing := httpx.Service(slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/marketing/leads/9" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}), httpx.WithTelemetry(rec.For("marketing"), templates))
	up := httptest.NewServer(marketing)
	t.Cleanup(up.Close)

	name := " POST /v1/marketing/leads/{id}"
	for side, c := range map[string]struct {
		change func(*gateway.Deps)
		want   []string
	}{
		"inside": {func(d *gateway.Deps) { d.Local = func(string) http.Handler { return marketing } },
			[]string{"gateway server" + name, "marketing server" + name}},
		"outside": {func(d *gateway.Deps) { d.Resolver = discovery.Static(map[string][]string{"marketing": {up.URL}}) },
			[]string{"gateway server" + name, "gateway client POST marketing", "marketing server" + name}},
		"nowhere": {func(*gateway.Deps) {}, []string{"gateway server" + name, "gateway client POST marketing"}},
	} {
		t.Run(side, func(t *testing.T) {
			r := serve(t, gateway.Config{}, func(d *gateway.Deps) {
				d.Telemetry, d.Template = rec, templates
				c.change(d)
			})
			for path, failed := range map[string]bool{"/marketing/leads/1": side == "nowhere", "/v1/marketing/leads/9": true} {
				res, body := do(t, request(t, "POST", r.url+path, strings.NewReader("{}")))
				spans := rec.Trace(res.Header.Get("Traceresponse")[3:35])
				if len(spans) != len(c.want) {
					t.Fatalf("%d %s: %+v", res.StatusCode, body, spans)
				}
				above := ""
				for i, s := range spans {
					if got := s.Service + " " + s.Kind + " " + s.Name; got != c.want[i] || s.ParentID != above || s.Failed != failed {
						t.Errorf("%s, span %d is %q below %q, failed %v", path, i, got, s.ParentID, s.Failed)
					}
					above = s.SpanID
				}
			}
		})
	}
}

func TestProbesAndFilesAreNotRecorded(t *testing.T) {
	rec, err := telemetry.Open(telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rec.Close(context.Background()) })
	r := serve(t, gateway.Config{}, func(d *gateway.Deps) {
		d.Telemetry = rec
		d.Local = func(string) http.Handler { return http.NotFoundHandler() }
	})
	for path, want := range map[string]int{gateway.PathLive: 0, gateway.PathReady: 0, "/ativos/estilo.css": 0, "/cursos": 1} {
		res, _ := get(t, r.url+path)
		if spans := rec.Trace(res.Header.Get("Traceresponse")[3:35]); len(spans) != want {
			t.Errorf("%s is recorded as %+v", path, spans)
		}
	}
}
