package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"trama/platform/fault"
)

// sameClock is how far a clock that counts whole milliseconds may be from the
// machine's and be the same.
const sameClock = 5 * time.Millisecond

// Span is one timed piece of work. A nil Span takes nothing.
type Span struct {
	span  trace.Span
	begin time.Time // by the machine
	told  time.Time // by a clock that tells another time; zero when it does not
}

// Span begins a span under the one of ctx (its parent, also when that came from
// another process by WithTraceParent). The context carries it on. A nil Recorder
// gives ctx as it is.
func (r *Recorder) Span(ctx context.Context, kind Kind, name string, attrs ...slog.Attr) (context.Context, *Span) {
	if r == nil {
		return ctx, nil
	}
	s := &Span{begin: time.Now()}
	options := append(make([]trace.SpanStartOption, 0, 3), trace.WithSpanKind(kind.otel()))
	if len(attrs) > 0 {
		options = append(options, trace.WithAttributes(attributes(attrs)...))
	}
	if shift := r.clock.Now().Sub(s.begin); shift.Abs() > sameClock {
		s.told = s.begin.Add(shift)
		options = append(options, trace.WithTimestamp(s.told))
	}
	ctx, s.span = r.tracerOf(ctx).Start(ctx, name, options...)
	return ctx, s
}

// Step begins an internal span if there is one above it in this process that is
// being recorded: what background work does all day is no trace of its own.
func (r *Recorder) Step(ctx context.Context, name string, attrs ...slog.Attr) (context.Context, *Span) {
	if r == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, nil
	}
	return r.Span(ctx, Internal, name, attrs...)
}

// Link ties the span to the one of a traceparent that is not its parent: the
// events of a batch. What is no traceparent is left out.
func (s *Span) Link(traceparent string) {
	if s == nil {
		return
	}
	if sc := trace.SpanContextFromContext(WithTraceParent(context.Background(), traceparent)); sc.IsValid() {
		s.span.AddLink(trace.Link{SpanContext: sc})
	}
}

// Set adds attributes.
func (s *Span) Set(attrs ...slog.Attr) {
	if s != nil {
		s.span.SetAttributes(attributes(attrs)...)
	}
}

// End ends the span; err marks it as failed. Once ended it does not change.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		text := err.Error()
		s.span.SetStatus(codes.Error, text[:min(len(text), maxText)])
		var f *fault.Error
		if errors.As(err, &f) {
			s.span.SetAttributes(attribute.String("fault", f.Code))
		}
	}
	if s.told.IsZero() {
		s.span.End() // measures by the machine
		return
	}
	s.span.End(trace.WithTimestamp(s.told.Add(time.Since(s.begin))))
}

// Finish ends the span of work whose error may be a plain answer, like "not
// found": only faults that a 5xx stands for mark it as failed, others are noted.
func (s *Span) Finish(err error) {
	if s == nil {
		return
	}
	if f := fault.As(err); err != nil && f.Kind.Status() < 500 {
		s.Set(slog.String("fault", f.Code))
		err = nil
	}
	s.End(err)
}

// Annotate adds attributes to the span of ctx, if one is being recorded.
func Annotate(ctx context.Context, attrs ...slog.Attr) {
	if s := trace.SpanFromContext(ctx); s.IsRecording() {
		s.SetAttributes(attributes(attrs)...)
	}
}

func (k Kind) otel() trace.SpanKind {
	switch k {
	case Server:
		return trace.SpanKindServer
	case Client:
		return trace.SpanKindClient
	case Producer:
		return trace.SpanKindProducer
	case Consumer:
		return trace.SpanKindConsumer
	default:
		return trace.SpanKindInternal
	}
}

// attributes copies attrs. Nothing of the slice itself may be kept: that is what
// lets callers of a nil Recorder leave it on their stack.
func attributes(attrs []slog.Attr) []attribute.KeyValue {
	if len(attrs) == 0 {
		return nil
	}
	out := make([]attribute.KeyValue, len(attrs))
	for i, a := range attrs {
		key := attribute.Key(a.Key)
		switch a.Value.Kind() {
		case slog.KindInt64:
			out[i] = key.Int64(a.Value.Int64())
		case slog.KindBool:
			out[i] = key.Bool(a.Value.Bool())
		case slog.KindFloat64:
			out[i] = key.Float64(a.Value.Float64())
		default:
			out[i] = key.String(a.Value.String())
		}
	}
	return out
}
