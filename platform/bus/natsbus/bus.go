// Package natsbus is the event bus on NATS JetStream (server 2.9 and later). It
// keeps every promise of package bus for processes on any number of machines,
// with one reservation about "on disk", which is the server's to lift.
//
// Durability. A NATS server confirms an event when it has WRITTEN it, not when it
// is on disk: fsync comes up to two minutes later (sync_interval), unless the
// server's configuration says "sync_interval: always". A killed server loses
// nothing; a power cut of a single server may lose events that Publish confirmed.
// Nothing here can change that, so: sync_interval always, or Replicas 3 on
// machines that do not fail together.
//
// Layout. Stream <prefix>_events (file storage, kept for ever, nothing discarded)
// has subjects <prefix>.ev.<type>; the key-value bucket <prefix>_cursors has one
// cursor per subscription. Both are made when missing and otherwise used as they
// are; a stream that may discard events is warned about.
//
// Publishing. An event is sent only after the one before it of the same subject is
// confirmed; the others go out together, at most 1,024 unconfirmed per process. So
// whatever breaks, a subject's event never overtakes an earlier one. The event's
// id is the message id: the server skips repetitions for two minutes, the inbox
// those that come later. An event too large for the server's max_payload (its
// default is just MaxEventBytes, headers included) is stored compressed.
//
// Consuming. A subscription begins at the beginning of the log; a type added to an
// existing one counts from its cursor. Each term reads through an ephemeral
// consumer that acknowledges nothing, beginning behind the cursor, and any lost
// connection or gap in its numbering ends the term. A durable consumer's own state
// would not do: JetStream redelivers what is unacknowledged only after AckWait,
// behind newer events of the same subject, and deleting and making it anew at each
// term is two steps with a crash between. The cursor is the low-water mark,
// everything up to it is done or parked; it is stored 5 times a second, so that a
// crash repeats a fifth of a second, and at the end of a term. With the cursor goes
// the time its event was stored: when the log has another event there, it was
// lost, made anew or restored from a backup, and the subscription begins again at
// its beginning (the inbox makes the repetition harmless).
//
// What arrives on the subject of a wanted type and is no event, or one of another
// type, becomes a dead letter. What is published to subjects of types that nobody
// subscribes to is kept in the log and reaches nobody.
//
// Servers before 2.10 filter by one subject only: there, a subscription of several
// types reads the whole log and skips what it does not want.
//
// Tested against servers 2.9.10 and 2.15.2, one node each, which was stopped and
// started again; not against a cluster, and not against a power cut.
package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"

	"trama/platform/bus"
	"trama/platform/bus/lane"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/fault"
	"trama/platform/telemetry"
)

// Options of Open. Zero values mean the defaults told here.
type Options struct {
	URL      string       // nats:// or tls://, with user and password or token, several with commas; required; never logged
	Prefix   string       // of stream, subjects and bucket: letters, digits, hyphens, underscores; default "trama"
	Replicas int          // copies of what is made here; default 1
	Clock    clock.Clock  // default clock.System
	Logger   *slog.Logger // default slog.Default()
	Jitter   func() float64
	Crash    *crash.Points // points "bus.published", "bus.cursor" (before it is stored), "bus.acked" (after)

	Telemetry *telemetry.Recorder
	Process   string // tells who parked an event; see lane.Config
}

// apiTimeout bounds each question to the server, and the wait for each confirm.
const apiTimeout = 10 * time.Second

// Bus is the bus on NATS JetStream. Open makes it.
type Bus struct {
	opt  Options
	log  *slog.Logger
	conn *nats.Conn
	js   jetstream.JetStream

	window *semaphore.Weighted // of unconfirmed events

	setup sync.Mutex // held while stream and bucket are looked up or made

	mu        sync.Mutex
	places    *places         // nil until known, and after each lost connection
	link      context.Context // ends when the connection is lost; then there is a new one
	unlink    context.CancelFunc
	subs      map[string]bus.Subscription
	consumers []*lane.Consumer
	closed    bool
}

var _ bus.Bus = (*Bus)(nil)

// Open connects. A server that does not answer is no error: the bus goes on trying
// and Ping reports.
func Open(ctx context.Context, opt Options) (*Bus, error) {
	if opt.URL == "" {
		return nil, unavailable("open", errors.New("Options.URL is missing, such as nats://user:password@host:4222"))
	}
	if opt.Prefix == "" {
		opt.Prefix = "trama"
	}
	if opt.Replicas <= 0 {
		opt.Replicas = 1
	}
	if opt.Clock == nil {
		opt.Clock = clock.System{}
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	b := &Bus{opt: opt, log: opt.Logger, window: semaphore.NewWeighted(windowEvents), subs: map[string]bus.Subscription{}}
	b.link, b.unlink = context.WithCancel(context.Background())
	var err error
	if b.conn, err = nats.Connect(opt.URL, b.connection(ctx)...); err != nil {
		return nil, unavailable("open", err)
	}
	b.js, err = jetstream.New(b.conn, jetstream.WithPublishAsyncMaxPending(16*windowEvents),
		jetstream.WithPublishAsyncTimeout(apiTimeout), jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		b.conn.Close()
		return nil, unavailable("open", err)
	}
	return b, nil
}

func (b *Bus) connection(ctx context.Context) []nats.Option {
	dial := 5 * time.Second
	if by, ok := ctx.Deadline(); ok {
		dial = min(dial, max(time.Until(by), time.Millisecond))
	}
	return []nats.Option{
		nats.Name("trama " + b.opt.Prefix), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond), nats.Timeout(dial),
		// A silent connection is found dead after three of these.
		nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		// Nothing is kept for later while there is no connection: it would be sent
		// after the caller was told that it failed, and perhaps out of order.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: Close
				b.log.Warn("event bus: connection lost", "error", err)
			}
			b.disconnected()
		}),
		nats.ReconnectHandler(func(*nats.Conn) { b.log.Info("event bus: connected again") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			b.log.Warn("event bus: NATS client", "error", err)
		}),
	}
}

// disconnected ends every term: what was under way to them may be gone.
func (b *Bus) disconnected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unlink()
	b.link, b.unlink = context.WithCancel(context.Background())
	b.places = nil
}

// Declare implements bus.Bus. Subscriptions begin at the beginning of the log, so
// there is nothing to store for them. Without a connection it is done later.
func (b *Bus) Declare(ctx context.Context, subscriptions ...bus.Subscription) error {
	for _, s := range subscriptions {
		if err := s.Check(); err != nil {
			return err
		}
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return unavailable("declare", errClosed)
	}
	for _, s := range subscriptions {
		b.subs[s.Name] = s
	}
	b.mu.Unlock()
	if !b.conn.IsConnected() {
		return nil
	}
	_, err := b.find(ctx)
	return err
}

// Subscribe implements bus.Bus. Without a connection the consumer waits for one.
func (b *Bus) Subscribe(ctx context.Context, s bus.Subscription) (bus.Consumer, error) {
	switch {
	case s.Handler == nil && s.Batch == nil:
		return nil, bus.ErrSubscription.Wrap(fmt.Errorf("%s: no handler", s.Name))
	case s.Parking == nil:
		return nil, bus.ErrSubscription.Wrap(fmt.Errorf("%s: no parking", s.Name))
	}
	if err := b.Declare(ctx, s); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, unavailable("subscribe "+s.Name, errClosed)
	}
	c := lane.Consume(lane.Config{Subscription: s, Clock: b.opt.Clock, Logger: b.log, Jitter: b.opt.Jitter,
		Crash: b.opt.Crash, Telemetry: b.opt.Telemetry, Process: b.opt.Process},
		func(ctx context.Context) (lane.Stream, error) { return b.openTerm(ctx, s) })
	b.consumers = append(b.consumers, c)
	return c, nil
}

// Ping implements bus.Bus: a question to the stream.
func (b *Bus) Ping(ctx context.Context) error {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	p, err := b.find(ctx)
	if err != nil {
		return err
	}
	if _, err := p.stream.Info(ctx); err != nil {
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
	running := slices.Clone(b.consumers)
	b.mu.Unlock()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	var errs []error
	for _, c := range running {
		errs = append(errs, c.Drain(now))
	}
	b.conn.Close()
	b.disconnected()
	return errors.Join(errs...)
}

var errClosed = errors.New("the bus is closed")

func unavailable(what string, err error) error {
	return fmt.Errorf("natsbus: %s: %w", what, bus.ErrUnavailable.Wrap(err))
}

// waited turns a caller's impatience into a fault.
func waited(what string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("natsbus: %s: %w", what, fault.As(err))
	}
	return unavailable(what, err)
}
