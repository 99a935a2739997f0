// Package sqlitebus is the embedded event bus: an append-only log in one SQLite
// file, with a cursor per subscription. It keeps every promise of package bus
// for the processes of one machine that open the same folder.
//
// Layout of the folder: bus.db (WAL, synchronous=FULL), and one
// <subscription>.lock per subscription.
//
// Publishing. Concurrent Publish calls are written in one transaction and share
// one fsync; nil is returned after it. An event id that is in the log already is
// skipped, so a relay may repeat. The log's order is the order of commits,
// across processes too. A full disk or an I/O error gives Unavailable and heals
// by itself: the next call tries anew.
//
// Consuming. A new subscription starts at the beginning of the log. (A type added
// to an existing one counts from its cursor.) Of all consumers of one name, in all
// processes, exactly one is active: it holds the lock file, which the kernel
// lets go when the process dies, so another takes over within 200 ms.
// Events published in the same process are handed over in memory, decoded once;
// those of other processes are found by asking SQLite whether the file changed
// (PRAGMA data_version), every PollInterval (5 ms) while there is traffic, five
// times more rarely after a quiet second, twenty times after five of them, and
// twice a second while this process is alone with the file. Handlers must not
// change an event's Data: it is shared.
//
// The cursor is the low-water mark: everything up to it is done, or has a row in
// table exception (waiting for a retry, behind such a one, or dead). It is
// written every 100 ms, so a crash repeats what was done since then; after an
// orderly Drain nothing is repeated. An event that waits keeps its row, so its
// subject blocks neither cursor nor memory: see package lane. In memory are at
// most 4 × MaxInFlight events (at least 128) or 16 MiB of them, 1,024 waiting
// ones, and the 1,024 latest of the process or 4 MiB of them.
//
// Retention: events are kept for ever; replay and pruning are not built yet.
package sqlitebus

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/crash"
)

// Options of Open. Zero values mean the defaults told here.
type Options struct {
	Dir    string        // folder of the bus, made when missing; required
	Clock  clock.Clock   // default clock.System
	Logger *slog.Logger  // default slog.Default()
	Crash  *crash.Points // points "bus.append", "bus.appended", "bus.cursor"
	// PollInterval is how often to look for events of other processes while there
	// is traffic. Default 5 ms. Negative: never; this process is the only one.
	PollInterval time.Duration
	Jitter       func() float64 // of retry pauses, in [0,1); default math/rand
}

// Bus is the embedded bus. Open makes it.
type Bus struct {
	opt    Options
	log    *slog.Logger
	clock  clock.Clock
	reads  *sql.DB
	writer *writer
	tail   *tail
	follow *follower

	life context.Context // of background work; ends in Close
	end  context.CancelFunc
	work sync.WaitGroup
	soon chan struct{} // some consumer has something to write down

	mu        sync.Mutex
	consumers map[*consumer]struct{}
	closed    bool
}

var _ bus.Bus = (*Bus)(nil)

// Open opens the bus in opt.Dir, making what is missing. Errors are Unavailable.
func Open(ctx context.Context, opt Options) (*Bus, error) {
	if opt.Dir == "" {
		return nil, unavailable("open", errors.New("Options.Dir is empty"))
	}
	if opt.Clock == nil {
		opt.Clock = clock.System{}
	}
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	if opt.PollInterval == 0 {
		opt.PollInterval = 5 * time.Millisecond
	}
	if opt.Jitter == nil {
		opt.Jitter = rand.Float64
	}
	path := filepath.Join(opt.Dir, "bus.db")
	if err := prepare(ctx, opt.Dir, path, opt.Clock); err != nil {
		return nil, unavailable("open "+path, err)
	}
	reads, err := openReads(path)
	if err != nil {
		return nil, unavailable("open "+path, err)
	}
	var head int64
	if err := reads.QueryRowContext(ctx, sqlHead).Scan(&head); err != nil {
		_ = reads.Close()
		return nil, unavailable("read "+path, err)
	}
	b := &Bus{opt: opt, log: opt.Logger, clock: opt.Clock, reads: reads, tail: newTail(head),
		soon: make(chan struct{}, 1), consumers: map[*consumer]struct{}{}}
	b.life, b.end = context.WithCancel(context.Background())
	b.writer = newWriter(path, opt.Clock, opt.Crash, b.tail)
	b.work.Go(b.writer.run)
	b.work.Go(b.keepBooks)
	if opt.PollInterval > 0 {
		if b.follow, err = newFollower(b, path); err != nil {
			_ = b.Close()
			return nil, unavailable("open "+path, err)
		}
		b.work.Go(b.follow.run)
	}
	return b, nil
}

// Publish implements bus.Publisher. Events of one call are adjacent in the log.
func (b *Bus) Publish(ctx context.Context, events ...bus.Event) error {
	if len(events) == 0 {
		return nil
	}
	rows := make([]row, len(events))
	for i, e := range events {
		body, err := bus.Encode(e)
		if err != nil {
			return err
		}
		rows[i] = row{id: e.ID, typ: e.Type, subject: e.Subject, body: string(body)}
	}
	if err := b.writer.do(ctx, &job{rows: rows}); err != nil {
		return fmt.Errorf("sqlitebus: publish: %w", err)
	}
	return nil
}

// Declare implements bus.Bus.
func (b *Bus) Declare(ctx context.Context, subscriptions ...bus.Subscription) error {
	var missing []bus.Subscription
	for _, s := range subscriptions {
		if err := s.Check(); err != nil {
			return err
		}
		same, err := b.declared(ctx, s)
		if err != nil {
			return unavailable("declare "+s.Name, err)
		}
		if !same {
			missing = append(missing, s)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	err := b.writer.do(ctx, &job{apply: func(x execer) error {
		for _, s := range missing {
			if err := x.exec(sqlDeclare, s.Name, typesText(s.Types), b.clock.Now().UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return fmt.Errorf("sqlitebus: declare: %w", err)
	}
	return nil
}

func (b *Bus) declared(ctx context.Context, s bus.Subscription) (bool, error) {
	var types string
	err := b.reads.QueryRowContext(ctx, `SELECT types FROM subscription WHERE name = ?`, s.Name).Scan(&types)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return types == typesText(s.Types), err
}

// Subscribe implements bus.Bus. The consumer may have to wait for its turn; see
// the package comment.
func (b *Bus) Subscribe(ctx context.Context, s bus.Subscription) (bus.Consumer, error) {
	if s.Handler == nil {
		return nil, bus.ErrSubscription.Wrap(fmt.Errorf("%s: no handler", s.Name))
	}
	if err := b.Declare(ctx, s); err != nil {
		return nil, err
	}
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

// DeadLetters implements bus.Bus. A limit of 0 or less means 100.
func (b *Bus) DeadLetters(ctx context.Context, subscription string, limit int) ([]bus.DeadLetter, error) {
	if limit <= 0 {
		limit = 100
	}
	b.flushAll() // what this process has parked but not yet written
	rows, err := b.reads.QueryContext(ctx, sqlDeadLetters, subscription, limit)
	if err != nil {
		return nil, unavailable("dead letters", err)
	}
	defer rows.Close()
	var out []bus.DeadLetter
	for rows.Next() {
		var body []byte
		var at int64
		d := bus.DeadLetter{Subscription: subscription}
		if err := rows.Scan(&body, &d.Reason, &d.Kind, &d.Attempts, &at); err != nil {
			return nil, unavailable("dead letters", err)
		}
		d.ParkedAt = time.UnixMilli(at).UTC()
		if d.Event, err = bus.Decode(body); err != nil {
			d.Reason += "; stored text cannot be read: " + err.Error()
		}
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable("dead letters", err)
	}
	return out, nil
}

// Ping implements bus.Bus: the file can be read.
func (b *Bus) Ping(ctx context.Context) error {
	var n int
	if err := b.reads.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM event LIMIT 1)`).Scan(&n); err != nil {
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
	b.writer.close()
	b.work.Wait()
	if b.follow != nil {
		errs = append(errs, b.follow.close())
	}
	errs = append(errs, b.reads.Close())
	return errors.Join(errs...)
}

// flushAll writes down what the process's consumers have settled. An error is
// theirs to repeat.
func (b *Bus) flushAll() {
	b.mu.Lock()
	list := make([]*consumer, 0, len(b.consumers))
	for c := range b.consumers {
		list = append(list, c)
	}
	b.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range list { // at once, so that they share one commit
		if c.books.dirty() {
			wg.Go(func() { _ = c.flush(b.life) })
		}
	}
	wg.Wait()
}

// flushEvery is how long settled events may wait to be written down.
const flushEvery = 100 * time.Millisecond

// keepBooks writes down, off the handlers' path, what consumers have settled.
func (b *Bus) keepBooks() {
	for {
		select {
		case <-b.life.Done():
			return
		case <-b.soon:
		}
		if b.clock.Wait(b.life, flushEvery) != nil {
			return
		}
		b.flushAll()
	}
}

func (b *Bus) nudge() {
	select {
	case b.soon <- struct{}{}:
	default: // keepBooks is about to look anyway
	}
}

func (b *Bus) forget(c *consumer) {
	b.mu.Lock()
	delete(b.consumers, c)
	b.mu.Unlock()
}

var errClosed = errors.New("the bus is closed")

func unavailable(what string, err error) error {
	return fmt.Errorf("sqlitebus: %s: %w", what, bus.ErrUnavailable.Wrap(err))
}
