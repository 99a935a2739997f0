package amqpbus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
)

// outgoing is one message to publish, always as mandatory.
type outgoing struct {
	exchange, key string
	msg           amqp.Publishing
	strict        bool // it must reach a queue, whoever wants its type
}

// batch is what one caller publishes.
type batch struct {
	out  []outgoing
	left int           // not yet resolved; the collector's
	err  error         // the first; the collector's until done
	done chan struct{} // closed when all are resolved
}

// sent is a message whose confirm is awaited.
type sent struct {
	confirm *amqp.DeferredConfirmation
	item    *outgoing
	batch   *batch
}

// session is one confirming channel. A sender writes batches one after the other,
// which keeps each caller's order; a collector waits for confirms in that order.
// The queue between them is the window.
type session struct {
	b       *Bus
	conn    *amqp.Connection
	ch      *amqp.Channel
	batches chan *batch
	window  chan sent
	returns chan amqp.Return
	blocked atomic.Bool // the broker reads nothing from us (memory or disk alarm)

	once sync.Once
	dead chan struct{} // closed when the session is over
	err  error         // why; set before dead is closed
}

func openSession(b *Bus, conn *amqp.Connection) (*session, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		return nil, err
	}
	messages := b.opt.Window
	if !b.opt.LogOff {
		messages *= 2 // each event twice
	}
	s := &session{b: b, window: make(chan sent, messages), conn: conn, ch: ch, batches: make(chan *batch), dead: make(chan struct{})}
	// The client puts a return in here before it resolves the message's confirm.
	// There is room for as many as can be unresolved, so it never has to wait.
	s.returns = ch.NotifyReturn(make(chan amqp.Return, messages+2))
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	alarms := conn.NotifyBlocked(make(chan amqp.Blocking, 8))
	b.work.Go(func() { s.watch(closed, alarms) })
	b.work.Go(s.sender)
	b.work.Go(s.collector)
	return s, nil
}

// fail ends the session; whoever waits in it gets an error.
func (s *session) fail(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.dead)
		s.b.lost(s)
		go func() { _ = s.ch.Close() }() // may wait for the broker
	})
}

func (s *session) watch(closed <-chan *amqp.Error, alarms <-chan amqp.Blocking) {
	for {
		select {
		case err := <-closed:
			if err == nil {
				s.fail(errors.New("channel closed"))
			} else {
				s.fail(err)
			}
			return
		case a, open := <-alarms:
			if !open {
				alarms = nil // the connection is gone; closed will tell
				continue
			}
			s.blocked.Store(a.Active)
			if a.Active {
				s.b.log.Warn("event bus: the broker takes no messages", "reason", a.Reason)
			} else {
				s.b.log.Info("event bus: the broker takes messages again")
			}
		case <-s.dead:
			return
		case <-s.b.life.Done():
			s.fail(errClosed)
			return
		}
	}
}

// send hands a batch over and waits until all of it is confirmed.
func (s *session) send(ctx context.Context, out []outgoing) error {
	x := &batch{out: out, left: len(out), done: make(chan struct{})}
	select {
	case s.batches <- x:
	case <-s.dead:
		return unavailable("publish", s.err)
	case <-ctx.Done():
		return waited(ctx.Err())
	}
	select {
	case <-x.done:
	case <-s.dead:
		select { // perhaps it was all confirmed just before
		case <-x.done:
		default:
			return unavailable("publish", s.err)
		}
	case <-ctx.Done():
		return waited(ctx.Err())
	}
	if x.err != nil {
		return unavailable("publish", x.err)
	}
	return nil
}

func (s *session) sender() {
	for {
		select {
		case <-s.dead:
			return
		case x := <-s.batches:
			for i := range x.out {
				item := &x.out[i]
				confirm, err := s.ch.PublishWithDeferredConfirm(item.exchange, item.key, true, false, item.msg)
				if err != nil {
					s.fail(err)
					return
				}
				select {
				case s.window <- sent{confirm, item, x}:
				case <-s.dead:
					return
				}
			}
		}
	}
}

// place tells the two copies of an event apart.
type place struct{ exchange, id string }

func (s *session) collector() {
	returned := map[place]int{} // came back and not yet resolved
	for {
		select {
		case <-s.dead:
			return
		case x := <-s.window:
			select {
			case <-x.confirm.Done():
			case <-s.dead:
				return
			}
			for more := true; more; {
				select {
				case r, open := <-s.returns:
					if more = open; open {
						returned[place{r.Exchange, r.MessageId}]++
					}
				default:
					more = false
				}
			}
			s.resolve(x, returned)
		}
	}
}

// resolve books the fate of one message.
func (s *session) resolve(x sent, returned map[place]int) {
	var err error
	at := place{x.item.exchange, x.item.msg.MessageId}
	back := returned[at] > 0
	if back {
		if returned[at]--; returned[at] == 0 {
			delete(returned, at)
		}
	}
	broken := false
	switch {
	case !x.confirm.Acked():
		err = errors.New("the broker refused the message, or the connection was lost before its confirm")
	case back && (x.item.strict || s.b.wanted(x.item.key)):
		err = fmt.Errorf("no queue took the message though %s is wanted: the topology is not whole", x.item.key)
		broken = true
	}
	if err != nil && x.batch.err == nil {
		x.batch.err = err
	}
	if x.batch.left--; x.batch.left == 0 {
		close(x.batch.done)
	}
	if broken {
		s.fail(err) // the new session declares everything again
	}
}
