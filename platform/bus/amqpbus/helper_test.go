package amqpbus_test

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/url"
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
)

var ids = id.New(clock.System{}, rand.Reader)

// place is a corner of the broker that belongs to one test.
type place struct {
	t      testing.TB
	url    string
	prefix string

	mu    sync.Mutex
	names map[string]bool // subscriptions to remove in the end
}

func newPlace(t testing.TB) *place {
	t.Helper()
	p := &place{t: t, url: enginetest.RabbitMQ(t), prefix: "trama-test-" + enginetest.Suffix(), names: map[string]bool{}}
	t.Cleanup(p.remove)
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
	for name := range p.names {
		for _, q := range []string{p.queue(name), p.queue(name) + ".dlq"} {
			if _, err := ch.QueueDelete(q, false, false, false); err != nil {
				p.t.Errorf("delete queue %s: %v", q, err)
			}
		}
	}
	if err := ch.ExchangeDelete(p.prefix+".events", false, false); err != nil {
		p.t.Errorf("delete exchange: %v", err)
	}
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
	if s.Check() == nil && s.Handler != nil {
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

// proxy stands between a bus and the broker and can cut the wire.
type proxy struct {
	url    string
	target string
	ln     net.Listener

	mu    sync.Mutex
	conns map[net.Conn]bool
	down  bool
	mute  chan struct{} // not nil: nothing passes until it is closed
}

func newProxy(p *place) *proxy {
	p.t.Helper()
	u, err := url.Parse(p.url)
	if err != nil {
		p.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	x := &proxy{target: u.Host, ln: ln, conns: map[net.Conn]bool{}}
	u.Host = ln.Addr().String()
	x.url = u.String()
	go x.accept()
	p.t.Cleanup(func() { _ = ln.Close(); x.silence(false); x.cut() })
	return x
}

func (x *proxy) accept() {
	for {
		in, err := x.ln.Accept()
		if err != nil {
			return
		}
		x.mu.Lock()
		down := x.down
		x.mu.Unlock()
		out, err := net.Dial("tcp", x.target)
		if down || err != nil {
			_ = in.Close()
			if err == nil {
				_ = out.Close()
			}
			continue
		}
		x.mu.Lock()
		x.conns[in], x.conns[out] = true, true
		x.mu.Unlock()
		go x.copy(in, out)
		go x.copy(out, in)
	}
}

func (x *proxy) copy(to, from net.Conn) {
	_, _ = io.Copy(gated{to, x}, from)
	_ = to.Close()
	_ = from.Close()
	x.mu.Lock()
	delete(x.conns, to)
	delete(x.conns, from)
	x.mu.Unlock()
}

// gated holds back what is written while the proxy is silent.
type gated struct {
	net.Conn
	x *proxy
}

func (g gated) Write(b []byte) (int, error) {
	g.x.mu.Lock()
	mute := g.x.mute
	g.x.mu.Unlock()
	if mute != nil {
		<-mute
	}
	return g.Conn.Write(b)
}

// silence lets nothing through, without closing anything.
func (x *proxy) silence(on bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case on && x.mute == nil:
		x.mute = make(chan struct{})
	case !on && x.mute != nil:
		close(x.mute)
		x.mute = nil
	}
}

// cut drops every connection.
func (x *proxy) cut() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.conns {
		_ = c.Close()
	}
}

// setDown makes the broker unreachable, or reachable again.
func (x *proxy) setDown(down bool) {
	x.mu.Lock()
	x.down = down
	x.mu.Unlock()
	if down {
		x.cut()
	}
}

func event(typ, subject string, n int) bus.Event { return bustest.NewEvent(ids, typ, subject, n) }

func subscribe(t testing.TB, b bus.Bus, s bus.Subscription) bus.Consumer {
	t.Helper()
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
