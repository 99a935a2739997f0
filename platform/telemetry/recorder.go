package telemetry

import (
	"context"
	"log/slog"
)

// Kind is a span's place in a conversation, as in OpenTelemetry.
type Kind int

// The kinds.
const (
	Internal Kind = iota
	Server
	Client
	Producer
	Consumer
)

// Recorder takes spans and measurements. A nil Recorder takes nothing and costs
// next to nothing, so nobody needs to ask whether there is one.
type Recorder struct{}

// Span is one timed piece of work.
type Span struct{}

// Span begins a span under the one of ctx (its parent, also when that came from
// another process by WithTraceParent). The context carries it on.
func (r *Recorder) Span(ctx context.Context, kind Kind, name string, attrs ...slog.Attr) (context.Context, *Span) {
	return ctx, nil
}

// Link ties the span to the one of a traceparent that is not its parent: the
// events of a batch.
func (s *Span) Link(traceparent string) {}

// Set adds attributes.
func (s *Span) Set(attrs ...slog.Attr) {}

// End ends the span; err marks it as failed.
func (s *Span) End(err error) {}

// Add adds n to a counter ("trama.bus.retries"; the unit is the thing counted).
func (r *Recorder) Add(ctx context.Context, counter string, n int64, labels ...slog.Attr) {}

// Seconds adds a duration to a histogram ("trama.bus.handling").
func (r *Recorder) Seconds(ctx context.Context, histogram string, seconds float64, labels ...slog.Attr) {
}

// Observe makes read be called whenever somebody looks at the gauge; it reports
// each value with its labels.
func (r *Recorder) Observe(gauge string, read func(ctx context.Context, report func(value float64, labels ...slog.Attr))) {
}
