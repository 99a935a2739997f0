package httpx

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"trama/platform/telemetry"
)

// errCutOff marks the span of an answer that broke off.
var errCutOff = errors.New("the answer broke off")

// Trace continues the caller's W3C trace (traceparent, tracestate) with a span
// id of its own, or begins one; package telemetry reads it from the context. The
// answer names the span in traceresponse (W3C Trace Context, level 2). A request
// whose context already has a span of this process continues that one.
func Trace(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := telemetry.Start(incoming(r))
		w.Header().Set("Traceresponse", telemetry.TraceParent(ctx))
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Traced is Trace that records: a server span named by method and route, and
// the histogram trama.http.server by service, route, method and class of status.
// An answer of 5xx counts as failed. Route gives a request's route template, or
// an empty string where it knows none; nil knows none at all. Files (GET of a
// name with an extension) that have no route are traced without a record. A nil
// recorder makes it Trace.
func Traced(rec *telemetry.Recorder, route func(*http.Request) string) Middleware {
	if rec == nil {
		return Trace
	}
	return func(next http.Handler) http.Handler {
		unrecorded := Trace(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			template := ""
			if route != nil {
				template = route(r)
			}
			if template == "" && isFile(r) {
				unrecorded.ServeHTTP(w, r)
				return
			}
			x := exchange{rec: rec, method: safeMethod(r.Method), route: template, begin: time.Now()}
			x.ctx, x.span = rec.Span(incoming(r), telemetry.Server, x.name(r), slog.String("http.request.method", x.method))
			answer := record(w)
			w.Header().Set("Traceresponse", telemetry.TraceParent(x.ctx))
			defer func() { x.end(answer.status) }()
			next.ServeHTTP(answer, r.WithContext(x.ctx))
			x.whole = true
		})
	}
}

// incoming gives the context of a request with its caller's trace.
func incoming(r *http.Request) context.Context {
	ctx := r.Context()
	if trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
}

func isFile(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && path.Ext(r.URL.Path) != ""
}

// exchange is one request and its answer while they are recorded.
type exchange struct {
	rec    *telemetry.Recorder
	ctx    context.Context
	span   *telemetry.Span
	method string
	route  string
	begin  time.Time
	whole  bool // the handler returned
}

// name is the span's. Without a route it keeps the words with which the path
// begins: an id would make every request a name of its own.
func (x *exchange) name(r *http.Request) string {
	if x.route != "" {
		return x.method + " " + x.route
	}
	segments := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 5)
	for i, s := range segments {
		if i == 4 || !plainSegment(s) {
			return x.method + " /" + strings.Join(append(segments[:i:i], "*"), "/")
		}
	}
	return x.method + " /" + strings.Join(segments, "/")
}

func (x *exchange) end(status int) {
	if status == 0 {
		status = http.StatusOK // what net/http sends when a handler writes nothing
	}
	var failed error
	switch {
	case !x.whole:
		failed = errCutOff
	case status >= http.StatusInternalServerError:
		failed = errors.New(strconv.Itoa(status) + " " + http.StatusText(status))
	}
	x.span.Set(slog.Int("http.response.status_code", status))
	x.span.End(failed)
	route := x.route
	if route == "" {
		route = "other"
	}
	x.rec.Seconds(x.ctx, "trama.http.server", time.Since(x.begin).Seconds(),
		slog.String("service", x.rec.Service()), slog.String("route", route), slog.String("method", x.method),
		slog.String("status", strconv.Itoa(status/100)+"xx"))
}

// Templates makes a function that gives the route template of a request, for
// Traced, from patterns of http.ServeMux ("GET /v1/marketing/leads/{id}"). It
// panics, as ServeMux does, when two of them contradict each other.
func Templates(patterns ...string) func(*http.Request) string {
	mux := http.NewServeMux()
	for _, p := range patterns {
		mux.Handle(p, http.NotFoundHandler())
	}
	return func(r *http.Request) string {
		_, pattern := mux.Handler(r)
		if method, template, ok := strings.Cut(pattern, " "); ok && method != "" {
			return template
		}
		return pattern
	}
}
