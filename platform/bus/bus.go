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
//     Then the event is parked as a dead letter with its reason, and the
//     subscription lives on.
package bus

import (
	"context"
	"encoding/json"
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

// Subscription names a durable interest and, for those that consume, the work.
type Subscription struct {
	Name        string        // "academics.pagamentos": durable name, never changed lightly
	Types       []string      // event types it receives
	MaxInFlight int           // handlers at a time; 0 means 32
	MaxAttempts int           // tries for faults that are not transient; 0 means 8
	Backoff     time.Duration // first pause after a failure, doubled each time up to a minute; 0 means 200 ms
	Handler     Handler       // nil in Declare
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
	// Subscribe starts consuming. Idempotent Declare included.
	Subscribe(ctx context.Context, s Subscription) (Consumer, error)
	// DeadLetters lists what a subscription parked, oldest first.
	DeadLetters(ctx context.Context, subscription string, limit int) ([]DeadLetter, error)
	// Ping says whether the engine answers; nil is healthy.
	Ping(ctx context.Context) error
	// Close releases everything; consumers must have been drained.
	Close() error
}

// DeadLetter is an event that a subscription gave up on.
type DeadLetter struct {
	Subscription string
	Event        Event
	Reason       string // the error chain of the last attempt, for operators
	Kind         string // fault kind of the last attempt
	Attempts     int
	ParkedAt     time.Time
}
