package httpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"trama/platform/fault"
	"trama/platform/id"
	"trama/platform/telemetry"
)

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int // 0 until something was written
	bytes  int64
}

func record(w http.ResponseWriter) *recorder {
	if rec, ok := w.(*recorder); ok {
		return rec
	}
	return &recorder{ResponseWriter: w}
}

// WriteHeader implements http.ResponseWriter; informational answers do not count.
func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 && status >= 200 {
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (rec *recorder) Write(p []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	n, err := rec.ResponseWriter.Write(p)
	rec.bytes += int64(n)
	return n, err
}

// ReadFrom keeps the fast path of files and proxied bodies.
func (rec *recorder) ReadFrom(src io.Reader) (int64, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	n, err := io.Copy(rec.ResponseWriter, src)
	rec.bytes += n
	return n, err
}

// Unwrap gives the writer below to http.ResponseController.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

type loggedKey struct{}

// AccessLog writes one line per request after its end: method, path without
// anything personal, status, bytes, duration, ids. Queries are never logged. Of
// several access logs around one request, the outermost writes.
func AccessLog(now func() time.Time) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Context().Value(loggedKey{}) != nil {
				next.ServeHTTP(w, r)
				return
			}
			rec := record(w)
			r = r.WithContext(context.WithValue(r.Context(), loggedKey{}, true))
			path, begin := safePath(r.URL.Path), now() // before anybody rewrites the path
			defer func() {
				status := rec.status
				if status == 0 {
					status = http.StatusOK // what net/http sends when a handler writes nothing
				}
				ctx := r.Context()
				Logger(ctx).LogAttrs(ctx, slog.LevelInfo, "request",
					slog.String("method", safeMethod(r.Method)), slog.String("path", path), slog.Int("status", status),
					slog.Int64("bytes", rec.bytes), slog.Duration("took", now().Sub(begin)),
					slog.String("trace_id", telemetry.TraceID(ctx)), slog.String("request_id", RequestIDOf(ctx)))
			}()
			next.ServeHTTP(rec, r)
		})
	}
}

// Recover turns a panic into a 500 problem and one log line with the stack. When
// the answer has begun, the connection is cut instead, so that the caller does
// not take half an answer for a whole one.
func Recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := record(w)
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			ctx := r.Context()
			if rec.status != 0 {
				Logger(ctx).LogAttrs(ctx, slog.LevelError, "panic after the answer began",
					slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())),
					slog.String("trace_id", telemetry.TraceID(ctx)))
				panic(http.ErrAbortHandler)
			}
			WriteProblem(rec, r, fault.As(fmt.Errorf("panic: %v\n%s", p, debug.Stack())))
		}()
		next.ServeHTTP(rec, r)
	})
}

// safePath keeps of a path what cannot be personal: words of lower-case letters
// and hyphens, versions, and UUIDs. Anything else is "*".
func safePath(path string) string {
	if len(path) > 512 {
		return "/*"
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if !plainSegment(s) && !id.Valid(s) {
			segments[i] = "*"
		}
	}
	return strings.Join(segments, "/")
}

func plainSegment(s string) bool {
	if len(s) > 40 {
		return false
	}
	if len(s) > 1 && s[0] == 'v' && strings.Trim(s[1:], "0123456789") == "" {
		return true
	}
	name, ext, _ := strings.Cut(s, ".")
	for _, c := range []byte(name + ext) {
		if (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return true
}

// safeMethod keeps a caller from writing whatever it likes into the log.
func safeMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE":
		return method
	}
	return "other"
}
