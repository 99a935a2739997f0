package amqpbus

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
	"trama/platform/bus/lane"
)

// A delivery's Ref is the number of its channel and its tag on it.
const tagBits = 40

// consumer is one subscription at work, or waiting for its turn or its broker.
type consumer struct {
	b      *Bus
	sub    bus.Subscription
	log    *slog.Logger
	lanes  *lane.Dispatcher
	window int

	life context.Context // of taking events; ends when Drain begins
	stop context.CancelFunc
	hard context.Context // of moving dead letters; ends when Drain loses patience
	cut  context.CancelFunc
	over chan struct{} // closed when run has ended

	mu    sync.Mutex
	epoch uint64              // number of the present channel
	open  *attached           // nil while there is none
	spent map[string]attempts // by event id: failures so far, for when it comes again
	saved map[string]bool     // by event id: done when its channel ended; should it come again, it is acknowledged unseen

	drain    sync.Once
	drainErr error
}

type attempts struct {
	n   int
	due time.Time
}

// attached is a consuming channel.
type attached struct {
	ch         *amqp.Channel
	deliveries <-chan amqp.Delivery
	acks       *acks
	closed     <-chan *amqp.Error
	life       context.Context // ends with the channel
	end        context.CancelFunc
	acking     chan struct{} // closed to stop acks.run
	acker      sync.WaitGroup
}

func newConsumer(b *Bus, s bus.Subscription) *consumer {
	s = lane.Defaults(s)
	c := &consumer{b: b, sub: s, log: b.log, window: min(max(16*s.MaxInFlight, 128), 2000),
		over: make(chan struct{}), spent: map[string]attempts{}, saved: map[string]bool{}}
	c.life, c.stop = context.WithCancel(context.Background())
	c.hard, c.cut = context.WithCancel(context.Background())
	// No Window: the broker's prefetch is the bound.
	c.lanes = lane.New(lane.Config{Subscription: s, Clock: b.clock, Logger: b.log, Jitter: b.opt.Jitter, Settle: c.settle})
	return c
}

// run consumes, on one channel after the other, until Drain. It leaves the last
// channel open: Drain still has things to acknowledge on it.
func (c *consumer) run() {
	defer close(c.over)
	pause, failing := firstPause, false
	for {
		conn, ok := c.b.consume.await(c.life)
		if !ok {
			return
		}
		at, err := c.attach(conn)
		if err != nil {
			if c.life.Err() != nil {
				return
			}
			if !failing && !errors.Is(err, amqp.ErrClosed) {
				c.log.Error("event bus: cannot consume; will go on trying", "subscription", c.sub.Name, "error", err)
			}
			failing = true
			if c.b.clock.Wait(c.life, pause) != nil {
				return
			}
			pause = min(2*pause, longestPause)
			continue
		}
		pause, failing = firstPause, false
		if c.serve(at) {
			return
		}
		c.detach(at)
	}
}

func (c *consumer) attach(conn *amqp.Connection) (*attached, error) {
	if err := c.b.apply(conn, []bus.Subscription{c.sub}); err != nil {
		return nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Qos(c.window, 0, false); err != nil {
		_ = ch.Close()
		return nil, err
	}
	at := &attached{ch: ch, acks: newAcks(ch), acking: make(chan struct{})}
	at.closed = ch.NotifyClose(make(chan *amqp.Error, 1))
	at.life, at.end = context.WithCancel(c.hard)
	c.mu.Lock()
	c.epoch++
	c.open = at
	if len(c.spent)+len(c.saved) > 2*c.window+maxSaid { // of events that went elsewhere
		clear(c.spent)
		clear(c.saved)
	}
	c.mu.Unlock()
	if at.deliveries, err = ch.Consume(c.b.queue(c.sub.Name), "", false, false, false, false, nil); err != nil {
		at.end()
		_ = ch.Close()
		return nil, err
	}
	at.acker.Go(func() { at.acks.run(at.acking) })
	return at, nil
}

// serve takes deliveries until the channel ends (false) or the consumer drains (true).
func (c *consumer) serve(at *attached) (draining bool) {
	old := c.age(at)
	for {
		select {
		case <-c.life.Done():
			return true
		case <-old:
			return false
		case err := <-at.closed:
			if err != nil && c.life.Err() == nil {
				c.log.Warn("event bus: the broker closed a consumer's channel", "subscription", c.sub.Name, "error", err)
			}
			return c.life.Err() != nil
		case d, ok := <-at.deliveries:
			if !ok {
				return c.life.Err() != nil
			}
			c.take(at, d)
		}
	}
}

// age gives a channel that is closed when at has held an event for too long.
func (c *consumer) age(at *attached) <-chan struct{} {
	old := make(chan struct{})
	go func() {
		for {
			if c.b.clock.Wait(at.life, c.b.opt.RecycleAfter/20) != nil {
				return
			}
			oldest := at.acks.oldest()
			if !oldest.IsZero() && c.b.clock.Now().Sub(oldest) >= c.b.opt.RecycleAfter {
				close(old)
				return
			}
		}
	}()
	return old
}

// take passes one delivery on to the dispatcher.
func (c *consumer) take(at *attached, d amqp.Delivery) {
	now := c.b.clock.Now()
	e, err := bus.Decode(d.Body)
	if err != nil {
		at.acks.add("", now)
		c.log.Error("event bus: a message that is no event is parked as a dead letter", "subscription", c.sub.Name, "error", err)
		if c.park(at, d.Body, d.MessageId, d.RoutingKey, lane.Outcome{Kind: "malformed", Reason: err.Error(), Attempts: 1}) {
			at.acks.done(d.DeliveryTag)
		}
		return
	}
	at.acks.add(e.ID, now)
	c.mu.Lock()
	x := lane.Delivery{Event: e, Ref: c.epoch<<tagBits | d.DeliveryTag}
	known := false
	if d.Redelivered {
		known = c.saved[e.ID]
		delete(c.saved, e.ID)
		x.Attempts, x.Due = c.spent[e.ID].n, c.spent[e.ID].due
	}
	c.mu.Unlock()
	if known || !slices.Contains(c.sub.Types, e.Type) {
		at.acks.done(d.DeliveryTag)
		return
	}
	c.lanes.Offer(x) // always taken: there is no window
}

// settle is the dispatcher's report. A dead letter holds its lane until it is
// safe in the .dlq, so that nothing of its subject overtakes it.
func (c *consumer) settle(x lane.Delivery, out lane.Outcome) {
	epoch, tag, id := x.Ref>>tagBits, x.Ref&(1<<tagBits-1), x.Event.ID
	c.mu.Lock()
	at := c.open
	present := at != nil && epoch == c.epoch
	switch out.Verdict {
	case lane.Again:
		c.spent[id] = attempts{out.Attempts, out.Due}
	case lane.Done, lane.Dead:
		delete(c.spent, id)
		if !present && out.Verdict == lane.Done {
			c.saved[id] = true // it comes again, needlessly
		}
	}
	c.mu.Unlock()
	if !present {
		return
	}
	switch out.Verdict {
	case lane.Done:
		at.acks.done(tag)
	case lane.Dead:
		body, err := bus.Encode(x.Event)
		if err != nil { // it was decoded from JSON: cannot happen
			c.log.Error("event bus: cannot encode a dead letter", "subscription", c.sub.Name, "event", id, "error", err)
			return
		}
		if c.park(at, body, id, x.Event.Type, out) {
			at.acks.done(tag)
		}
	}
}

// detach gives up a channel. What is under way goes on; the rest comes again.
func (c *consumer) detach(at *attached) {
	c.lanes.Forget() // first, or what is behind a dead letter would follow when its parking ends here
	c.mu.Lock()
	c.open = nil
	c.mu.Unlock()
	at.end()
	close(at.acking)
	at.acker.Wait()
	_ = at.acks.flush() // when we, not the broker, gave it up
	c.mu.Lock()
	for _, id := range at.acks.finished() {
		c.saved[id] = true
	}
	c.mu.Unlock()
	c.close(at)
}

// close closes the channel; the broker then has all acknowledgements and takes
// the rest back.
func (c *consumer) close(at *attached) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = bounded(ctx, at.ch.Close) // it may be closed already
}

// Drain implements bus.Consumer. The subscription is not cancelled before its
// channel closes: the broker would let the next consumer begin beside us.
func (c *consumer) Drain(ctx context.Context) error {
	c.drain.Do(func() {
		c.stop()
		impatient := context.AfterFunc(ctx, c.cut)
		<-c.over
		c.drainErr = c.lanes.Drain(ctx)
		impatient()
		c.mu.Lock()
		at := c.open
		c.mu.Unlock()
		if at != nil {
			close(at.acking)
			at.acker.Wait()
			_ = at.acks.flush()
			c.close(at)
			at.end()
		}
		c.cut()
		c.b.forget(c)
	})
	return c.drainErr
}
