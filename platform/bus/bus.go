// Package bus is the port through which services tell each other facts.
//
// Promises, kept by every driver (the suite in bustest proves them):
//
//   - Publish returns nil only when every event is on disk (fsync) or confirmed
//     by a quorum. An error means that some may be stored: publish the same
//     events again; their ids make repetition harmless.
//   - A subscription is durable and named. From the moment it is declared, it
//     receives every event of its types, also those published while nobody was
//     listening. Several consumers of one name share its events.
//   - Delivery is at least once. Together with an inbox row in the handler's own
//     transaction (package outbox) each event has exactly one effect.
//   - Events of one subject reach a subscription in the order they were
//     published, one at a time; other subjects flow on beside it.
//   - At most MaxInFlight handlers of one consumer run at a time, and no more
//     than a bounded number of events is held in memory, however many wait.
//   - A handler that fails is tried again with growing pauses: for ever when
//     the fault's kind is transient, up to MaxAttempts otherwise, not at all
//     when the kind cannot succeed (Malformed, Invalid, NotFound, Forbidden...).
//     Meanwhile the event waits in the subscription's Parking, on disk, with its
//     attempts and the time of the next one, and whatever follows of its subject
//     waits behind it, in order; other subjects flow on. An event that is given
//     up stays there as a dead letter, with everything behind it, until an
//     operator retries, edits or drops it. The subscription lives on.
//   - What is no event (broken JSON, missing attributes, an unknown type, more
//     than MaxEventBytes) becomes a dead letter with the reason.
//   - Every event published is kept in the log, which Read reads.
package bus

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// Event is a fact, in CloudEvents 1.0 terms with JSON names of that
// specification plus traceparent and the sequence extension.
type Event struct {
	SpecVersion     string          `json:"specversion"`           // always "1.0"
	ID              string          `json:"id"`                    // UUIDv7, unique for ever: the inbox's key
	Source          string          `json:"source"`                // "/marketing"
	Type            string          `json:"type"`                  // "br.trama.financeiro.PagamentoProcessado.v1"
	Subject         string          `json:"subject"`               // id of the aggregate: the unit of order
	Time            time.Time       `json:"time"`                  // when it happened, UTC
	DataContentType string          `json:"datacontenttype"`       // always "application/json"
	DataSchema      string          `json:"dataschema,omitempty"`  // URI of the JSON Schema
	TraceParent     string          `json:"traceparent,omitempty"` // W3C trace context of the cause
	Sequence        string          `json:"sequence,omitempty"`    // decimal count of events of this subject, when the producer keeps one
	Data            json.RawMessage `json:"data"`
}

// Publisher takes facts.
type Publisher interface {
	// Publish stores the events durably, in the given order for each subject.
	Publish(ctx context.Context, events ...Event) error
}

// Handler does the work for one event. nil acknowledges it. See the package
// comment for what an error causes. The context ends when the consumer is
// drained past its deadline; an interrupted try does not spend an attempt.
type Handler func(ctx context.Context, e Event) error

// BatchHandler does the work for several events at once, in one transaction of
// its own: in order of each subject, no event twice. An error undoes all of it;
// the events are then tried one by one, so that one that fails fails alone.
type BatchHandler func(ctx context.Context, events []Event) error

// Subscription names a durable interest and, for those that consume, the work.
type Subscription struct {
	Name        string        // "academics.pagamentos": durable name, never changed lightly
	Types       []string      // event types it receives
	Former      []string      // event types it received once and wants no longer
	MaxInFlight int           // handlers at a time; 0 means 32
	MaxAttempts int           // tries for faults that are not transient; 0 means 8
	Backoff     time.Duration // first pause after a failure, doubled each time; 0 means 200 ms
	MaxBackoff  time.Duration // longest pause; 0 means one minute
	Handler     Handler       // nil in Declare
	Batch       BatchHandler  // in place of Handler
	MaxBatch    int           // events in one call of Batch; 0 means 100
	// Rebuildable says that handling an event again does no harm: the
	// subscription feeds a read model. Only such a one may be replayed again.
	Rebuildable bool
	Parking     Parking // where events wait that cannot be handled now; required by Subscribe
}

// Consumer is a running subscription.
type Consumer interface {
	// Drain takes nothing new, waits for the handlers under way, hands the rest
	// back without spending an attempt. After ctx ends it interrupts them.
	Drain(ctx context.Context) error
}

// Bus is the whole port.
type Bus interface {
	Publisher
	// Declare makes the subscriptions exist, so that nothing published from now
	// on is missed by them. Idempotent; called with the whole system's
	// subscriptions by every process before anything is published.
	Declare(ctx context.Context, subscriptions ...Subscription) error
	// Subscribe starts consuming. Idempotent Declare included. Of all consumers
	// of one name, in all processes, the one works that holds the lease of the
	// subscription's Parking; when it ends or dies, another takes over.
	Subscribe(ctx context.Context, s Subscription) (Consumer, error)
	// Read calls fn for every event of the log that q selects, in log order, until
	// the log's end (q.Follow: until ctx ends, whose error it then gives), q.Limit,
	// or the first error of fn, which it returns.
	Read(ctx context.Context, q Query, fn func(LogEntry) error) error
	// Backlog gives how many events a subscription has not taken yet.
	Backlog(ctx context.Context, subscription string) (int64, error)
	// Ping says whether the engine answers; nil is healthy.
	Ping(ctx context.Context) error
	// Close releases everything; consumers must have been drained.
	Close() error
}

// Query selects events of the log; zero values select everything.
type Query struct {
	After   string    // position of a LogEntry: what follows it
	From    time.Time // not older than this, by the time of publishing (a driver may begin somewhat earlier)
	Types   []string
	Subject string
	ID      string
	Follow  bool // wait for more at the end of the log
	Limit   int
}

// Selects says whether q wants e, as far as the event itself can tell.
func (q Query) Selects(e Event) bool {
	return (len(q.Types) == 0 || slices.Contains(q.Types, e.Type)) &&
		(q.Subject == "" || q.Subject == e.Subject) && (q.ID == "" || q.ID == e.ID) &&
		!e.Time.Before(q.From)
}

// LogEntry is an event of the log with its place.
type LogEntry struct {
	Position string // opaque, for Query.After of the same driver
	Event    Event
}
