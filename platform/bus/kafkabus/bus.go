// Package kafkabus is the event bus on Kafka's protocol. It keeps every promise of
// package bus for processes on any number of machines.
//
// Tested against kfake only, the protocol's fake by the authors of the client, in
// the test's own process: client and fake agree with each other; what a real
// broker does differently was not seen. Try it on yours before you trust it.
//
// Durability. Producers are idempotent and wait for all in-sync replicas. Brokers
// do not fsync: "confirmed" means in the memory of min.insync.replicas machines,
// so it needs two at least, with replication three, that do not fail together.
//
// Layout. Topic <prefix>.events, made when missing with Partitions partitions and
// without any retention limit, otherwise used as it is. A record's key is the
// event's subject, so a subject has one partition, which has an order. Therefore
// the number of partitions must never change. Cursors are the committed offsets of
// groups <prefix>.<subscription>. A deleted topic that is made anew is noticed by
// its id (brokers 2.8 and later), and subscriptions begin at its beginning.
//
// Publishing. Publish waits ten seconds for the broker, then gives Unavailable;
// what it sent may be stored later, before any repetition. At most 10,000 records
// of a process are unconfirmed.
//
// Consuming. There are no group members and no rebalancing: the lease of the
// subscription's Parking says who works, and that process reads all partitions,
// each from the group's offset. Every subscription reads the whole topic, and
// skips by the header ce_type what it does not want. A subscription begins at the
// beginning of the log; a type added to an existing one counts from its cursor.
// Committed is the low-water mark of each partition, everything up to it is done
// or parked: twice a second, so that a crash repeats half a second, and at the end
// of a term. Unchanged offsets are committed again every hour, because brokers
// forget those of a group without members after offsets.retention.minutes (seven
// days): a system that stood still for longer begins again at the beginning of the
// log, which the inbox makes harmless.
//
// A record of a wanted type that is no event becomes a dead letter of that
// subscription; one without the header and without a readable type could be
// anybody's, and becomes a dead letter of every subscription.
//
// The log's order is that of each partition, and so of each subject. Between
// subjects Read goes by time approximately: it sorts what arrives together.
package kafkabus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"trama/platform/bus"
	"trama/platform/bus/lane"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/fault"
	"trama/platform/telemetry"
)

// Options of Open. Zero values mean the defaults told here.
type Options struct {
	Brokers    []string     // host:port of some brokers; required
	Prefix     string       // of topic and groups; default "trama"
	Partitions int          // of the topic, when it is made here; default 8
	Replicas   int          // copies of each partition, when it is made here; default: the broker's own
	Clock      clock.Clock  // default clock.System
	Logger     *slog.Logger // default slog.Default()
	Jitter     func() float64
	Crash      *crash.Points // points "bus.published", "bus.cursor" (before offsets are committed), "bus.acked" (after)

	Telemetry *telemetry.Recorder
	Process   string // tells who parked an event; see lane.Config
}

// apiTimeout bounds each question to the brokers, and each Publish.
const apiTimeout = 10 * time.Second

// Bus is the bus on Kafka. Open makes it.
type Bus struct {
	opt    Options
	log    *slog.Logger
	client *kgo.Client // produces and administers
	admin  *kadm.Client

	setup sync.Mutex // held while the topic is looked up or made

	mu        sync.Mutex
	topic     *topic // nil until known
	subs      map[string]bus.Subscription
	consumers []*lane.Consumer
	closed    bool
}

var _ bus.Bus = (*Bus)(nil)

// Open makes the client. It connects by itself, now and later; Ping reports.
func Open(_ context.Context, opt Options) (*Bus, error) {
	if len(opt.Brokers) == 0 {
		return nil, unavailable("open", errors.New("Options.Brokers is missing, such as host:9092"))
	}
	if opt.Prefix == "" {
		opt.Prefix = "trama"
	}
	if opt.Partitions <= 0 {
		opt.Partitions = 8
	}
	if opt.Replicas <= 0 {
		opt.Replicas = -1
	}
	if opt.Clock == nil {
		opt.Clock = clock.System{}
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	b := &Bus{opt: opt, log: opt.Logger, subs: map[string]bus.Subscription{}}
	client, err := kgo.NewClient(b.basics(
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), // what waits for a request under way goes together
		kgo.ProducerBatchMaxBytes(recordBytes), kgo.MaxBufferedRecords(10_000))...)
	if err != nil {
		return nil, unavailable("open", err)
	}
	b.client, b.admin = client, kadm.NewClient(client)
	return b, nil
}

func (b *Bus) basics(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{kgo.SeedBrokers(b.opt.Brokers...), kgo.ClientID("trama " + b.opt.Prefix),
		kgo.DialTimeout(5 * time.Second), kgo.MetadataMinAge(250 * time.Millisecond)}, more...)
}

// Declare implements bus.Bus. Subscriptions begin at the beginning of the log, so
// there is nothing to store for them. Without a broker the topic is made later.
func (b *Bus) Declare(ctx context.Context, subscriptions ...bus.Subscription) error {
	if err := b.note(subscriptions...); err != nil {
		return err
	}
	if _, err := b.find(ctx); err != nil {
		b.log.Warn("event bus: the topic will be made later", "error", err)
	}
	return nil
}

// note remembers the subscriptions.
func (b *Bus) note(subscriptions ...bus.Subscription) error {
	for _, s := range subscriptions {
		if err := s.Check(); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return unavailable("declare", errClosed)
	}
	for _, s := range subscriptions {
		b.subs[s.Name] = s
	}
	return nil
}

// Subscribe implements bus.Bus. It does not wait for a broker: the consumer does,
// and makes the topic when it is missing.
func (b *Bus) Subscribe(_ context.Context, s bus.Subscription) (bus.Consumer, error) {
	switch {
	case s.Handler == nil && s.Batch == nil:
		return nil, bus.ErrSubscription.Wrap(fmt.Errorf("%s: no handler", s.Name))
	case s.Parking == nil:
		return nil, bus.ErrSubscription.Wrap(fmt.Errorf("%s: no parking", s.Name))
	}
	if err := b.note(s); err != nil {
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

// Ping implements bus.Bus: asks where the topic ends.
func (b *Bus) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if _, err := b.find(ctx); err != nil {
		return err
	}
	ends, err := b.admin.ListEndOffsets(ctx, b.topicName())
	if err == nil {
		err = ends.Error()
	}
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
	running := slices.Clone(b.consumers)
	b.mu.Unlock()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	var errs []error
	for _, c := range running {
		errs = append(errs, c.Drain(now))
	}
	b.client.Close()
	return errors.Join(errs...)
}

var errClosed = errors.New("the bus is closed")

func unavailable(what string, err error) error {
	return fmt.Errorf("kafkabus: %s: %w", what, bus.ErrUnavailable.Wrap(err))
}

// waited turns a caller's impatience into a fault.
func waited(what string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("kafkabus: %s: %w", what, fault.As(err))
	}
	return unavailable(what, err)
}
