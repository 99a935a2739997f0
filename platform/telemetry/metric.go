package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
)

// maxSeries bounds the label combinations of one measurement; what is beyond is
// added up under otel_metric_overflow.
const maxSeries = 2000

// metrics is the measurements of one process.
type metrics struct {
	provider   *sdkmetric.MeterProvider
	meter      metric.Meter
	handler    http.Handler
	log        *slog.Logger
	counters   sync.Map // name → metric.Int64Counter
	histograms sync.Map // name → metric.Float64Histogram
	gauges     sync.Map // name → metric.Float64ObservableGauge
}

func newMetrics(about *resource.Resource, log *slog.Logger) (*metrics, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := promexporter.New(promexporter.WithRegisterer(registry), promexporter.WithoutScopeInfo())
	if err != nil {
		return nil, err
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(about),
		sdkmetric.WithCardinalityLimit(maxSeries), sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter)) // the text format has none
	return &metrics{
		provider: provider, meter: provider.Meter("trama"), log: log,
		handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{
			ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelWarn),
			ErrorHandling: promhttp.ContinueOnError,
		}),
	}, nil
}

// Add adds n to a counter ("trama.bus.retries"; the unit is the thing counted).
func (r *Recorder) Add(ctx context.Context, counter string, n int64, labels ...slog.Attr) {
	if r == nil {
		return
	}
	c, ok := r.metrics.counters.Load(counter)
	if !ok {
		made, err := r.metrics.meter.Int64Counter(counter)
		c = r.metrics.keep(&r.metrics.counters, counter, made, err)
	}
	c.(metric.Int64Counter).Add(ctx, n, metric.WithAttributes(attributes(labels)...))
}

// Seconds adds a duration to a histogram ("trama.bus.handling").
func (r *Recorder) Seconds(ctx context.Context, histogram string, seconds float64, labels ...slog.Attr) {
	if r == nil {
		return
	}
	h, ok := r.metrics.histograms.Load(histogram)
	if !ok {
		made, err := r.metrics.meter.Float64Histogram(histogram, metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(
			.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600))
		h = r.metrics.keep(&r.metrics.histograms, histogram, made, err)
	}
	h.(metric.Float64Histogram).Record(ctx, seconds, metric.WithAttributes(attributes(labels)...))
}

// Observe makes read be called whenever somebody looks at the gauge; it reports
// each value with its labels. Several may observe one gauge, with different
// labels. read is called until Close.
func (r *Recorder) Observe(gauge string, read func(ctx context.Context, report func(value float64, labels ...slog.Attr))) {
	if r == nil {
		return
	}
	g, ok := r.metrics.gauges.Load(gauge)
	if !ok {
		made, err := r.metrics.meter.Float64ObservableGauge(gauge)
		g = r.metrics.keep(&r.metrics.gauges, gauge, made, err)
	}
	observable := g.(metric.Float64ObservableGauge)
	_, err := r.metrics.meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		read(ctx, func(value float64, labels ...slog.Attr) {
			o.ObserveFloat64(observable, value, metric.WithAttributes(attributes(labels)...))
		})
		return nil
	}, observable)
	if err != nil {
		r.metrics.log.Warn("telemetry: a gauge cannot be observed", "gauge", gauge, "error", err)
	}
}

// keep remembers an instrument under its name. One with a bad name is told once
// and works nevertheless.
func (m *metrics) keep(instruments *sync.Map, name string, made any, err error) any {
	kept, there := instruments.LoadOrStore(name, made)
	if err != nil && !there {
		m.log.Warn("telemetry: a bad name for a measurement", "name", name, "error", err)
	}
	return kept
}
