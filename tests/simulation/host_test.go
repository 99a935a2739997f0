package simulation

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"

	"trama/platform/bus"
	"trama/platform/bus/lane"
	"trama/platform/crash"
	"trama/platform/store"
	"trama/system"
)

// incarnation is one life of the process. When it dies, every operation on
// stores, transport and calls fails from then on, and nobody hears its answers:
// what was not durable is gone.
type incarnation struct {
	w       *world
	n       int
	host    *system.Host
	handler http.Handler
	dead    atomic.Bool
	died    chan struct{}
	once    sync.Once

	mu  sync.Mutex
	raw map[string]store.DB // the stores without faults, for looking
}

func (i *incarnation) die(why string) {
	i.once.Do(func() {
		i.dead.Store(true)
		i.w.happened("deaths at " + why)
		i.w.note("process %d dies: %s", i.n, why)
		close(i.died)
	})
}

// at hears of every point the process passes.
func (i *incarnation) at(point string) {
	if !i.dead.Load() && i.w.deadly(point) {
		i.die(point)
	}
}

// live starts a process. It is tried again while its start fails because
// something is down.
func (w *world) live(n int) *incarnation {
	for tries := 0; ; {
		i := &incarnation{w: w, n: n, died: make(chan struct{}), raw: map[string]store.DB{}}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		i.host = system.New(i.options())
		err := i.host.Start(ctx)
		cancel()
		if err == nil {
			i.handler = i.host.Handler()
			w.note("process %d is up", n)
			return i
		}
		w.note("process %d does not start: %v", n, err)
		if tries++; tries > 100 {
			w.t.Fatalf("the process does not start: %v", err)
		}
		time.Sleep(300 * time.Millisecond)
		n++
	}
}

func (i *incarnation) options() system.Options {
	w := i.w
	all, err := system.Select("all")
	if err != nil {
		w.t.Fatal(err)
	}
	return system.Options{
		Config: w.config, Dir: w.dir, Modules: all, Log: slog.New(w.logTo(i)), Crash: crash.Watch(i.at), Clock: w.clock,
		Listener: newSilent(), Bus: &link{inc: i, b: w.broker}, RelayPoll: time.Second,
		Random: &random{rng: rand.NewChaCha8([32]byte{byte(w.plan.seed), byte(w.plan.seed >> 8), byte(w.plan.seed >> 16), byte(w.plan.seed >> 24), byte(i.n)})},
		Store: func(service string, db store.DB) store.DB {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.raw[service] = db
			return faultyStore{db, i, "store:" + service}
		},
		Calls: func(service string, c *connect.Client) *connect.Client {
			return connect.NewClient(faultyCalls{c, i, "call:" + service})
		},
	}
}

// end stops the process: a dead one because its goroutines must go.
func (i *incarnation) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return i.host.Stop(ctx)
}

// random is the source of ids.
type random struct {
	mu  sync.Mutex
	rng *rand.ChaCha8
}

func (r *random) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rng.Read(p)
}

// silent is a socket at which nobody calls: requests go to the handler itself.
type silent struct {
	once sync.Once
	over chan struct{}
}

func newSilent() *silent { return &silent{over: make(chan struct{})} }

func (s *silent) Accept() (net.Conn, error) {
	<-s.over
	return nil, net.ErrClosed
}

func (s *silent) Close() error {
	s.once.Do(func() { close(s.over) })
	return nil
}

func (s *silent) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

// link is one process's connection to the transport.
type link struct {
	inc *incarnation
	b   *broker
}

var _ bus.Bus = (*link)(nil)

func (l *link) Publish(ctx context.Context, all ...bus.Event) error {
	if len(all) == 0 {
		return nil
	}
	return l.b.publish(ctx, l.inc, all)
}

func (l *link) Declare(_ context.Context, subs ...bus.Subscription) error {
	l.b.declare(subs...)
	return nil
}

func (l *link) Subscribe(_ context.Context, s bus.Subscription) (bus.Consumer, error) {
	l.b.declare(s)
	l.b.mu.Lock()
	q := l.b.subs[s.Name]
	l.b.mu.Unlock()
	s.Handler = q.watched(l.inc, s.Handler)
	w := l.inc.w
	return lane.Consume(lane.Config{
		Subscription: s, Clock: w.clock, Logger: slog.New(w.logTo(l.inc)), Crash: crash.Watch(l.inc.at), Process: "simulation",
		Jitter: func() float64 { return float64(w.plan.dice(1000, "jitter", s.Name)) / 1000 },
	}, func(context.Context) (lane.Stream, error) { return q.open(l.inc) }), nil
}

func (l *link) Read(_ context.Context, q bus.Query, fn func(bus.LogEntry) error) error {
	skip := q.After != ""
	for _, e := range l.b.events() {
		if skip {
			skip = e.ID != q.After
			continue
		}
		if q.Selects(e) {
			if err := fn(bus.LogEntry{Position: e.ID, Event: e}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *link) Backlog(_ context.Context, subscription string) (int64, error) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	return int64(l.b.subs[subscription].waiting(l.inc.w.ahead())), nil
}

func (l *link) Ping(context.Context) error {
	if down, _ := l.inc.w.down("bus"); down || l.inc.dead.Load() {
		return bus.ErrUnavailable.Wrap(errOutage)
	}
	return nil
}

func (l *link) Close() error { return nil }
