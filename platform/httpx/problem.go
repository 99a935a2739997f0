package httpx

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"trama/platform/fault"
	"trama/platform/telemetry"
)

// TypePrefix stands before a fault's code in a problem's type URI; the page
// there explains the problem.
const TypePrefix = "/problemas/"

// ContentType is the media type of problems.
const ContentType = "application/problem+json"

// Retry-After when a fault does not say better.
const (
	defaultRetryUnavailable = 2 * time.Second
	defaultRetryExhausted   = 1 * time.Second
)

// Problem is the body of an answer that is not a success (RFC 9457).
type Problem struct {
	Type     string         `json:"type"`
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail,omitempty"`
	Instance string         `json:"instance,omitempty"`
	Errors   []ProblemField `json:"erros,omitempty"`
	TraceID  string         `json:"traceId,omitempty"`
}

// ProblemField is one broken rule of one field.
type ProblemField struct {
	Field   string `json:"campo"` // JSON pointer, "?name" for a query parameter, or a header's name
	Rule    string `json:"regra"`
	Message string `json:"mensagem"`
}

// NewProblem gives the problem of a fault in lang ("pt" or "en"), without what
// belongs to the request.
func NewProblem(f *fault.Error, lang string) Problem {
	status := Status(f)
	p := Problem{
		Type: TypePrefix + f.Code, Title: title(status).In(lang), Status: status, Detail: f.Text.In(lang),
	}
	for _, field := range f.Fields {
		p.Errors = append(p.Errors, ProblemField{Field: field.Pointer, Rule: field.Rule, Message: field.Text.In(lang)})
	}
	return p
}

// WriteProblem answers with the problem of err. Any error is accepted: faults,
// errors of generated servers, anything else (500). It logs the cause of a 5xx.
// Nothing may have been written to w; headers already set stay, except those
// that describe a body.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	ctx := r.Context()
	f := toFault(ctx, err)
	lang := Lang(r)
	p := NewProblem(f, lang)
	p.Instance = r.URL.EscapedPath()
	p.TraceID = telemetry.TraceID(ctx)
	telemetry.Annotate(ctx, slog.String("problem", f.Code))
	if p.Status >= 500 {
		logFailure(r, f, err)
	}

	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "ETag", "Last-Modified", "Location", "Link"} {
		h.Del(name)
	}
	h.Set("Content-Type", ContentType)
	h.Set("Content-Language", langTag(lang))
	h.Add("Vary", "Accept-Language")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if after := retryAfter(f); after > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((after+time.Second-1)/time.Second), 10))
	}
	if p.Status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", challenge(r))
	}
	body, encodeErr := json.Marshal(p)
	if encodeErr != nil { // strings and ints only: cannot happen, and must not panic while reporting
		body = []byte(`{"type":"about:blank","status":500}`)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // the caller may be gone; there is nobody left to tell
}

// toFault reduces any error to the fault that may be shown.
func toFault(ctx context.Context, err error) *fault.Error {
	var tooLarge *http.MaxBytesError
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &tooLarge):
		return ErrBodyTooLarge
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ErrBodyBroken.Wrap(err)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return ErrGone.Wrap(err)
	}
	if f := fromOgen(err); f != nil {
		return f
	}
	return fault.As(err)
}

func retryAfter(f *fault.Error) time.Duration {
	switch {
	case f.RetryAfter > 0:
		return f.RetryAfter
	case f.Kind == fault.Unavailable:
		return defaultRetryUnavailable
	case f.Kind == fault.Exhausted:
		return defaultRetryExhausted
	}
	return 0
}

// challenge is the WWW-Authenticate value (RFC 6750, section 3): a caller that
// sent credentials is told that they are the reason.
func challenge(r *http.Request) string {
	if r.Header.Get("Authorization") != "" {
		return `Bearer realm="trama", error="invalid_token"`
	}
	return `Bearer realm="trama"`
}

func logFailure(r *http.Request, f *fault.Error, err error) {
	level := slog.LevelError
	switch {
	case f.Code == ErrGone.Code:
		level = slog.LevelInfo
	case f.Kind.Transient():
		level = slog.LevelWarn
	}
	Logger(r.Context()).LogAttrs(r.Context(), level, "request failed",
		slog.String("code", f.Code), slog.String("kind", f.Kind.String()),
		slog.String("method", r.Method), slog.String("path", safePath(r.URL.Path)),
		slog.String("trace_id", telemetry.TraceID(r.Context())), slog.String("request_id", RequestIDOf(r.Context())),
		slog.String("cause", err.Error()))
}
