package amqpbus

import (
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

type ackState uint8

const (
	open  ackState = iota // with the dispatcher
	done                  // to be acknowledged
	acked                 // told to the broker
)

type ackEntry struct {
	id    string // of the event; empty for what is none
	state ackState
	since time.Time
}

// acks is what is unacknowledged on one channel. Delivery tags count from 1, so
// a slice holds them; it never grows beyond the prefetch.
type acks struct {
	ch   *amqp.Channel
	more chan struct{}

	mu      sync.Mutex
	base    uint64 // tag of entries[0]
	entries []ackEntry
	ready   []uint64 // done, in order of completion
	said    []string // the latest events acknowledged, at most maxSaid
}

// maxSaid bounds how many acknowledged events are remembered. A quorum queue may
// lose the acknowledgements sent just before a channel closes, and deliver again.
const maxSaid = 2000

func newAcks(ch *amqp.Channel) *acks {
	return &acks{ch: ch, base: 1, more: make(chan struct{}, 1)}
}

// add notes the next delivery.
func (a *acks) add(id string, now time.Time) {
	a.mu.Lock()
	a.entries = append(a.entries, ackEntry{id: id, since: now})
	a.mu.Unlock()
}

// done notes that the delivery may be acknowledged.
func (a *acks) done(tag uint64) {
	a.mu.Lock()
	if i := int(tag - a.base); tag >= a.base && i < len(a.entries) && a.entries[i].state == open {
		a.entries[i].state = done
		a.ready = append(a.ready, tag)
	}
	a.mu.Unlock()
	select {
	case a.more <- struct{}{}:
	default: // flush is about to look anyway
	}
}

// flush acknowledges what is done: one acknowledgement for all up to the lowest
// that is not, one each for the others.
func (a *acks) flush() error {
	a.mu.Lock()
	upTo, n := uint64(0), 0
	for ; n < len(a.entries) && a.entries[n].state != open; n++ {
		if a.entries[n].state == done {
			upTo = a.base + uint64(n)
			a.said = append(a.said, a.entries[n].id)
		}
	}
	a.entries = a.entries[n:]
	a.base += uint64(n)
	var single []uint64
	for _, tag := range a.ready {
		if tag >= a.base {
			single = append(single, tag)
			a.entries[tag-a.base].state = acked
			a.said = append(a.said, a.entries[tag-a.base].id)
		}
	}
	if over := len(a.said) - maxSaid; over > 0 {
		a.said = append([]string(nil), a.said[over:]...)
	}
	a.ready = a.ready[:0]
	a.mu.Unlock()

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
	return nil
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

// oldest gives when the oldest open delivery came; zero when there is none.
func (a *acks) oldest() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.entries {
		if e.state == open {
			return e.since
		}
	}
	return time.Time{}
}

// finished gives the events that were done when the channel ended and may yet
// come again: those not acknowledged, and the latest acknowledged.
func (a *acks) finished() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	ids := slices.Clone(a.said)
	for _, e := range a.entries {
		if e.state == done && e.id != "" {
			ids = append(ids, e.id)
		}
	}
	return ids
}
