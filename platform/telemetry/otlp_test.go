package telemetry_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"trama/platform/telemetry"
)

func TestSampledSpansReachACollector(t *testing.T) {
	got := make(chan *tracepb.TracesData, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err != nil || r.URL.Path != "/base/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &data) != nil {
			t.Errorf("%s %s: %v", r.URL.Path, r.Header.Get("Content-Type"), err)
		}
		got <- &data
	}))
	defer collector.Close()
	r, err := telemetry.Open(telemetry.Options{Service: "trama", Instance: "p1", OTLP: collector.URL + "/base"})
	if err != nil {
		t.Fatal(err)
	}
	_, sampled := r.For("payments").Span(telemetry.WithTraceParent(t.Context(), remote), telemetry.Server, "POST /v1/x")
	sampled.End(nil)
	other := strings.Replace(remote, "4bf9", "0000", 1)
	quiet, unsampled := r.Span(telemetry.WithTraceParent(t.Context(), strings.TrimSuffix(other, "01")+"00"), telemetry.Server, "not sent")
	unsampled.End(nil)
	if len(r.Trace(telemetry.TraceID(quiet))) != 1 {
		t.Error("a trace that is not sampled is not remembered")
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(got)
	var names []string
	for data := range got {
		for _, rs := range data.GetResourceSpans() {
			if !strings.Contains(rs.GetResource().String(), "p1") {
				t.Errorf("the resource is %s", rs.GetResource())
			}
			for _, ss := range rs.GetScopeSpans() {
				for _, s := range ss.GetSpans() {
					names = append(names, ss.GetScope().GetName()+" "+s.GetName())
				}
			}
		}
	}
	if len(names) != 1 || names[0] != "payments POST /v1/x" {
		t.Errorf("the collector saw %q", names)
	}
}

func TestACollectorThatRefusesIsToldOnceAndHoldsNothingUp(t *testing.T) {
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	defer collector.Close()
	var log bytes.Buffer
	r, err := telemetry.Open(telemetry.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), OTLP: strings.Replace(collector.URL, "://", "://user:secret@", 1)})
	if err != nil {
		t.Fatal(err)
	}
	for range 600 { // more than one batch
		_, s := r.Span(t.Context(), telemetry.Internal, "x")
		s.End(nil)
	}
	if err := r.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "cannot be sent"); n != 1 || strings.Contains(log.String(), "secret") {
		t.Errorf("%d warnings: %s", n, &log)
	}
}

func TestAnAddressThatIsNone(t *testing.T) {
	for _, bad := range []string{"localhost:4318", "grpc://a:1", "http://", "::"} {
		if _, err := telemetry.Open(telemetry.Options{OTLP: bad}); err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:4318") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
