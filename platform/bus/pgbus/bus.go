// Package pgbus is the event bus on PostgreSQL (14 or newer): an append-only log
// in one table, with a cursor per subscription. It keeps every promise of package
// bus for all processes that use the same schema of the same database.
//
// Publishing. Concurrent Publish calls of a process share one INSERT and one
// commit; nil is returned after it, with synchronous_commit at least on. An id
// that is in the log already is skipped, so a relay may repeat. A commit that breaks
// off gives Unavailable, and the next call tries anew.
//
// The log's order. Serial numbers alone are a trap: they are drawn before the
// commit, a later number may be visible first, and a reader that goes on from it
// never sees the earlier one. Here numbers are drawn only by the one transaction
// that has the table's turn: an advisory lock that a trigger takes before the
// first number of any INSERT, also of one made by hand, and that the server
// lets go after the commit can be seen. So whoever sees a number can see all
// lower ones: "seq > cursor" skips nothing. The other way, reading only up to
// the oldest running transaction (pg_snapshot_xmin against an xid8 in each row),
// was rejected: transaction ids mean nothing after a dump and restore into
// another cluster, and any foreign long transaction of the whole cluster, a
// backup or a report, would stop delivery while it runs. The price of the turn:
// writers go one after another (group commit makes up for it), and a foreign
// transaction that inserts events and then lingers holds up publishers, for at
// most ten seconds each before they get Unavailable. It holds up no reader.
// A rolled-back or skipped INSERT leaves gaps, which mean nothing.
//
// A dump of the schema holds everything: log, cursors, turn. Before its
// first commit a process also moves the numbers beyond every event and every
// cursor, so that a restore which forgot the sequence cannot hide events behind a
// cursor.
//
// Consuming. A new subscription starts at the beginning of the log. (A type
// added to an existing one counts from its cursor.) Each commit notifies one
// listening connection per process (NOTIFY, with the types it added); what
// notifications miss, such as rows inserted by hand, is found by a look at the
// log's end every Poll. The driver needs sessions of its own: no
// transaction-pooling proxy in between. The cursor is the low-water mark:
// everything up to it is handled or parked. It is written at most every 100 ms
// and when a term ends. What was done above it, ahead of a slower subject, is
// delivered again in the next term: at most 65,536 events after a crash, about
// lane's window after a drain. In memory are lane's window and one page read ahead (256 events, 4 MiB
// and one event at most).
//
// Servers that are down are no error of Open: calls give Unavailable, consumers
// wait, and all go on when the server is back.
//
// Retention: events are kept for ever.
package pgbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"trama/platform/bus"
	"trama/platform/bus/lane"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/fault"
	"trama/platform/telemetry"
)

// Options of Open. Only URL is required.
type Options struct {
	URL       string              // PostgreSQL connection URL or DSN; holds a password: never log it
	Schema    string              // of the bus's tables, made when missing; default "trama_bus"
	MaxConns  int                 // pooled connections; default 8. A process that consumes has one more, to listen
	Poll      time.Duration       // how often to look for what notifications missed; default 1 s
	Process   string              // who parks letters: "host:pid"
	Clock     clock.Clock         // default clock.System
	Logger    *slog.Logger        // default slog.Default()
	Jitter    func() float64      // of retry pauses, in [0,1); default math/rand
	Crash     *crash.Points       // points "bus.append", "bus.appended", "bus.cursor"
	Telemetry *telemetry.Recorder // nil: none
}

// Bus is the bus. Open makes it.
type Bus struct {
	opt    Options
	log    *slog.Logger
	clock  clock.Clock
	pool   *pgxpool.Pool
	writer *writer
	bell   *bell
	soon   chan struct{} // some stream has a cursor to write down

	life context.Context // of background work; ends in Close
	end  context.CancelFunc
	work sync.WaitGroup

	preparing chan struct{} // holds a value while somebody does
	prepared  atomic.Bool   // the schema is known to be there

	mu        sync.Mutex
	consumers map[*consumer]struct{}
	streams   map[*stream]struct{}
	closed    bool
}

var _ bus.Bus = (*Bus)(nil)

// Open prepares the use of the bus. It connects to nothing yet and fails for
// wrong options only.
func Open(opt Options) (*Bus, error) {
	if opt.Schema == "" {
		opt.Schema = "trama_bus"
	}
	if len(opt.Schema) > 63 || !utf8.ValidString(opt.Schema) { // the server would cut it silently
		return nil, fmt.Errorf("pgbus: schema %q is longer than 63 bytes or no text", opt.Schema)
	}
	if opt.Clock == nil {
		opt.Clock = clock.System{}
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	if opt.Poll <= 0 {
		opt.Poll = time.Second
	}
	cfg, err := poolConfig(opt)
	if err != nil {
		return nil, fmt.Errorf("pgbus: %w", err) // pgx keeps the password out of it
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, fmt.Errorf("pgbus: %w", err)
	}
	b := &Bus{opt: opt, log: opt.Logger, clock: opt.Clock, pool: pool, soon: make(chan struct{}, 1), preparing: make(chan struct{}, 1),
		consumers: map[*consumer]struct{}{}, streams: map[*stream]struct{}{}}
	b.life, b.end = context.WithCancel(context.Background())
	b.bell = &bell{bus: b, watches: map[*watch]struct{}{}}
	b.writer = &writer{bus: b, jobs: make(chan *job, commitJobs)}
	b.work.Go(b.writer.run)
	b.work.Go(b.keepCursors)
	return b, nil
}

// session is what every connection needs. A server that acknowledges before
// the disk has it would break the promise of Publish.
const session = `SELECT set_config('synchronous_commit', 'on', false)
	WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')`

func poolConfig(opt Options) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(opt.URL)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 8
	if opt.MaxConns > 0 {
		cfg.MaxConns = int32(min(opt.MaxConns, 10_000))
	}
	cfg.MinConns = 0
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, session)
		return err
	}
	cc := cfg.ConnConfig
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = 3 * time.Second
	}
	if cc.RuntimeParams["application_name"] == "" {
		cc.RuntimeParams["application_name"] = "trama bus"
	}
	cc.RuntimeParams["search_path"] = pgx.Identifier{opt.Schema}.Sanitize()
	return cfg, nil
}

// Publish implements bus.Publisher. Events of one call are adjacent in the log.
func (b *Bus) Publish(ctx context.Context, events ...bus.Event) error {
	if len(events) == 0 {
		return nil
	}
	j := &job{done: make(chan error, 1)}
	for _, e := range events {
		body, err := bus.Encode(e)
		if err != nil {
			return err
		}
		if !isText(e.ID) || !isText(e.Type) || !isText(e.Subject) {
			return bus.ErrMalformed.Wrap(fmt.Errorf("event %q: id, type and subject must be UTF-8 without NUL", e.ID))
		}
		j.add(e, body)
	}
	if err := b.writer.do(ctx, j); err != nil {
		return fmt.Errorf("pgbus: publish: %w", err)
	}
	return nil
}

// isText says whether PostgreSQL takes s as text. One event that it does not
// take would spoil the commit of all.
func isText(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return false
		}
	}
	return utf8.ValidString(s)
}

// Subscribe implements bus.Bus.
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
		return nil, failed(ctx, "subscribe "+s.Name, errClosed)
	}
	c := &consumer{bus: b, lane: lane.Consume(lane.Config{Subscription: s, Clock: b.clock, Logger: b.log,
		Jitter: b.opt.Jitter, Crash: b.opt.Crash, Telemetry: b.opt.Telemetry, Process: b.opt.Process},
		func(ctx context.Context) (lane.Stream, error) { return b.open(ctx, s) })}
	b.consumers[c] = struct{}{}
	return c, nil
}

// consumer is a running subscription that Close knows of.
type consumer struct {
	bus  *Bus
	lane bus.Consumer
}

// Drain implements bus.Consumer.
func (c *consumer) Drain(ctx context.Context) error {
	err := c.lane.Drain(ctx)
	c.bus.mu.Lock()
	delete(c.bus.consumers, c)
	c.bus.mu.Unlock()
	return err
}

// Ping implements bus.Bus.
func (b *Bus) Ping(ctx context.Context) error {
	return failed(ctx, "ping", b.pool.Ping(ctx))
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
	b.work.Wait()
	b.pool.Close()
	return errors.Join(errs...)
}

var errClosed = errors.New("the bus is closed")

// failed gives the fault of an operation; nil for nil.
func failed(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.As(fmt.Errorf("pgbus: %s: %w (%v)", what, context.DeadlineExceeded, err))
	}
	return fmt.Errorf("pgbus: %s: %w", what, bus.ErrUnavailable.Wrap(err))
}
