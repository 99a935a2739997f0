package telemetry_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"trama/platform/clock"
	"trama/platform/fault"
	"trama/platform/telemetry"
)

const (
	remoteTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	remoteSpan  = "00f067aa0ba902b7"
	remote      = "00-" + remoteTrace + "-" + remoteSpan + "-01"
)

// open makes a Recorder that the test closes.
func open(t testing.TB, o telemetry.Options) *telemetry.Recorder {
	t.Helper()
	r, err := telemetry.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestSpansOfOneTrace(t *testing.T) {
	r := open(t, telemetry.Options{Service: "trama", Instance: "p1"})
	ctx, server := r.For("payments").Span(telemetry.WithTraceParent(t.Context(), remote), telemetry.Server, "POST /v1/x",
		slog.String("s", "v"), slog.Int("i", 7), slog.Bool("b", true), slog.Float64("f", 0.5), slog.Duration("d", time.Second))
	if got := telemetry.TraceID(ctx); got != remoteTrace {
		t.Fatalf("the trace id is %s", got)
	}
	child, inner := r.Span(ctx, telemetry.Client, "call")
	telemetry.Annotate(child, slog.String("note", "n"))
	inner.Link("00-" + strings.Repeat("a", 32) + "-" + strings.Repeat("b", 16) + "-01")
	inner.Link("nonsense")
	inner.Set(slog.Int("tries", 2))
	broken := fault.New(fault.Unavailable, "fora-do-ar", fault.Text{EN: "down"})
	inner.End(broken)
	server.End(nil)
	server.End(errors.New("too late"))

	spans := r.Trace(remoteTrace)
	if len(spans) != 2 {
		t.Fatalf("%d spans: %+v", len(spans), spans)
	}
	top, below := spans[0], spans[1]
	if top.ParentID != remoteSpan || top.Name != "POST /v1/x" || top.Kind != "server" || top.Service != "payments" || top.Process != "p1" || top.Failed {
		t.Errorf("the server span is %+v", top)
	}
	for key, want := range map[string]string{"s": "v", "i": "7", "b": "true", "f": "0.5", "d": "1s"} {
		if top.Attributes[key] != want {
			t.Errorf("attribute %s is %q, want %q", key, top.Attributes[key], want)
		}
	}
	if below.ParentID != top.SpanID || below.Kind != "client" || below.Service != "payments" {
		t.Errorf("the client span is %+v below %s", below, top.SpanID)
	}
	if !below.Failed || below.Error != broken.Error() || below.Attributes["fault"] != "fora-do-ar" || below.Attributes["note"] != "n" || below.Attributes["tries"] != "2" {
		t.Errorf("the failed span is %+v", below)
	}
	if len(below.Links) != 1 || below.Links[0].SpanID != strings.Repeat("b", 16) {
		t.Errorf("links %+v", below.Links)
	}
	if got := r.Trace(strings.Repeat("a", 32)); len(got) != 1 || got[0].SpanID != below.SpanID {
		t.Errorf("the trace that was linked to shows %+v", got)
	}
}

func TestBrokenTraceContextBeginsATrace(t *testing.T) {
	r := open(t, telemetry.Options{})
	for _, tp := range []string{"", "nonsense", "00-" + strings.Repeat("0", 32) + "-" + remoteSpan + "-01", "ff-" + remoteTrace + "-" + remoteSpan + "-01", remote[:40]} {
		ctx, s := r.Span(telemetry.WithTraceParent(t.Context(), tp), telemetry.Server, "x")
		s.End(nil)
		id := telemetry.TraceID(ctx)
		if spans := r.Trace(id); id == remoteTrace || len(spans) != 1 || spans[0].ParentID != "" {
			t.Errorf("%q: trace %s, %+v", tp, id, spans)
		}
	}
	if r.Trace("nonsense") != nil {
		t.Error("what is no trace id has a trace")
	}
}

func TestTheOldestSpanMakesRoom(t *testing.T) {
	r := open(t, telemetry.Options{Ring: 3})
	ctx := telemetry.WithTraceParent(t.Context(), remote)
	for _, name := range []string{"1", "2", "3", "4", "5"} {
		_, s := r.Span(ctx, telemetry.Internal, name)
		s.End(nil)
	}
	names := ""
	for _, s := range r.Trace(remoteTrace) {
		names += s.Name
	}
	if names != "345" {
		t.Errorf("remembered %s", names)
	}
}

func TestTheSpansOfBatchesTakeMoreRoom(t *testing.T) {
	r := open(t, telemetry.Options{Ring: 10})
	ctx := telemetry.WithTraceParent(t.Context(), remote)
	for range 5 {
		_, s := r.Span(ctx, telemetry.Consumer, "batch")
		for range 20 {
			s.Link(remote)
		}
		s.End(nil)
	}
	if n := len(r.Trace(remoteTrace)); n != 2 {
		t.Errorf("%d spans with 20 links each are remembered; 10 spans may have 50", n)
	}
}

func TestTheClockSaysWhenAndTheMachineHowLong(t *testing.T) {
	c := &clock.Shifted{}
	c.Jump(8 * 24 * time.Hour)
	r := open(t, telemetry.Options{Clock: c})
	ctx, s := r.Span(t.Context(), telemetry.Internal, "x")
	c.Jump(-time.Hour)
	s.End(nil)
	got := r.Trace(telemetry.TraceID(ctx))[0]
	if ahead := time.Until(got.Start); ahead < 7*24*time.Hour || got.Duration < 0 || got.Duration > time.Minute {
		t.Errorf("began %s ahead, took %s", ahead, got.Duration)
	}
}

func TestNilTakesEverythingForNothing(t *testing.T) {
	var r *telemetry.Recorder
	ctx := telemetry.Start(t.Context())
	n := testing.AllocsPerRun(100, func() {
		got, s := r.Span(ctx, telemetry.Server, "x", slog.String("a", "b"), slog.Int("c", 1))
		if got != ctx || s != nil {
			t.Error("a nil Recorder made something")
		}
		_, s = r.Step(ctx, "x", slog.String("a", "b"))
		s.Link(remote)
		s.Set(slog.String("a", "b"))
		s.End(io.EOF)
		r.Add(ctx, "c", 1, slog.String("a", "b"))
		r.Seconds(ctx, "h", 1, slog.String("a", "b"))
		telemetry.Annotate(ctx, slog.String("a", "b"))
		r.For("x").Observe("g", nil)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 404 || r.Trace(remoteTrace) != nil || r.Service() != "" || r.Close(ctx) != nil {
		t.Error("a nil Recorder shows something")
	}
}

func TestMeasurementsAreShown(t *testing.T) {
	r := open(t, telemetry.Options{Service: "trama", Instance: "p1"})
	r.Add(t.Context(), "trama.bus.retries", 2, slog.String("subscription", "a"))
	r.Add(t.Context(), "trama.bus.retries", 3, slog.String("subscription", "a"))
	r.Seconds(t.Context(), "trama.bus.handling", 0.02, slog.String("subscription", "a"))
	for _, who := range []string{"a", "b"} {
		r.Observe("trama.bus.backlog", func(_ context.Context, report func(float64, ...slog.Attr)) {
			report(4, slog.String("subscription", who))
		})
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{
		`trama_bus_retries_total{subscription="a"} 5`,
		`trama_bus_handling_seconds_bucket{subscription="a",le="0.025"} 1`,
		`trama_bus_handling_seconds_bucket{subscription="a",le="0.01"} 0`,
		`trama_bus_backlog{subscription="a"} 4`,
		`trama_bus_backlog{subscription="b"} 4`,
		`go_goroutines `,
	} {
		if !strings.Contains(w.Body.String(), "\n"+line) {
			t.Errorf("no %s in\n%s", line, w.Body)
		}
	}
}

func BenchmarkSpan(b *testing.B) {
	r := open(b, telemetry.Options{})
	for name, rec := range map[string]*telemetry.Recorder{"nil": nil, "ring": r} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, s := rec.Span(b.Context(), telemetry.Server, "GET /v1/x", slog.String("http.request.method", "GET"))
				s.End(nil)
			}
		})
	}
}

func BenchmarkSeconds(b *testing.B) {
	r := open(b, telemetry.Options{})
	b.ReportAllocs()
	for b.Loop() {
		r.Seconds(b.Context(), "trama.bus.handling", 0.1, slog.String("subscription", "a"))
	}
}

func BenchmarkTraceOfAFullRing(b *testing.B) {
	r := open(b, telemetry.Options{})
	for range telemetry.DefaultRing {
		_, s := r.Span(b.Context(), telemetry.Server, "GET /v1/x")
		s.End(nil)
	}
	for b.Loop() {
		r.Trace(remoteTrace)
	}
}
