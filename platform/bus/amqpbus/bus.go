// Package amqpbus is the event bus on RabbitMQ (3.10 to 4.x, AMQP 0-9-1). It keeps
// every promise of package bus for processes on any number of machines.
//
// Topology, declared by every process and again after each reconnection: topic
// exchange <prefix>.events; per subscription a quorum queue <prefix>.<name> bound
// by its event types (its former ones are unbound), and a quorum queue
// <prefix>.<name>.dlq for what the broker itself gives up; the stream
// <prefix>.log. A queue that exists with other arguments (made by an older
// version, or before an option changed) is used as it is, with a warning.
//
// Publishing. All Publish calls of a process share one confirming channel with a
// window of 1,000 events; nil means that the quorum has every event and the log
// has it too. Events are mandatory: one that no queue takes is fine unless a
// declared subscription wants its type; then it is an error, and the topology is
// declared anew. Publish without a connection, before Declare, or while a
// declared subscription's queue is not yet there, is Unavailable at once, and so
// it is while the broker has a memory or disk alarm. A repeated event is
// delivered again: the inbox removes it.
//
// Consuming. Package lane runs the subscription, this package gives it a channel
// per term. Two fences keep a subject's order: the lease of the subscription's
// Parking, and the queue's single active consumer, which the broker serves alone
// until its channel closes. At most the window of 16 × MaxInFlight events (at
// least 128, at most 2,000; whatever their size) is in the process and not
// acknowledged. MaxInFlight should be the same in all processes: a smaller window
// after a larger one would let the broker return events out of order.
// Acknowledgements are sent as soon as there are any, as many as there are in
// one. A quorum queue may forget those of the last moment before a channel
// closes, and a lost connection loses some: these events come again.
//
// Nothing waits here for a retry: what cannot be handled is parked by lane, and
// acknowledged. Only while the Parking does not answer do events stay
// unacknowledged; the broker closes the channel after 30 minutes of that
// (consumer_timeout), the term ends, and the next one gets them again.
//
// The broker counts how often it got an event back (lost connections, deaths,
// drains) and moves it to the .dlq after DeliveryLimit: the guard against an
// event that kills its process. Each term also consumes the .dlq and makes dead
// letters of what is there, with the reason; what a version of this package left
// there that still had its dead letters at the broker, too. What followed the
// event of its subject has passed it by then.
//
// What is no event (broken JSON, foreign content type, an unknown type or a
// version of one, too large, come through another exchange) becomes a dead
// letter with the reason; an event of a former type is acknowledged unseen.
//
// The log is a stream: every event is published a second time, to the stream by
// name, and Publish waits for both confirms. (A stream bound to the exchange would
// take every event, and the broker could never tell that a queue is missing.) A
// repeated event is in the log again. Streams have no fsync: a confirmed event
// of the log is with a quorum of nodes, not surely on their disks, so a power cut
// of all nodes may cost the log its last moments, never the queues. Without
// LogMaxBytes and LogMaxAge the log grows for ever. Read finds the log's end by
// putting a small mark into it, which every reader skips; it needs a broker that
// takes messages, unless it follows.
package amqpbus

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/telemetry"
)

// Options of Open. Zero values mean the defaults told here.
type Options struct {
	URL       string              // amqp:// or amqps://, with user, password and virtual host; required; never logged
	Prefix    string              // of exchange, queues and log; default "trama"
	Clock     clock.Clock         // default clock.System
	Logger    *slog.Logger        // default slog.Default()
	Telemetry *telemetry.Recorder // nil records nothing
	Crash     *crash.Points       // nil outside fault tests
	Process   string              // who parks letters; default "host:pid"
	// Window is how many events may be published and not yet confirmed. Default 1,000.
	Window int
	// DeliveryLimit is how often the broker may get an event back before it moves
	// it to the .dlq. Default 1,000.
	DeliveryLimit int
	// Heartbeat is how often each side of a silent connection is asked; twice
	// that without an answer is a lost connection. Default 5 s.
	Heartbeat time.Duration
	// LogMaxBytes and LogMaxAge bound the log: the broker drops its oldest
	// segments (500 MB each) that are beyond. Default 0: no bound.
	LogMaxBytes int64
	LogMaxAge   time.Duration
	// LogOff publishes without the log, at half the messages; Read is Unavailable.
	LogOff bool
}

// Bus is the bus on RabbitMQ. Open makes it.
type Bus struct {
	opt   Options
	log   *slog.Logger
	clock clock.Clock

	life    context.Context // of connections; ends in Close
	end     context.CancelFunc
	work    sync.WaitGroup
	publish *link // its connection also declares and counts
	consume *link // a connection of its own: the broker throttles those that publish

	startConsume sync.Once

	mu        sync.Mutex
	subs      map[string]bus.Subscription // everything ever declared here
	declared  bool
	pending   map[string]bool // declared, but not known to exist at the broker
	session   *session        // nil while there is no connection
	consumers map[*consumer]struct{}
	terms     map[string]*term // by subscription: its present term
	closed    bool
}

var _ bus.Bus = (*Bus)(nil)

// Open starts connecting and waits for the outcome of the first try. A broker
// that does not answer is no error: the bus goes on trying and Ping reports.
func Open(ctx context.Context, opt Options) (*Bus, error) {
	if _, err := amqp.ParseURI(opt.URL); err != nil {
		return nil, unavailable("open", errors.New("Options.URL is not an AMQP URL such as amqp://user:password@host:5672/"))
	}
	defaults(&opt)
	b := &Bus{opt: opt, log: opt.Logger, clock: opt.Clock, subs: map[string]bus.Subscription{}, pending: map[string]bool{},
		consumers: map[*consumer]struct{}{}, terms: map[string]*term{}}
	b.life, b.end = context.WithCancel(context.Background())
	b.publish = newLink(b, "publish", b.connected)
	b.consume = newLink(b, "consume", nil)
	b.work.Go(b.publish.run)
	select {
	case <-b.publish.tried:
	case <-ctx.Done(): // later, then
	}
	return b, nil
}

func defaults(opt *Options) {
	if opt.Prefix == "" {
		opt.Prefix = "trama"
	}
	if opt.Clock == nil {
		opt.Clock = clock.System{}
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	if opt.Window <= 0 {
		opt.Window = 1000
	}
	if opt.DeliveryLimit <= 0 {
		opt.DeliveryLimit = 1000
	}
	if opt.Heartbeat <= 0 {
		opt.Heartbeat = 5 * time.Second
	}
}

// Ping implements bus.Bus: a round trip to the broker.
func (b *Bus) Ping(ctx context.Context) error {
	b.mu.Lock()
	s := b.session
	consuming := len(b.consumers) > 0
	b.mu.Unlock()
	if s == nil {
		return unavailable("ping", b.publish.why())
	}
	if consuming && b.consume.current() == nil {
		return unavailable("ping", b.consume.why())
	}
	if s.blocked.Load() {
		return unavailable("ping", errBlocked)
	}
	err := bounded(ctx, func() error {
		ch, err := s.conn.Channel()
		if err != nil {
			return err
		}
		return ch.Close()
	})
	if err != nil {
		return unavailable("ping", err)
	}
	return nil
}

// Backlog implements bus.Bus: what waits in the queue plus what this process has
// been given and has not handled. What another process holds is not counted. A
// subscription that does not exist has none.
func (b *Bus) Backlog(ctx context.Context, subscription string) (int64, error) {
	b.mu.Lock()
	s, t := b.session, b.terms[subscription]
	b.mu.Unlock()
	if s == nil {
		return 0, unavailable("backlog", b.publish.why())
	}
	var ready int
	err := bounded(ctx, func() error {
		q, err := inspect(s.conn, b.queue(subscription))
		ready = q.Messages
		return err
	})
	var refused *amqp.Error
	if errors.As(err, &refused) && refused.Code == amqp.NotFound {
		return 0, nil
	}
	if err != nil {
		return 0, unavailable("backlog", err)
	}
	if t != nil {
		ready += t.events.acks.held()
	}
	return int64(ready), nil
}

// Close implements bus.Bus. Consumers that were not drained are interrupted.
func (b *Bus) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	var running []*consumer
	for c := range b.consumers {
		running = append(running, c)
	}
	b.mu.Unlock()

	now, cancel := context.WithCancel(context.Background())
	cancel()
	var errs []error
	for _, c := range running {
		errs = append(errs, c.Drain(now))
	}
	b.end()
	b.startConsume.Do(func() {}) // from now on it is too late to start
	b.work.Wait()
	return errors.Join(errs...)
}
