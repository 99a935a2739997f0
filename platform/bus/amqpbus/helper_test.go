package amqpbus_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
	"trama/platform/bus/amqpbus"
	"trama/platform/bus/bustest"
	"trama/platform/clock"
	"trama/platform/enginetest"
	"trama/platform/id"
	"trama/platform/parking"
)

var ids = id.New(clock.System{}, rand.Reader)

// place is a corner of the broker that belongs to one test.
type place struct {
	t      testing.TB
	url    string
	prefix string

	lot *parking.Lot

	mu    sync.Mutex
	names map[string]bool // subscriptions to remove in the end
}

func newPlace(t testing.TB) *place {
	t.Helper()
	p := &place{t: t, url: enginetest.RabbitMQ(t), prefix: "trama-test-" + enginetest.Suffix(), names: map[string]bool{}}
	t.Cleanup(p.remove)
	p.lot = bustest.NewLot(t)
	return p
}

// remove deletes what the test declared.
func (p *place) remove() {
	conn, err := amqp.Dial(p.url)
	if err != nil {
		p.t.Errorf("cannot clean up: %v", err)
		return
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		p.t.Errorf("cannot clean up: %v", err)
		return
	}
	queues := []string{p.queue("log")}
	for name := range p.names {
		queues = append(queues, p.queue(name), p.queue(name)+".dlq")
	}
	for _, q := range queues {
		if _, err := ch.QueueDelete(q, false, false, false); err != nil {
			p.t.Errorf("delete queue %s: %v", q, err)
		}
	}
	if err := ch.ExchangeDelete(p.prefix+".events", false, false); err != nil {
		p.t.Errorf("delete exchange: %v", err)
	}
}

// awaitLetters waits until n subjects have letters, and gives the first of each.
func (p *place) awaitLetters(name string, n int) []bus.Letter {
	p.t.Helper()
	var letters []bus.Letter
	bustest.Eventually(p.t, fmt.Sprintf("%d letters of %s", n, name), func() bool {
		letters = nil
		blocked, err := p.lot.Blocked(p.t.Context(), name)
		for _, b := range blocked {
			var l []bus.Letter
			if err == nil {
				l, err = p.lot.Front(p.t.Context(), name, b.Subject, 1)
				letters = append(letters, l...)
			}
		}
		if err != nil {
			p.t.Fatal(err)
		}
		return len(letters) >= n
	})
	if len(letters) > n {
		p.t.Fatalf("%d letters, want %d: %+v", len(letters), n, letters)
	}
	return letters
}

func (p *place) queue(name string) string { return p.prefix + "." + name }

// open opens a bus here; change may alter its options.
func (p *place) open(change func(*amqpbus.Options)) bus.Bus {
	p.t.Helper()
	opt := amqpbus.Options{URL: p.url, Prefix: p.prefix, Logger: slog.New(slog.NewTextHandler(p.t.Output(), nil))}
	if change != nil {
		change(&opt)
	}
	b, err := amqpbus.Open(p.t.Context(), opt)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = b.Close() })
	return &noting{Bus: b, p: p}
}

// noting remembers what was declared, for remove.
type noting struct {
	bus.Bus
	p *place
}

func (n *noting) Declare(ctx context.Context, subs ...bus.Subscription) error {
	for _, s := range subs {
		if s.Check() == nil {
			n.p.mu.Lock()
			n.p.names[s.Name] = true
			n.p.mu.Unlock()
		}
	}
	return n.Bus.Declare(ctx, subs...)
}

func (n *noting) Subscribe(ctx context.Context, s bus.Subscription) (bus.Consumer, error) {
	if s.Check() == nil && s.Parking != nil && (s.Handler != nil || s.Batch != nil) {
		n.p.mu.Lock()
		n.p.names[s.Name] = true
		n.p.mu.Unlock()
	}
	return n.Bus.Subscribe(ctx, s)
}

// channel gives a plain channel to the broker, as a foreigner has it.
func (p *place) channel() *amqp.Channel {
	p.t.Helper()
	conn, err := amqp.Dial(p.url)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		p.t.Fatal(err)
	}
	return ch
}

func event(typ, subject string, n int) bus.Event { return bustest.NewEvent(ids, typ, subject, n) }

func subscribe(t testing.TB, b bus.Bus, s bus.Subscription) bus.Consumer {
	t.Helper()
	s.Parking = b.(*noting).p.lot
	c, err := b.Subscribe(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = c.Drain(ctx)
	})
	return c
}

func publish(t testing.TB, b bus.Bus, events ...bus.Event) {
	t.Helper()
	if err := b.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}
