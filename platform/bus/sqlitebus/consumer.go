package sqlitebus

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"sync"

	"trama/platform/bus"
	"trama/platform/bus/lane"
)

// Bounds of what a consumer holds.
const (
	readEvents  = 256     // events read from the file at once
	readBytes   = 4 << 20 // and about so many bytes
	windowBytes = 16 << 20
	maxWaiting  = 1024 // subjects waiting for a retry
	maxUnsaved  = 1024 // rows not written down yet
)

// consumer is one subscription at work, or waiting for its turn.
type consumer struct {
	bus   *Bus
	sub   bus.Subscription
	log   *slog.Logger
	lanes *lane.Dispatcher
	books *books

	life context.Context // of the feeder; ends when Drain begins
	stop context.CancelFunc
	fed  chan struct{} // closed when the feeder has ended

	behind *sql.Stmt // the next events of its types, from the file
	reader *reader   // nil until active
	lock   *fileLock // nil until active

	flushing     sync.Mutex
	flushFailing bool // guarded by flushing

	drain    sync.Once
	drainErr error
}

func newConsumer(b *Bus, s bus.Subscription) *consumer {
	s = lane.Defaults(s)
	c := &consumer{bus: b, sub: s, log: b.log, books: newBooks(b.clock), fed: make(chan struct{})}
	c.life, c.stop = context.WithCancel(context.Background())
	c.lanes = lane.New(lane.Config{Subscription: s, Clock: b.clock, Logger: b.log, Jitter: b.opt.Jitter,
		Window: max(4*s.MaxInFlight, 128), WindowBytes: windowBytes, MaxWaiting: maxWaiting, Spill: true,
		Settle: func(x lane.Delivery, out lane.Outcome) {
			c.books.settle(x, out)
			b.nudge()
		}})
	return c
}

// run waits for the subscription's lock, then feeds the dispatcher until Drain.
func (c *consumer) run() {
	defer close(c.fed)
	trouble := newTrouble(c, "event bus: cannot take over the subscription; will go on trying")
	for {
		lock, err := acquire(c.life, filepath.Join(c.bus.opt.Dir, c.sub.Name+".lock"), c.bus.clock, consumerLockEvery)
		if err == nil {
			c.lock = lock
			break
		}
		if !trouble.wait(err) {
			return
		}
	}
	for {
		err := c.load()
		if err == nil {
			break
		}
		if !trouble.wait(err) {
			return
		}
	}
	c.feed()
}

// load reads the subscription's state, which belongs to this consumer while it
// holds the lock.
func (c *consumer) load() (err error) {
	if c.behind == nil {
		if c.behind, err = c.bus.reads.PrepareContext(c.life, sqlBehind(len(c.sub.Types))); err != nil {
			return err
		}
	}
	var cursor int64
	if err := c.bus.reads.QueryRowContext(c.life, `SELECT cursor FROM subscription WHERE name = ?`, c.sub.Name).Scan(&cursor); err != nil {
		return err
	}
	rows, err := c.bus.reads.QueryContext(c.life, sqlWaitingSubjects, c.sub.Name)
	if err != nil {
		return err
	}
	defer rows.Close()
	var list []freed
	for rows.Next() {
		var subject string
		if err := rows.Scan(&subject); err != nil {
			return err
		}
		list = append(list, freed{subject: subject})
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, f := range list {
		c.lanes.Hold(f.subject)
	}
	c.books.start(cursor, list)
	c.reader = c.bus.tail.join(c.sub.Types, cursor)
	return nil
}

// feed moves events from log and table to the dispatcher, as it has room.
func (c *consumer) feed() {
	defer c.bus.tail.leave(c.reader)
	trouble := newTrouble(c, "event bus: cannot read the log; will go on trying")
	for {
		if !c.resume() {
			return
		}
		batch, upTo, err := c.next()
		if err != nil {
			if !trouble.wait(err) {
				return
			}
			continue
		}
		trouble.over()
		if !c.offer(batch) {
			return
		}
		c.books.passed(upTo)
		if len(batch) > 0 {
			continue
		}
		select {
		case <-c.life.Done():
			c.books.passed(c.bus.tail.place(c.reader))
			return
		case <-c.reader.wake:
		case <-c.books.free:
		case <-c.lanes.Room(): // a kept event may have been refused
		}
	}
}

// offer hands the batch over, waiting for room. False: the consumer is draining.
func (c *consumer) offer(batch []item) bool {
	for _, x := range batch {
		c.books.track(int64(x.Ref), x.Event.Subject)
		if x.err != nil {
			c.park(x.Delivery, x.err)
			continue
		}
		for !c.lanes.Offer(x.Delivery) {
			select {
			case <-c.life.Done():
				return false
			case <-c.lanes.Room():
			case <-c.books.free: // finishing what is kept makes room, too
				if !c.resume() {
					return false
				}
			}
		}
		for c.books.unwritten() > maxUnsaved {
			if c.flush(c.life) != nil && c.bus.clock.Wait(c.life, flushEvery) != nil {
				return false
			}
		}
	}
	return c.life.Err() == nil
}
