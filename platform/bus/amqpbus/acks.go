package amqpbus

import (
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/crash"
)

type ackState uint8

const (
	open  ackState = iota // with lane
	done                  // to be acknowledged
	acked                 // told to the broker
)

// acks is what is unacknowledged on one channel. Delivery tags count from 1, so
// a slice holds them; it never grows beyond the prefetch.
type acks struct {
	ch    *amqp.Channel
	crash *crash.Points
	more  chan struct{}

	mu      sync.Mutex
	base    uint64 // tag of entries[0]
	entries []ackState
	ready   []uint64 // done, in order of completion
}

func newAcks(ch *amqp.Channel, crash *crash.Points) *acks {
	return &acks{ch: ch, crash: crash, base: 1, more: make(chan struct{}, 1)}
}

// add notes the next delivery.
func (a *acks) add() {
	a.mu.Lock()
	a.entries = append(a.entries, open)
	a.mu.Unlock()
}

// done notes that the delivery may be acknowledged.
func (a *acks) done(tag uint64) {
	a.mu.Lock()
	if i := int(tag - a.base); tag >= a.base && i < len(a.entries) && a.entries[i] == open {
		a.entries[i] = done
		a.ready = append(a.ready, tag)
	}
	a.mu.Unlock()
	select {
	case a.more <- struct{}{}:
	default: // flush is about to look anyway
	}
}

// held counts the deliveries that have no verdict yet.
func (a *acks) held() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, s := range a.entries {
		if s == open {
			n++
		}
	}
	return n
}

// flush acknowledges what is done: one acknowledgement for all up to the lowest
// that is not, one each for the others.
func (a *acks) flush() error {
	upTo, single := a.take()
	if upTo > 0 {
		if err := a.ch.Ack(upTo, true); err != nil {
			return err
		}
	}
	for _, tag := range single {
		if err := a.ch.Ack(tag, false); err != nil {
			return err
		}
	}
	if upTo > 0 || len(single) > 0 {
		a.crash.At("bus.acked")
	}
	return nil
}

func (a *acks) take() (upTo uint64, single []uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for ; n < len(a.entries) && a.entries[n] != open; n++ {
		if a.entries[n] == done {
			upTo = a.base + uint64(n)
		}
	}
	a.entries = a.entries[n:]
	a.base += uint64(n)
	for _, tag := range a.ready {
		if tag >= a.base {
			single = append(single, tag)
			a.entries[tag-a.base] = acked
		}
	}
	a.ready = a.ready[:0]
	return upTo, single
}

// run flushes until stop is closed.
func (a *acks) run(stop <-chan struct{}) {
	for {
		select {
		case <-a.more:
			if a.flush() != nil {
				return // the channel is gone; its end is noticed elsewhere
			}
		case <-stop:
			return
		}
	}
}
