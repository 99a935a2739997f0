package lane

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"trama/platform/bus"
)

// Pauses between two tries to begin a term.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
	holdPause    = 250 * time.Millisecond // for the operators who asked to take the lease
	soundTerm    = time.Second            // a term that lasted so long ends an outage
)

// Consumer is a subscription at work, or waiting for its turn. It implements
// bus.Consumer.
type Consumer struct {
	cfg  Config
	open func(ctx context.Context) (Stream, error)

	life   context.Context // of taking deliveries; ends when Drain begins
	stop   context.CancelFunc
	hard   context.Context // ends when Drain loses patience
	abort  context.CancelFunc
	over   chan struct{}              // closed when run has ended
	atWork atomic.Pointer[Dispatcher] // of the present term, or the last one

	drain    sync.Once
	drainErr error
}

var _ bus.Consumer = (*Consumer)(nil)

// Consume starts working a subscription: again and again it takes the
// subscription's lease, loads the blocked subjects, opens the driver's stream and
// runs it, until Drain.
func Consume(cfg Config, open func(ctx context.Context) (Stream, error)) *Consumer {
	service, _, _ := strings.Cut(cfg.Subscription.Name, ".")
	cfg.Telemetry = cfg.Telemetry.For(service) // a subscription's name begins with its service's
	c := &Consumer{cfg: cfg.withDefaults(), open: open, over: make(chan struct{})}
	c.life, c.stop = context.WithCancel(context.Background())
	c.hard, c.abort = context.WithCancel(context.Background())
	go c.run()
	return c
}

// Drain implements bus.Consumer. When ctx ends it interrupts the handlers, whose
// tries then do not count, and waits Config.Grace for them; the error names how
// many did not come back.
func (c *Consumer) Drain(ctx context.Context) error {
	c.drain.Do(func() {
		defer c.abort()
		c.stop()
		select {
		case <-c.over:
			return
		case <-ctx.Done():
		}
		c.abort()
		if c.within(c.cfg.Grace, c.over) {
			return
		}
		n := 0
		if d := c.atWork.Load(); d != nil {
			n = d.busy()
		}
		c.drainErr = bus.ErrUnavailable.Wrap(fmt.Errorf("%s: %d handlers do not end though interrupted %s ago",
			c.cfg.Subscription.Name, n, c.cfg.Grace))
	})
	return c.drainErr
}

// within says whether done is closed before d has passed.
func (c *Consumer) within(d time.Duration, done <-chan struct{}) bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	late := make(chan struct{})
	go func() {
		if c.cfg.Clock.Wait(ctx, d) == nil {
			close(late)
		}
	}()
	select {
	case <-done:
		return true
	case <-late:
		return false
	}
}

// run works term after term. What keeps a term from beginning, or breaks it, is
// logged when it begins and when a term works again.
func (c *Consumer) run() {
	defer close(c.over)
	failures, told := 0, false
	for c.life.Err() == nil {
		t := term{c: c, news: failures > 0 && !told}
		err := t.work()
		if c.life.Err() != nil {
			return
		}
		told = told || !t.began.IsZero()
		if !t.began.IsZero() && c.cfg.Clock.Now().Sub(t.began) >= soundTerm {
			failures, told = 0, false
		}
		wait := holdPause
		if err != nil {
			wait = min(firstPause<<min(failures, 5), longestPause)
			if failures++; failures == 1 {
				c.log(slog.LevelError, "event bus: cannot consume; will go on trying", slog.Any("error", err))
			}
		}
		if c.cfg.Clock.Wait(c.life, wait) != nil {
			return
		}
	}
}

func (c *Consumer) log(level slog.Level, msg string, attrs ...slog.Attr) {
	c.cfg.Logger.LogAttrs(context.Background(), level, msg,
		append([]slog.Attr{slog.String("subscription", c.cfg.Subscription.Name)}, attrs...)...)
}

// term is the time from taking the lease to giving it back.
type term struct {
	c     *Consumer
	news  bool      // that it begins: an outage may be over
	began time.Time // when the stream was open; zero: never
}

// work is a term. nil: it ended in good order, because the consumer drains or
// operators hold the subscription.
func (t *term) work() error {
	sub := &t.c.cfg.Subscription
	lease, err := sub.Parking.Lease(t.c.life, sub.Name)
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	defer func() {
		if err := lease.Release(); err != nil {
			t.c.log(slog.LevelWarn, "event bus: cannot give back the lease of a subscription", slog.Any("error", err))
		}
	}()
	// Between two parts of what operators do under their hold the lease is free.
	if _, held, err := sub.Parking.Woken(t.c.life, sub.Name, t.c.cfg.Clock.Now(), 1); err == nil && held {
		return nil
	}
	blocked, err := sub.Parking.Blocked(t.c.life, sub.Name)
	if err != nil {
		return fmt.Errorf("blocked subjects: %w", err)
	}
	stream, err := t.c.open(t.c.life)
	if err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	t.began = t.c.cfg.Clock.Now()
	if t.news {
		t.c.log(slog.LevelInfo, "event bus: consuming again")
	}
	err = t.serve(lease, stream, blocked)
	ctx, cancel := context.WithTimeout(context.Background(), t.c.cfg.Grace)
	defer cancel()
	if err := stream.Close(ctx); err != nil {
		t.c.log(slog.LevelWarn, "event bus: cannot close a stream in good order; some events may come again", slog.Any("error", err))
	}
	return err
}

// serve runs the stream until the term is over and every handler has ended.
func (t *term) serve(lease bus.Lease, stream Stream, blocked []bus.Blocked) error {
	running, end := context.WithCancelCause(t.c.life)
	defer end(nil)
	d := newDispatcher(t.c.cfg, stream, func() { end(errHeld) })
	defer d.interrupt()
	t.c.atWork.Store(d)
	d.load(blocked)

	settled, over := context.WithCancel(context.Background()) // ends when nothing is in hand
	var helpers sync.WaitGroup
	helpers.Go(func() { d.bell(running) })
	helpers.Go(func() {
		select {
		case <-lease.Lost():
			end(errLost)
			d.abort()
		case <-settled.Done():
		}
	})
	defer context.AfterFunc(running, d.close)()
	defer context.AfterFunc(t.c.hard, d.abort)()

	err := stream.Run(running, d)
	end(nil)
	d.close()
	t.await(d)
	over()
	helpers.Wait()
	d.giveBack()
	switch cause := context.Cause(running); {
	case cause == errLost:
		return errLost
	case cause == errHeld || err == nil && t.c.life.Err() != nil:
		return nil
	case err == nil:
		return errEnded
	}
	return err
}

// await waits for the handlers, however long: another term beside them would
// break the order. That somebody is waiting is told.
func (t *term) await(d *Dispatcher) {
	select {
	case <-d.idle:
		return
	case <-d.work.Done():
	}
	if !t.c.within(t.c.cfg.Grace, d.idle) && t.c.life.Err() == nil {
		t.c.log(slog.LevelError, "event bus: handlers do not end though interrupted; the subscription waits for them",
			slog.Int("handlers", d.busy()))
	}
	<-d.idle
}

// endOf is why a term ended.
type endOf string

func (e endOf) Error() string { return string(e) }

const (
	errLost  endOf = "the lease was lost"
	errHeld  endOf = "operators hold the subscription"
	errEnded endOf = "the stream ended by itself"
)
