package gateway

import (
	"errors"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/propagation"

	"trama/platform/telemetry"
)

// template gives the route template of a client's request, as the service that
// gets it names it; empty when there is none.
func (g *Gateway) template(r *http.Request) string {
	if g.deps.Template == nil {
		return ""
	}
	m, err := g.table.Match(r.URL)
	if err != nil {
		return ""
	}
	in, u := *r, *r.URL
	u.Path, u.RawPath = m.Path, m.RawPath
	in.URL = &u
	return g.deps.Template(&in)
}

// traced makes a client span of every request that next sends, from the choice
// of an address to the answer's header. The service sees that span as its parent.
func traced(service string, rec *telemetry.Recorder, next http.RoundTripper) http.RoundTripper {
	if rec == nil {
		return next
	}
	rec = rec.For("gateway")
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		ctx, span := rec.Span(r.Context(), telemetry.Client, r.Method+" "+service)
		out := r.WithContext(ctx) // the header is the proxy's own copy already
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(out.Header))
		res, err := next.RoundTrip(out)
		failed := err
		if err == nil {
			span.Set(slog.Int("http.response.status_code", res.StatusCode))
			if res.StatusCode >= http.StatusInternalServerError {
				failed = errors.New(res.Status)
			}
		}
		span.End(failed)
		return res, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
