package amqpbus

import (
	"errors"

	"trama/platform/bus"
)

// BreakAck makes the broker close the channel of the subscription's present term.
func BreakAck(b bus.Bus, subscription string) error {
	x := b.(*Bus)
	x.mu.Lock()
	t := x.terms[subscription]
	x.mu.Unlock()
	if t == nil {
		return errors.New("no term")
	}
	return t.events.ch.Ack(1<<40, false)
}
