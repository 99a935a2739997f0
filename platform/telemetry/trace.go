// Package telemetry owns what makes a request or event followable: the W3C
// trace context that travels with it, the spans of this process, its
// measurements, and the picture of one trace.
//
// Promises:
//
//   - A nil Recorder and a nil Span take everything and do nothing, without
//     allocating; nobody asks whether there is one.
//   - A process remembers the spans that ended last, a bounded number, so that a
//     trace can be looked at with no other software (Trace, Gather, Waterfall).
//     With Options.OTLP they are sent to a collector too; a slow or absent one
//     holds nothing up, and spans are lost then.
//   - Measurements carry the labels that callers give and no others. A label has
//     a bounded number of values: no ids. Beyond 2,000 combinations of one
//     measurement the rest is added up in one.
//
// It is built on the SDK of OpenTelemetry, without its globals.
package telemetry

import (
	"context"
	"crypto/rand"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// TraceID gives the trace id of ctx as 32 hex digits; empty when there is none.
func TraceID(ctx context.Context) string {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.HasTraceID() {
		return ""
	}
	return sc.TraceID().String()
}

// TraceParent gives the traceparent header value of ctx; empty when there is none.
func TraceParent(ctx context.Context) string {
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	return c["traceparent"]
}

// WithTraceParent gives ctx the remote span context of a traceparent value. A
// missing or broken value leaves ctx as it is.
func WithTraceParent(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

// Start continues the trace of ctx with a new span id, or begins a trace. The
// new trace is marked as sampled.
func Start(ctx context.Context) context.Context {
	parent := trace.SpanContextFromContext(ctx)
	cfg := trace.SpanContextConfig{TraceID: parent.TraceID(), TraceFlags: parent.TraceFlags(), TraceState: parent.TraceState()}
	if !parent.HasTraceID() {
		fill(cfg.TraceID[:])
		cfg.TraceFlags = trace.FlagsSampled
	}
	fill(cfg.SpanID[:])
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(cfg))
}

func fill(b []byte) {
	_, _ = rand.Read(b) // crypto/rand.Read never fails (Go 1.24)
}
