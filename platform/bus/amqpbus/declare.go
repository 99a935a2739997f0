package amqpbus

import (
	"context"
	"errors"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
)

// connected is called with each new publishing connection. It declares everything
// and makes the bus ready to publish.
func (b *Bus) connected(conn *amqp.Connection) error {
	b.mu.Lock()
	for name := range b.subs {
		b.pending[name] = true
	}
	b.mu.Unlock()
	for {
		list := b.takePending()
		if err := b.apply(conn, list); err != nil {
			return err
		}
		s, err := openSession(b, conn)
		if err != nil {
			return err
		}
		b.mu.Lock()
		b.applied(list)
		if len(b.pending) == 0 { // nothing was declared meanwhile
			b.session = s
			b.mu.Unlock()
			return b.stillborn(s)
		}
		b.mu.Unlock()
		s.fail(errors.New("not ready yet"))
	}
}

// stillborn says why s died before anybody could be told.
func (b *Bus) stillborn(s *session) error {
	select {
	case <-s.dead:
		b.mu.Lock()
		b.session = nil
		b.mu.Unlock()
		return s.err
	default:
		return nil
	}
}

func (b *Bus) takePending() []bus.Subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []bus.Subscription
	for name := range b.pending {
		list = append(list, b.subs[name])
	}
	return list
}

// applied notes what exists now, unless it was declared otherwise meanwhile.
// b.mu is held.
func (b *Bus) applied(list []bus.Subscription) {
	for _, sub := range list {
		if sameTypes(b.subs[sub.Name], sub) {
			delete(b.pending, sub.Name)
		}
	}
}

// lost forgets a session that does not work any more and asks for a new one.
func (b *Bus) lost(s *session) {
	b.mu.Lock()
	current := b.session == s
	if current {
		b.session = nil
	}
	b.mu.Unlock()
	if current {
		b.publish.renew()
	}
}

// wanted says whether a declared subscription receives events of this type.
func (b *Bus) wanted(typ string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.subs {
		for _, t := range s.Types {
			if t == typ {
				return true
			}
		}
	}
	return false
}

// Declare implements bus.Bus. Without a connection it is remembered and done
// later; Publish waits for that with errors.
func (b *Bus) Declare(ctx context.Context, subscriptions ...bus.Subscription) error {
	for _, s := range subscriptions {
		if err := check(s); err != nil {
			return err
		}
	}
	b.mu.Lock()
	b.declared = true
	for _, s := range subscriptions {
		if b.session == nil || !sameTypes(b.subs[s.Name], s) {
			b.pending[s.Name] = true
		}
		b.subs[s.Name] = bus.Subscription{Name: s.Name, Types: s.Types, Former: s.Former}
	}
	s, pending := b.session, len(b.pending)
	b.mu.Unlock()
	if s == nil || pending == 0 {
		return nil
	}
	list := b.takePending()
	err := bounded(ctx, func() error { return b.apply(s.conn, list) })
	if err != nil {
		s.fail(err) // reconnect and declare again; pending until then
		return unavailable("declare", err)
	}
	b.mu.Lock()
	b.applied(list)
	b.mu.Unlock()
	return nil
}
