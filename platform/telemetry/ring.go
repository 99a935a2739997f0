package telemetry

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// SpanRecord is a span that has ended, as it is shown and passed on.
type SpanRecord struct {
	TraceID    string            `json:"traceId"`
	SpanID     string            `json:"spanId"`
	ParentID   string            `json:"parentId,omitempty"`
	Name       string            `json:"name"`
	Kind       string            `json:"kind"` // "internal", "server", "client", "producer", "consumer"
	Service    string            `json:"service"`
	Process    string            `json:"process"`
	Start      time.Time         `json:"start"`
	Duration   time.Duration     `json:"durationNanos"`
	Links      []SpanLink        `json:"links,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Failed     bool              `json:"failed,omitempty"`
	Error      string            `json:"error,omitempty"`
}

// SpanLink names a span that caused another one beside its parent.
type SpanLink struct {
	TraceID string `json:"traceId"`
	SpanID  string `json:"spanId"`
}

// linksPerSpan bounds the links in memory: a span of a batch has hundreds, and
// makes as much room for them as several others take.
const linksPerSpan = 5

// ring remembers the spans that ended last. Writing is one slot under a lock;
// reading goes over all of them, which for a person's question is soon enough
// and spares every request an index.
type ring struct {
	process string
	mu      sync.Mutex
	slots   []sdktrace.ReadOnlySpan
	next    int // the slot to write
	used    int // those before it that hold a span
	links   int // of all these spans
}

func newRing(size int, process string) *ring {
	return &ring{process: process, slots: make([]sdktrace.ReadOnlySpan, size)}
}

// OnEnd implements sdktrace.SpanProcessor: the oldest spans make room.
func (r *ring) OnEnd(s sdktrace.ReadOnlySpan) {
	size := len(r.slots)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.links += len(s.Links())
	for r.used == size || r.used > 0 && r.links > linksPerSpan*size {
		oldest := (r.next - r.used + size) % size
		r.links -= len(r.slots[oldest].Links())
		r.slots[oldest] = nil
		r.used--
	}
	r.slots[r.next] = s
	r.next = (r.next + 1) % size
	r.used++
}

// OnStart implements sdktrace.SpanProcessor.
func (r *ring) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// Shutdown implements sdktrace.SpanProcessor.
func (r *ring) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (r *ring) ForceFlush(context.Context) error { return nil }

func (r *ring) trace(hex string) []SpanRecord {
	id, err := trace.TraceIDFromHex(hex)
	if err != nil {
		return nil
	}
	links := func(l sdktrace.Link) bool { return l.SpanContext.TraceID() == id }
	var found []sdktrace.ReadOnlySpan
	r.mu.Lock()
	for _, s := range r.slots {
		if s != nil && (s.SpanContext().TraceID() == id || slices.ContainsFunc(s.Links(), links)) {
			found = append(found, s)
		}
	}
	r.mu.Unlock()
	out := make([]SpanRecord, len(found))
	for i, s := range found {
		out[i] = recordOf(s, r.process)
	}
	byStart(out)
	return out
}

func byStart(spans []SpanRecord) {
	slices.SortStableFunc(spans, func(a, b SpanRecord) int { return a.Start.Compare(b.Start) })
}

func recordOf(s sdktrace.ReadOnlySpan, process string) SpanRecord {
	sc := s.SpanContext()
	out := SpanRecord{
		TraceID: sc.TraceID().String(), SpanID: sc.SpanID().String(),
		Name: s.Name(), Kind: s.SpanKind().String(), Service: s.InstrumentationScope().Name, Process: process,
		Start: s.StartTime().UTC(), Duration: s.EndTime().Sub(s.StartTime()),
		Failed: s.Status().Code == codes.Error, Error: s.Status().Description,
	}
	if s.Parent().HasSpanID() {
		out.ParentID = s.Parent().SpanID().String()
	}
	for _, l := range s.Links() {
		out.Links = append(out.Links, SpanLink{TraceID: l.SpanContext.TraceID().String(), SpanID: l.SpanContext.SpanID().String()})
	}
	if attrs := s.Attributes(); len(attrs) > 0 {
		out.Attributes = make(map[string]string, len(attrs))
		for _, a := range attrs {
			out.Attributes[string(a.Key)] = a.Value.String()
		}
	}
	return out
}
