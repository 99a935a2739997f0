package rest

import (
	"context"
	"log/slog"
	"net/http"

	"trama/platform/fault"
	"trama/platform/httpx"
	"trama/platform/telemetry"
)

// answer remembers whether anything was sent.
type answer struct {
	http.ResponseWriter
	begun bool
}

type answerKey struct{}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(p)
}

// Unwrap gives the writer below to http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// fail answers with the problem of err. When the answer has begun, which only an
// export's does, the connection is cut: nobody may take half of one for the whole.
func fail(ctx context.Context, w http.ResponseWriter, r *http.Request, err error) {
	if a, ok := ctx.Value(answerKey{}).(*answer); ok && a.begun {
		if ctx.Err() == nil { // else the caller left
			f := fault.As(err)
			httpx.Logger(ctx).LogAttrs(ctx, slog.LevelError, "an answer broke off", slog.String("code", f.Code), slog.String("kind", f.Kind.String()),
				slog.Any("error", err), slog.String("trace_id", telemetry.TraceID(ctx)))
		}
		panic(http.ErrAbortHandler)
	}
	httpx.ErrorHandler(ctx, w, r, err)
}
