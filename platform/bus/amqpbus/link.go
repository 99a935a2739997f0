package amqpbus

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Limits of connecting.
const (
	dialTimeout  = 5 * time.Second
	closeTimeout = 2 * time.Second
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	healPause    = 500 * time.Millisecond // see stay
)

// link keeps one connection to the broker: it connects again with growing pauses
// whenever it is lost, until the Bus closes.
type link struct {
	b     *Bus
	name  string
	setup func(*amqp.Connection) error // makes a new connection useful; may be nil
	tried chan struct{}                // closed after the first try
	again chan struct{}                // asks for a new connection

	mu      sync.Mutex
	conn    *amqp.Connection // nil while there is none
	err     error            // why there is none
	changed chan struct{}    // closed when conn changes
}

func newLink(b *Bus, name string, setup func(*amqp.Connection) error) *link {
	return &link{b: b, name: name, setup: setup, tried: make(chan struct{}), again: make(chan struct{}, 1),
		changed: make(chan struct{}), err: errors.New("not connected yet")}
}

func (l *link) run() {
	pause, failing, first, connected := firstPause, false, true, false
	for l.b.life.Err() == nil {
		conn, closed, err := l.connect()
		if err == nil {
			l.set(conn, nil)
		} else {
			l.set(nil, err)
		}
		if first {
			close(l.tried)
			first = false
		}
		if err != nil {
			if !failing {
				l.b.log.Error("event bus: cannot connect to the broker; will go on trying", "connection", l.name, "error", err)
			}
			failing = true
			jittered := pause - time.Duration(rand.Float64()*float64(pause)/4)
			_ = l.b.clock.Wait(l.b.life, jittered) // its end is the loop's
			pause = min(2*pause, longestPause)
			continue
		}
		if connected {
			l.b.opt.Telemetry.Add(l.b.life, "trama.amqp.reconnects", 1, slog.String("connection", l.name))
		}
		connected = true
		l.b.log.Info("event bus: connected to the broker", "connection", l.name)
		pause, failing = firstPause, false
		why := l.stay(closed)
		l.set(nil, why)
		_ = conn.CloseDeadline(time.Now().Add(closeTimeout)) // perhaps closed already
		if l.b.life.Err() == nil {
			l.b.log.Warn("event bus: lost the broker; connecting again", "connection", l.name, "error", why)
		}
	}
	l.set(nil, errClosed)
}

// connect makes a connection and sets it up.
func (l *link) connect() (*amqp.Connection, <-chan *amqp.Error, error) {
	select {
	case <-l.again: // what was asked for is about to happen
	default:
	}
	conn, err := amqp.DialConfig(l.b.opt.URL, amqp.Config{
		Heartbeat:  l.b.opt.Heartbeat,
		Locale:     "en_US",
		Properties: amqp.Table{"product": "trama", "connection_name": l.b.opt.Prefix + "." + l.name},
		Dial:       l.dial,
	})
	if err != nil {
		return nil, nil, err
	}
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	if l.setup != nil {
		// The client knows no context; the end of the Bus closes the connection under it.
		stop := context.AfterFunc(l.b.life, func() { _ = conn.CloseDeadline(time.Now().Add(closeTimeout)) })
		err = l.setup(conn)
		stop()
	}
	if err != nil {
		_ = conn.CloseDeadline(time.Now().Add(closeTimeout))
		return nil, nil, err
	}
	return conn, closed, nil
}

func (l *link) dial(network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.b.life, dialTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(dialTimeout)) // for the handshake; heartbeats move it on
}

// stay waits until the connection must be replaced, and tells why.
func (l *link) stay(closed <-chan *amqp.Error) error {
	select {
	case err := <-closed:
		if err != nil {
			return err
		}
		return errors.New("connection closed")
	case <-l.again:
		// Perhaps because a queue is gone. Made again at once, its consumers would
		// not be told, and never be given anything of the new one (seen on 3.10).
		_ = l.b.clock.Wait(l.b.life, healPause)
		return errors.New("its channel broke")
	case <-l.b.life.Done():
		return errClosed
	}
}

// renew asks for a new connection in place of the present one.
func (l *link) renew() {
	select {
	case l.again <- struct{}{}:
	default: // asked for already
	}
}

func (l *link) set(conn *amqp.Connection, err error) {
	l.mu.Lock()
	l.conn, l.err = conn, err
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
}

func (l *link) current() *amqp.Connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

func (l *link) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return errors.New("connecting")
	}
	return l.err
}

// await gives a live connection; false when ctx ends first.
func (l *link) await(ctx context.Context) (*amqp.Connection, bool) {
	for {
		l.mu.Lock()
		conn, changed := l.conn, l.changed
		l.mu.Unlock()
		if conn != nil && !conn.IsClosed() {
			return conn, true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, false
		}
	}
}
