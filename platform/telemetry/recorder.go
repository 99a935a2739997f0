package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"trama/platform/clock"
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

// DefaultRing is how many spans a process remembers when Options do not say.
const DefaultRing = 20_000

// What a span keeps at most: links, and bytes of one text.
const (
	maxLinks = 1000
	maxText  = 500
)

// Options are what a Recorder needs; all of it may be zero.
type Options struct {
	Service  string      // who records, until For says better; "trama" when empty
	Instance string      // this process, as it is told apart from others of the service
	Version  string      // of the program
	Clock    clock.Clock // when spans began; how long they took is the machine's business. Nil: clock.System
	OTLP     string      // base URL of a collector ("http://127.0.0.1:4318"), to which spans are sent; empty: nowhere
	Ring     int         // spans remembered for Trace; 0 means DefaultRing
	Logger   *slog.Logger
	// SampleRatio is the part of new traces that is sent to OTLP, from 0 to 1; 0
	// means all. A caller's own decision is kept. The memory takes every trace.
	SampleRatio float64
}

// Recorder takes spans and measurements of one process. A nil Recorder takes
// nothing and costs next to nothing, so nobody needs to ask whether there is
// one. It is safe for concurrent use.
type Recorder struct {
	*core
	service string
	tracer  trace.Tracer
	process bool // as Open gave it, for no service in particular
}

// core is what all Recorders of a process share.
type core struct {
	clock   clock.Clock
	ring    *ring
	spans   *sdktrace.TracerProvider
	metrics *metrics
}

// Open makes a process's Recorder. Close releases it.
func Open(o Options) (*Recorder, error) {
	if o.Service == "" {
		o.Service = "trama"
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Ring <= 0 {
		o.Ring = DefaultRing
	}
	if o.SampleRatio <= 0 || o.SampleRatio > 1 {
		o.SampleRatio = 1
	}
	about := resource.NewSchemaless(attribute.String("service.name", o.Service),
		attribute.String("service.instance.id", o.Instance), attribute.String("service.version", o.Version))
	c := &core{clock: o.Clock, ring: newRing(o.Ring, o.Instance)}
	limits := sdktrace.NewSpanLimits()
	limits.LinkCountLimit, limits.AttributeValueLengthLimit = maxLinks, maxText
	options := []sdktrace.TracerProviderOption{
		sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithResource(about),
		sdktrace.WithSampler(remembering{sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.SampleRatio))}),
		sdktrace.WithSpanProcessor(c.ring),
	}
	var err error
	if c.metrics, err = newMetrics(about, o.Logger); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	if o.OTLP != "" {
		exporter, err := newExporter(o.OTLP, o.Logger)
		if err != nil {
			return nil, fmt.Errorf("telemetry: %w", err)
		}
		options = append(options, sdktrace.WithBatcher(exporter))
	}
	c.spans = sdktrace.NewTracerProvider(options...)
	return &Recorder{core: c, service: o.Service, tracer: c.spans.Tracer(o.Service), process: true}, nil
}

// Close sends what is still to be sent and lets go, within ctx. What is recorded
// afterwards is lost.
func (r *Recorder) Close(ctx context.Context) error {
	if r == nil {
		return nil
	}
	return errors.Join(r.spans.Shutdown(ctx), r.metrics.provider.Shutdown(ctx))
}

// For gives a Recorder of the same process whose spans are those of a service,
// because one process may hold several. The spans of the one that Open gave
// belong to the service of the span above them, if that is of this process.
func (r *Recorder) For(service string) *Recorder {
	if r == nil {
		return nil
	}
	return &Recorder{core: r.core, service: service, tracer: r.spans.Tracer(service)}
}

// Service names who records; empty for a nil Recorder.
func (r *Recorder) Service() string {
	if r == nil {
		return ""
	}
	return r.service
}

// Trace gives the spans of a trace (32 hex digits) that this process remembers,
// and those of other traces that link to it, in order of their start.
func (r *Recorder) Trace(id string) []SpanRecord {
	if r == nil {
		return nil
	}
	return r.ring.trace(id)
}

// Handler shows the process's measurements in the text format of Prometheus.
func (r *Recorder) Handler() http.Handler {
	if r == nil {
		return http.NotFoundHandler()
	}
	return r.metrics.handler
}

// tracerOf gives the tracer for a span below the one of ctx.
func (r *Recorder) tracerOf(ctx context.Context) trace.Tracer {
	if r.process {
		if above, ok := trace.SpanFromContext(ctx).(sdktrace.ReadOnlySpan); ok {
			return r.spans.Tracer(above.InstrumentationScope().Name)
		}
	}
	return r.tracer
}

// remembering makes every span exist, because the ring wants it; a span that is
// not sampled is not exported.
type remembering struct{ sdktrace.Sampler }

// ShouldSample implements sdktrace.Sampler.
func (s remembering) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result := s.Sampler.ShouldSample(p)
	if result.Decision == sdktrace.Drop {
		result.Decision = sdktrace.RecordOnly
	}
	return result
}
