package httpx

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/propagation"
)

// RequestIDHeader carries the request's id in both directions.
const RequestIDHeader = "X-Request-Id"

// maxRequestID is the longest request id taken from a caller, in bytes.
const maxRequestID = 128

type requestIDKey struct{}

// RequestID takes the caller's X-Request-Id when it is sane (1 to 128 of
// letters, digits, '.', '_', '-'), else makes one; it is in the context and in
// the answer.
func RequestID(newID func() string) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id := RequestIDOf(r.Context()) // another chain in this process was first
			if id == "" {
				id = r.Header.Get(RequestIDHeader)
			}
			if !saneRequestID(id) {
				id = newID()
			}
			w.Header().Set(RequestIDHeader, id)
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
		})
	}
}

// RequestIDOf gives the request's id; empty when RequestID did not run.
func RequestIDOf(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

func saneRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// Outgoing makes a client's requests carry the trace and the request id of
// their context.
func Outgoing(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		propagation.TraceContext{}.Inject(r.Context(), propagation.HeaderCarrier(r.Header))
		if id := RequestIDOf(r.Context()); id != "" {
			r.Header.Set(RequestIDHeader, id)
		}
		return next.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
