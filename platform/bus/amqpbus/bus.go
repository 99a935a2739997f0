// Package amqpbus is the event bus on RabbitMQ (3.10 to 4.x, AMQP 0-9-1). It keeps
// every promise of package bus for processes on any number of machines.
//
// Topology, declared by every process and again after each reconnection: topic
// exchange <prefix>.events; per subscription a quorum queue <prefix>.<name> bound
// by its event types, and a quorum queue <prefix>.<name>.dlq for what it gave up
// on. A type that a subscription no longer names stays bound until an operator
// unbinds it; its events are acknowledged unseen. A queue that exists with other
// arguments (made by an older version) is used as it is, with a warning.
//
// Publishing. All Publish calls of a process share one confirming channel with a
// window of 1,000; nil means that the quorum has every event. Events are
// mandatory: one that no queue takes is fine unless a declared subscription wants
// its type; then it is an error, and the topology is declared anew. Publish
// without a connection, before Declare, or while a declared subscription's queue
// is not yet there, is Unavailable at once. A repeated event is delivered again:
// the inbox removes it.
//
// Consuming. Queues have a single active consumer: of all consumers of one name,
// in all processes, the broker serves one and turns to the next when its channel
// closes; that is what keeps a subject's order. An event stays unacknowledged
// until it is handled, also while it waits for a retry, so nothing is requeued and
// order is kept. The window of unacknowledged events is 16 × MaxInFlight, at least
// 128, at most 2,000; events behind a waiting subject use it up, and when they
// fill it the subscription stands still until that subject goes on. The
// subscription's MaxInFlight should be the same in all processes (a smaller
// window after a larger one would let the broker return events out of order).
// When the oldest event has waited RecycleAfter (20 minutes), the consumer opens a
// new channel, because the broker would close one after 30 (consumer_timeout).
//
// Attempts are counted in the process: they survive a lost connection, not the
// death of the process. The broker counts returns of its own (lost connections,
// deaths, drains) and moves an event to the .dlq after DeliveryLimit of them: the
// guard against an event that kills its process.
//
// Dead letters are published to the .dlq with their reason in headers and
// confirmed before the original is acknowledged; a death in between leaves it in
// both (DeadLetters shows it once). Messages that are not events, put in by
// somebody else, go there too. DeadLetters gets up to 1,000 of them (64 MiB) and
// returns them by reject; while it does, another reader sees the queue without
// them, and when there are more the order of the rest may change.
package amqpbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/fault"
)

// Options of Open. Zero values mean the defaults told here.
type Options struct {
	URL    string       // amqp:// or amqps://, with user, password and virtual host; required; never logged
	Prefix string       // of exchange and queues; default "trama"
	Clock  clock.Clock  // default clock.System
	Logger *slog.Logger // default slog.Default()
	Jitter func() float64
	// Window is how many events may be published and not yet confirmed. Default 1,000.
	Window int
	// DeliveryLimit is how often the broker may get an event back before it moves
	// it to the .dlq. Default 1,000: with RecycleAfter, two weeks of outage.
	DeliveryLimit int
	// RecycleAfter is how long an event may be unacknowledged on one channel. It
	// must stay below the broker's consumer_timeout. Default 20 minutes.
	RecycleAfter time.Duration
	// Heartbeat is how often each side of a silent connection is asked; twice
	// that without an answer is a lost connection. Default 5 s.
	Heartbeat time.Duration
}

// Bus is the bus on RabbitMQ. Open makes it.
type Bus struct {
	opt   Options
	log   *slog.Logger
	clock clock.Clock

	life    context.Context // of connections; ends in Close
	end     context.CancelFunc
	work    sync.WaitGroup
	publish *link // its connection also declares and reads dead letters
	consume *link // a connection of its own: the broker throttles those that publish

	startConsume sync.Once
	readingDead  sync.Mutex

	mu        sync.Mutex
	subs      map[string]bus.Subscription // everything ever declared here
	declared  bool
	pending   map[string]bool // declared, but not known to exist at the broker
	session   *session        // nil while there is no connection
	consumers map[*consumer]struct{}
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
	b := &Bus{opt: opt, log: opt.Logger, clock: opt.Clock, subs: map[string]bus.Subscription{},
		pending: map[string]bool{}, consumers: map[*consumer]struct{}{}}
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
	if opt.Jitter == nil {
		opt.Jitter = rand.Float64
	}
	if opt.Window <= 0 {
		opt.Window = 1000
	}
	if opt.DeliveryLimit <= 0 {
		opt.DeliveryLimit = 1000
	}
	if opt.RecycleAfter <= 0 {
		opt.RecycleAfter = 20 * time.Minute
	}
	if opt.Heartbeat <= 0 {
		opt.Heartbeat = 5 * time.Second
	}
}

// connected is called with each new publishing connection. It declares everything
// and makes the bus ready to publish.
func (b *Bus) connected(conn *amqp.Connection) error {
	b.mu.Lock()
	for name := range b.subs {
		b.pending[name] = true
	}
	b.mu.Unlock()
	for {
		list := b.takePending()
		if err := b.apply(conn, list); err != nil {
			return err
		}
		s, err := openSession(b, conn)
		if err != nil {
			return err
		}
		b.mu.Lock()
		for _, sub := range list {
			if sameTypes(b.subs[sub.Name], sub) {
				delete(b.pending, sub.Name)
			}
		}
		if len(b.pending) == 0 { // nothing was declared meanwhile
			b.session = s
			b.mu.Unlock()
			return b.stillborn(s)
		}
		b.mu.Unlock()
		s.fail(errors.New("not ready yet"))
	}
}

// stillborn says why s died before anybody could be told.
func (b *Bus) stillborn(s *session) error {
	select {
	case <-s.dead:
		b.mu.Lock()
		b.session = nil
		b.mu.Unlock()
		return s.err
	default:
		return nil
	}
}

func (b *Bus) takePending() []bus.Subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []bus.Subscription
	for name := range b.pending {
		list = append(list, b.subs[name])
	}
	return list
}

// lost forgets a session that does not work any more and asks for a new one.
func (b *Bus) lost(s *session) {
	b.mu.Lock()
	current := b.session == s
	if current {
		b.session = nil
	}
	b.mu.Unlock()
	if current {
		b.publish.renew()
	}
}

// ready gives the session to publish through, or why there is none.
func (b *Bus) ready() (*session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, unavailable("publish", errClosed)
	case !b.declared:
		return nil, unavailable("publish", errors.New("no subscription was declared yet: the event could reach nobody"))
	case b.session == nil:
		return nil, unavailable("publish", b.publish.why())
	case len(b.pending) > 0:
		return nil, unavailable("publish", errors.New("the queues of declared subscriptions are not there yet"))
	case b.session.blocked.Load():
		return nil, unavailable("publish", errors.New("the broker takes no messages (resource alarm)"))
	}
	return b.session, nil
}

// Publish implements bus.Publisher.
func (b *Bus) Publish(ctx context.Context, events ...bus.Event) error {
	out := make([]outgoing, len(events))
	for i, e := range events {
		body, err := bus.Encode(e)
		if err != nil {
			return err
		}
		out[i] = outgoing{exchange: b.exchange(), key: e.Type, msg: amqp.Publishing{
			ContentType: "application/cloudevents+json", DeliveryMode: amqp.Persistent,
			MessageId: e.ID, Type: e.Type, Timestamp: e.Time, Body: body}}
	}
	if len(out) == 0 {
		return nil
	}
	return b.send(ctx, out...)
}

// send publishes and waits for the confirms.
func (b *Bus) send(ctx context.Context, out ...outgoing) error {
	if err := ctx.Err(); err != nil {
		return waited(err)
	}
	s, err := b.ready()
	if err != nil {
		return err
	}
	return s.send(ctx, out)
}

// wanted says whether a declared subscription receives events of this type.
func (b *Bus) wanted(typ string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.subs {
		for _, t := range s.Types {
			if t == typ {
				return true
			}
		}
	}
	return false
}

// Declare implements bus.Bus. Without a connection it is remembered and done
// later; Publish waits for that with errors.
func (b *Bus) Declare(ctx context.Context, subscriptions ...bus.Subscription) error {
	for _, s := range subscriptions {
		if err := check(s); err != nil {
			return err
		}
	}
	b.mu.Lock()
	b.declared = true
	for _, s := range subscriptions {
		s.Handler = nil
		if b.session == nil || !sameTypes(b.subs[s.Name], s) {
			b.pending[s.Name] = true
		}
		b.subs[s.Name] = s
	}
	s, pending := b.session, len(b.pending)
	b.mu.Unlock()
	if s == nil || pending == 0 {
		return nil
	}
	list := b.takePending()
	err := bounded(ctx, func() error { return b.apply(s.conn, list) })
	if err != nil {
		s.fail(err) // reconnect and declare again; pending until then
		return unavailable("declare", err)
	}
	b.mu.Lock()
	for _, sub := range list {
		if sameTypes(b.subs[sub.Name], sub) {
			delete(b.pending, sub.Name)
		}
	}
	b.mu.Unlock()
	return nil
}

// Subscribe implements bus.Bus. Without a connection the consumer waits for one.
func (b *Bus) Subscribe(ctx context.Context, s bus.Subscription) (bus.Consumer, error) {
	if s.Handler == nil {
		return nil, bus.ErrSubscription.Wrap(fmt.Errorf("%s: no handler", s.Name))
	}
	if err := b.Declare(ctx, s); err != nil {
		return nil, err
	}
	b.startConsume.Do(func() { b.work.Go(b.consume.run) })
	c := newConsumer(b, s)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, unavailable("subscribe "+s.Name, errClosed)
	}
	b.consumers[c] = struct{}{}
	go c.run()
	return c, nil
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
		return unavailable("ping", errors.New("the broker takes no messages (resource alarm)"))
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

func (b *Bus) forget(c *consumer) {
	b.mu.Lock()
	delete(b.consumers, c)
	b.mu.Unlock()
}

var errClosed = errors.New("the bus is closed")

func unavailable(what string, err error) error {
	return fmt.Errorf("amqpbus: %s: %w", what, bus.ErrUnavailable.Wrap(err))
}

// waited turns a caller's impatience into a fault.
func waited(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("amqpbus: publish: %w", fault.As(err))
	}
	return unavailable("publish", err)
}

// bounded runs f, which talks to the broker and knows no context, and stops
// waiting for it when ctx ends. f ends by itself when the connection does.
func bounded(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
