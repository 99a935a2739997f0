// Package sqlitebus is the embedded event bus: an append-only log in one SQLite
// file, with a cursor per subscription. It keeps every promise of package bus
// for the processes of one machine that open the same folder.
//
// Layout of the folder: bus.db (WAL, synchronous=FULL), and bus.db.open, a lock
// held while opening.
//
// Publishing. Concurrent Publish calls are written in one transaction and share
// one fsync; nil is returned after it. An event id that is in the log already is
// skipped, so a relay may repeat. The log's order is the order of commits,
// across processes too. A full disk or an I/O error gives Unavailable and heals
// by itself: the next call tries anew.
//
// Consuming. A new subscription starts at the beginning of the log. (A type added
// to an existing one counts from its cursor; events of a type it no longer has
// are passed over.) Who works, in what order, and what becomes of failures is
// package lane's. Events published in the same process are handed over in
// memory, decoded once; those of other processes are found by asking SQLite
// whether the file changed (PRAGMA data_version), every PollInterval (5 ms)
// while there is traffic, five times more rarely after a quiet second, twenty
// times after five of them. Handlers must not change an event's Data: it is shared.
//
// The cursor is the low-water mark: everything up to it is handled or parked. It
// is written every 100 ms and at the end of a term, so a crash repeats what was
// done since then. What was done above an event that is still in hand is
// repeated after any end; there are at most 65,536 such. In memory are the
// events in lane's hands and the 1,024 latest of the process, or 4 MiB of them.
//
// Reading the log. Events are kept for ever, each with the time of publishing,
// which never falls along the log even when the clock does: from a time on
// nothing published since is left out. An index on subject finds what happened
// to one aggregate; it costs publishing about a quarter of its CPU time.
//
// A file restored from a dump may lack its tail or its sequence: opening raises
// the sequence above every cursor, so that no position is used twice. Opening
// also takes over files of earlier versions.
package sqlitebus

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"trama/platform/bus"
	"trama/platform/bus/lane"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/telemetry"
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
	Jitter       func() float64      // of retry pauses, in [0,1); default math/rand
	Telemetry    *telemetry.Recorder // nil records nothing
	Process      string              // who parks events; default "host:pid"
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
	soon chan struct{} // some cursor is to be written down

	mu        sync.Mutex
	consumers []*lane.Consumer
	streams   map[*stream]struct{}
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
	path := filepath.Join(opt.Dir, "bus.db")
	if err := prepare(ctx, opt.Dir, path, opt.Clock); err != nil {
		return nil, unavailable("open "+path, err)
	}
	reads, err := openReads(path)
	if err != nil {
		return nil, unavailable("open "+path, err)
	}
	b := &Bus{opt: opt, log: opt.Logger, clock: opt.Clock, reads: reads,
		soon: make(chan struct{}, 1), streams: map[*stream]struct{}{}}
	head, err := b.head(ctx)
	if err != nil {
		_ = reads.Close()
		return nil, unavailable("read "+path, err)
	}
	b.tail = newTail(head)
	b.life, b.end = context.WithCancel(context.Background())
	b.writer = newWriter(path, opt.Clock, opt.Crash, b.tail)
	b.work.Go(b.writer.run)
	b.work.Go(b.keepCursors)
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

// Subscribe implements bus.Bus.
func (b *Bus) Subscribe(ctx context.Context, s bus.Subscription) (bus.Consumer, error) {
	if s.Handler == nil && s.Batch == nil || s.Parking == nil {
		return nil, bus.ErrSubscription.Wrap(fmt.Errorf("%s: no handler or no parking", s.Name))
	}
	if err := b.Declare(ctx, s); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, unavailable("subscribe "+s.Name, errClosed)
	}
	c := lane.Consume(lane.Config{Subscription: s, Clock: b.clock, Logger: b.log, Jitter: b.opt.Jitter, Crash: b.opt.Crash,
		Telemetry: b.opt.Telemetry, Process: b.opt.Process},
		func(ctx context.Context) (lane.Stream, error) { return b.openStream(ctx, s) })
	b.consumers = append(b.consumers, c)
	return c, nil
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
	running := b.consumers
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

var errClosed = errors.New("the bus is closed")

func unavailable(what string, err error) error {
	return fmt.Errorf("sqlitebus: %s: %w", what, bus.ErrUnavailable.Wrap(err))
}
