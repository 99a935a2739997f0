// Package system is the composition root: the one table of modules, the
// configuration of them all, and the Host that runs any set of them in one
// process. Only this package knows every service; no service knows it.
//
// A Host starts in this order: sockets, stores (opened and migrated side by
// side), bus and subscriptions of the whole system, services, relays, loops and
// consumers, servers, announcement, ready. It stops in the reverse order under
// one deadline: out of discovery, the gateway finishes, consumers hand back what
// they hold, loops end, calls finish, outboxes flush, bus and stores close. An
// error of Stop names what did not end in time.
package system

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"

	"trama/edge/gateway"
	"trama/platform/bus"
	"trama/platform/call"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/datadir"
	"trama/platform/discovery"
	"trama/platform/discovery/filediscovery"
	"trama/platform/id"
	"trama/platform/module"
	"trama/platform/store"
	"trama/platform/telemetry"
	"trama/services/academics"
)

// Options is what a Host is made of.
type Options struct {
	Config  Config
	Dir     *datadir.Dir
	Modules []string // as Select gives them
	// Shared says that other processes may run on the data folder: what is here
	// is then announced to them, also when it is the whole system.
	Shared bool
	Log    *slog.Logger
	Crash  *crash.Points
	// Listener is the gateway's socket when somebody else opened it (the
	// supervisor, so that a restart of the gateway refuses no connection).
	Listener net.Listener
	// Bus is the event bus when somebody else made it (a simulation); else the
	// configuration says which.
	Bus bus.Bus
	// Store is put around the store of a service as soon as that is open (by a
	// simulation, to make it fail). May be nil.
	Store func(service string, db store.DB) store.DB
	// Calls is put around the client by which the services here call another, for
	// the same reason. May be nil.
	Calls func(service string, c *connect.Client) *connect.Client
	// Random is what ids are made of; crypto/rand when nil.
	Random io.Reader
	// RelayPoll is how often the outboxes are looked at without a wake-up; 0 means
	// the relay's own default.
	RelayPoll time.Duration
	// Version of the program, told with traces.
	Version string
	// Clock is the machine's when nil.
	Clock clock.Clock
	// Note is told what is being done, for a person who waits. May be nil.
	Note func(format string, args ...any)
}

// pingTime is how long the bus may take to say that it is there.
const pingTime = time.Second

// errStopped is what a start answers when Stop came before or meanwhile.
var errStopped = errors.New("stopped before it was ready")

// Host runs modules in this process, once: a stopped host does not start again.
// Start and Stop may be called from different goroutines.
type Host struct {
	Options
	ids      id.Source
	network  *call.Network
	registry *filediscovery.Registry
	resolver discovery.Resolver

	mu       sync.Mutex
	stopping bool
	cancel   context.CancelFunc // ends a start under way; nil before the first
	turn     chan struct{}      // held by a start or a stop; guards what follows

	telemetry *telemetry.Recorder
	steps     atomic.Int64 // migrations run by this start
	stores    map[string]*openStore
	services  []module.Service
	staff     *http.ServeMux             // the routes kept for staff
	template  func(*http.Request) string // the route of a request
	bus       bus.Bus
	gateway   *gateway.Gateway
	public    *web // the gateway's server; nil when it runs elsewhere
	metrics   *web // for Prometheus; nil when not configured
	internal  *web // what other processes call; nil when nobody else can be there
	siteCalls *http.Transport
	announce  []func() error
	consumers []bus.Consumer
	stopLoops context.CancelFunc
	loops     sync.WaitGroup
	stopRelay context.CancelFunc
	relays    sync.WaitGroup
}

// New makes a host; it does no I/O.
func New(o Options) *Host {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	h := &Host{Options: o, ids: id.New(o.Clock, o.Random), stores: map[string]*openStore{}, turn: make(chan struct{}, 1)}
	h.registry = filediscovery.New(o.Dir.Path("run"), o.Log)
	static := map[string][]string{}
	for service, urls := range o.Config.Discovery {
		for _, u := range strings.Split(urls, ",") {
			static[service] = append(static[service], strings.TrimSpace(u))
		}
	}
	h.resolver = discovery.First(discovery.Static(static), h.registry)
	return h
}

// has says whether a module of this name runs here.
func (h *Host) has(moduleName string) bool { return slices.Contains(h.Modules, moduleName) }

// hasService says whether any role of the service runs here.
func (h *Host) hasService(service string) bool {
	return slices.ContainsFunc(h.Modules, func(m string) bool { return strings.HasPrefix(m, service+".") })
}

// alone says whether the whole system runs in this process and nowhere else.
func (h *Host) alone() bool { return !h.Shared && len(h.Modules) == len(Table()) }

// PublicURL is where people reach the gateway.
func (h *Host) PublicURL() string {
	if h.public != nil {
		return h.Config.PublicAddress(h.public.listener.Addr().String())
	}
	return h.Config.PublicAddress(h.Config.Listen)
}

// Handler is the gateway as it answers, for those who need no socket; nil where
// the gateway does not run. To be asked for after Start.
func (h *Host) Handler() http.Handler {
	if h.gateway == nil {
		return nil
	}
	return h.gateway
}

// Start returns when the modules are ready. When it fails, or Stop is called
// meanwhile, everything that had started is stopped again.
func (h *Host) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := h.begin(cancel); err != nil {
		return err
	}
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	err := h.start(ctx)
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err == nil {
		return nil
	}
	stopCtx, stopCancel := context.WithTimeout(context.WithoutCancel(ctx), h.Config.StopTimeout)
	defer stopCancel()
	if stopErr := h.release(stopCtx); stopErr != nil {
		h.Log.Error("stopping after a failed start", "error", stopErr)
	}
	if errors.Is(ctx.Err(), context.Canceled) { // whatever failed, failed because of that
		return errStopped
	}
	return err
}

// begin lets one start through, which cancel ends.
func (h *Host) begin(cancel context.CancelFunc) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopping:
		return errStopped
	case h.cancel != nil:
		return errors.New("a host starts only once")
	}
	h.cancel = cancel
	return nil
}

func (h *Host) start(ctx context.Context) error {
	if err := h.record(); err != nil {
		return err
	}
	if err := h.listen(); err != nil {
		return err
	}
	if err := h.openStores(ctx); err != nil {
		return err
	}
	if n := h.steps.Load(); n > 0 {
		h.Note("brought the tables of the stores up to date (%d steps)", n)
	}
	if err := h.openBus(ctx); err != nil {
		return err
	}
	if err := h.buildServices(ctx); err != nil {
		return err
	}
	handlers, err := h.handlers()
	if err != nil {
		return err
	}
	h.observe()
	h.startRelays()
	if err := h.startLoops(); err != nil {
		return err
	}
	if err := h.consume(ctx); err != nil {
		return err
	}
	if err := h.serve(handlers); err != nil {
		return err
	}
	return h.announceAll()
}

// BusAnswers says whether the event bus can be reached now. A broker that is down
// stops no start: what is accepted waits in the outboxes.
func (h *Host) BusAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	return h.bus.Ping(ctx) == nil
}

// buildServices constructs every service that has a role here.
func (h *Host) buildServices(ctx context.Context) error {
	for _, service := range Services() {
		build, isService := h.builders()[service]
		if !h.hasService(service) || !isService {
			continue
		}
		s, err := build(h.deps(service))
		if err != nil {
			return fmt.Errorf("%s: %w", service, err)
		}
		h.services = append(h.services, s)
	}
	if s := h.stores["academics"]; s != nil && h.Config.Seed == "demo" {
		n, err := academics.Seed(ctx, s.db, h.Clock)
		if err != nil {
			return fmt.Errorf("academics: seeding the demonstration courses: %w", err)
		}
		if n > 0 {
			h.Note("seeded %d demonstration courses", n)
		}
	}
	return nil
}

func (h *Host) deps(service string) module.Deps {
	d := module.Deps{
		Clock: h.Clock, IDs: h.ids, Log: h.Log.With("service", service), Crash: h.Crash,
		Call:   h.client,
		Secret: func(purpose string) []byte { return h.Dir.Secret(purpose) },
	}
	if s := h.stores[service]; s != nil {
		d.Store, d.Box = s.db, s.box
	}
	return d
}

// client gives the services here their client for another.
func (h *Host) client(service string) *connect.Client {
	c := h.network.Client(service)
	if h.Calls != nil {
		c = h.Calls(service, c)
	}
	return c
}

// modules gives the declarations that run here.
func (h *Host) modules() []module.Module {
	var out []module.Module
	for _, s := range h.services {
		for _, m := range s.Modules {
			if h.has(m.Name) {
				out = append(out, m)
			}
		}
	}
	return out
}

// consume starts the subscriptions of the modules here.
func (h *Host) consume(ctx context.Context) error {
	for _, m := range h.modules() {
		for _, s := range m.Subscriptions {
			s.Parking = h.stores[Entry{Module: m.Name}.Service()].lot
			c, err := h.bus.Subscribe(ctx, s)
			if err != nil {
				return fmt.Errorf("%s: subscription %s: %w", m.Name, s.Name, err)
			}
			h.consumers = append(h.consumers, c)
		}
	}
	return nil
}

// startLoops runs the background work of the modules here. The error is of a
// service that wants a leader and has no store that can tell who leads.
func (h *Host) startLoops() error {
	ctx, cancel := context.WithCancel(context.Background())
	h.stopLoops = cancel
	for _, m := range h.modules() {
		for _, l := range m.Loops {
			var leaser store.Leaser
			if l.Leader {
				s := h.stores[Entry{Module: m.Name}.Service()]
				if s == nil || s.db == nil {
					return fmt.Errorf("%s: loop %s wants one leader, and its store gives no leases", m.Name, l.Name)
				}
				leaser = s.db
			}
			runner := loopRunner{loop: l, module: m.Name, leaser: leaser, clock: h.Clock, log: h.Log.With("module", m.Name, "loop", l.Name)}
			h.loops.Go(func() { runner.run(ctx) })
		}
	}
	return h.startTasks(ctx)
}
