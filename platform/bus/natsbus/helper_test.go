package natsbus_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/natsbus"
	"trama/platform/clock"
	"trama/platform/enginetest"
	"trama/platform/id"
)

var ids = id.New(clock.System{}, rand.Reader)

// place is a corner of a server that belongs to one test.
type place struct {
	t      testing.TB
	url    string
	prefix string
	// remove says that the server outlives the test.
	remove bool
}

// running gives a place on the server of this machine (TRAMA_TEST_NATS_URL,
// default nats://127.0.0.1:4222).
func running(t testing.TB) *place {
	t.Helper()
	at := os.Getenv("TRAMA_TEST_NATS_URL")
	if at == "" {
		at = "nats://127.0.0.1:4222"
	}
	conn, err := nats.Connect(at, nats.Timeout(3*time.Second))
	if err != nil {
		enginetest.Missing(t, "nats", err)
	}
	t.Logf("nats-server %s", conn.ConnectedServerVersion())
	conn.Close()
	return newPlace(t, at, true)
}

func newPlace(t testing.TB, at string, remove bool) *place {
	p := &place{t: t, url: at, prefix: "trama-test-" + enginetest.Suffix(), remove: remove}
	if remove {
		t.Cleanup(func() {
			js := p.jetStream()
			for _, stream := range []string{p.prefix + "_events", "KV_" + p.prefix + "_cursors"} {
				// The test's own context has ended by now.
				if err := js.DeleteStream(context.Background(), stream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
					t.Errorf("clean up %s: %v", stream, err)
				}
			}
		})
	}
	return p
}

// open opens a bus here; change may alter its options.
func (p *place) open(change func(*natsbus.Options)) bus.Bus {
	p.t.Helper()
	opt := natsbus.Options{URL: p.url, Prefix: p.prefix, Logger: slog.New(slog.NewTextHandler(p.t.Output(), nil))}
	if change != nil {
		change(&opt)
	}
	b, err := natsbus.Open(p.t.Context(), opt)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = b.Close() })
	return b
}

// jetStream is a plain client, as a foreigner has it.
func (p *place) jetStream() jetstream.JetStream {
	p.t.Helper()
	conn, err := nats.Connect(p.url)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(conn.Close) // also within a cleanup: it is then the next
	js, err := jetstream.New(conn)
	if err != nil {
		p.t.Fatal(err)
	}
	return js
}

// node is a server in this process, which can be stopped and started again on the
// same port and folder.
type node struct {
	t    testing.TB
	dir  string
	port int

	mu     sync.Mutex
	server *server.Server
}

func newNode(t testing.TB) *node {
	t.Helper()
	n := &node{t: t, dir: t.TempDir(), port: server.RANDOM_PORT}
	n.start()
	t.Cleanup(n.stop)
	return n
}

func (n *node) start() {
	n.t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: n.port, JetStream: true, StoreDir: n.dir,
		NoLog: true, NoSigs: true})
	if err != nil {
		n.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(bustest.Patience) {
		n.t.Fatal("the NATS server does not start")
	}
	n.mu.Lock()
	n.server, n.port = s, s.Addr().(*net.TCPAddr).Port
	n.mu.Unlock()
}

func (n *node) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server.Shutdown()
	n.server.WaitForShutdown()
}

func (n *node) url() string {
	return (&url.URL{Scheme: "nats", Host: n.server.Addr().String()}).String()
}

func event(typ, subject string, n int) bus.Event { return bustest.NewEvent(ids, typ, subject, n) }

// subscribe consumes until the test's end; without a Parking it gets one.
func subscribe(t testing.TB, b bus.Bus, s bus.Subscription) bus.Consumer {
	t.Helper()
	if s.Parking == nil {
		s.Parking = bustest.NewLot(t)
	}
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
