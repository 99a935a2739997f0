// Package lane is the consumer runtime that every bus driver stands on. A driver
// brings a Stream of deliveries; lane brings everything else that package bus
// promises of a subscription.
//
// Promises:
//
//   - Of all consumers of a subscription one works: the one that holds the lease
//     of its Parking. When the lease is lost or the stream breaks, the term ends
//     (handlers finish, the rest is Returned) and after a pause the next begins.
//   - Deliveries of one subject are handled one at a time, in the order they were
//     offered; other subjects flow on beside them, first come first served. At
//     most MaxInFlight handlers run at a time.
//   - A delivery whose handler fails is parked, with its history and the time of
//     its next try, together with all that is in hand of its subject, in one
//     call, and then Done: the broker may forget it. What follows of a subject
//     with parked letters is parked behind them. The letters are tried again when
//     they are due, in order; a dead one blocks its subject until an operator
//     acts. So waiting events use up neither memory nor the broker's window.
//   - While the Parking does not answer, what fails stays in hand and its handler
//     is tried again: the window fills, the subscription stands still, and
//     nothing is lost.
//   - Every delivery offered gets exactly one verdict, also while draining.
//   - Each failure is logged once, never with the event's data.
//
// What keeps the order is one rule: a line, which is all that is in hand of one
// subject, belongs to at most one worker at a time, and only that worker calls
// the handler or the Parking for the subject.
package lane

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/telemetry"
)

// Config of a consumer. Zero values mean the defaults told here.
type Config struct {
	Subscription bus.Subscription    // with Handler or Batch, and Parking; zeros as documented there
	Clock        clock.Clock         // default clock.System
	Logger       *slog.Logger        // default slog.Default()
	Jitter       func() float64      // in [0,1); default math/rand
	Crash        *crash.Points       // nil outside fault tests
	Telemetry    *telemetry.Recorder // nil records nothing
	Window       int                 // deliveries in hand; default 16*MaxInFlight, at least 128, at most 2000
	WindowBytes  int                 // bytes of them; default 16 MiB
	MaxWaiting   int                 // subjects waiting for a retry, beyond which nothing is taken; default 1024
	Grace        time.Duration       // for interrupted handlers, and for closing a stream; default 5 s
	Process      string              // who parks: Letter.ParkedBy; default "host:pid"
}

func (c Config) withDefaults() Config {
	c.Subscription = Defaults(c.Subscription)
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	if c.Window <= 0 {
		c.Window = min(max(128, 16*c.Subscription.MaxInFlight), 2000)
	}
	if c.WindowBytes <= 0 {
		c.WindowBytes = 16 << 20
	}
	if c.MaxWaiting <= 0 {
		c.MaxWaiting = 1024
	}
	if c.Grace <= 0 {
		c.Grace = 5 * time.Second
	}
	if c.Process == "" {
		host, _ := os.Hostname() // a nameless host is still told by its pid
		c.Process = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	return c
}

// Defaults gives s with the documented values in place of zeros.
func Defaults(s bus.Subscription) bus.Subscription {
	if s.MaxInFlight <= 0 {
		s.MaxInFlight = 32
	}
	if s.MaxAttempts <= 0 {
		s.MaxAttempts = 8
	}
	if s.Backoff <= 0 {
		s.Backoff = 200 * time.Millisecond
	}
	if s.MaxBackoff <= 0 {
		s.MaxBackoff = time.Minute
	}
	if s.MaxBatch <= 0 {
		s.MaxBatch = 100
	}
	return s
}

// Stream is one term of one subscription's deliveries, made by a driver.
type Stream interface {
	// Run offers deliveries in the subscription's order until ctx ends (nil) or
	// the stream breaks (the error, which lane logs once per outage). An event whose Type
	// is in Subscription.Former is acknowledged unseen; one whose Type is neither
	// there nor in Types is offered with Bad set, as is what cannot be decoded.
	Run(ctx context.Context, d *Dispatcher) error
	// Settle hears the verdict of every delivery offered, from several goroutines,
	// for one subject in order. It must return soon and must not call the
	// Dispatcher.
	Settle(x Delivery, v Verdict)
	// Close is called once, after Run has returned and after the last Settle, also
	// when Run failed: flush acknowledgements, let go. What it cannot acknowledge
	// is delivered again, which is harmless. Its error is logged.
	Close(ctx context.Context) error
}

// Delivery is one message in the driver's hand.
type Delivery struct {
	Event bus.Event
	Ref   uint64 // the driver's own: position in the log, delivery tag
	Body  []byte // the event as it is stored; nil: lane encodes Event when it needs it
	// Bad says why the message is no event that the subscription can handle. Body
	// is then what came, and Event may be empty. It becomes a dead letter at once,
	// with a subject of its own.
	Bad error
}

// Verdict is what became of a delivery.
type Verdict uint8

// The verdicts.
const (
	Done     Verdict = iota + 1 // handled, or safely parked: acknowledge it, forget it
	Returned                    // not handled: deliver it again one day
)
