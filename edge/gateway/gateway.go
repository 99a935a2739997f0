package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"trama/platform/auth"
	"trama/platform/clock"
	"trama/platform/discovery"
	"trama/platform/httpx"
	"trama/platform/id"
	"trama/platform/telemetry"
)

// Deps is what the host gives to the gateway.
type Deps struct {
	Log   *slog.Logger
	Clock clock.Clock
	IDs   id.Source // request ids
	// Auth recognises callers by their connection (auth.NewChecker(token, true)).
	Auth *auth.Checker
	// Local gives the handler of a service that runs in this process, with the
	// service's own chain in front; nil when it does not. Asked for every request.
	// Nil: no service runs here.
	Local func(service string) http.Handler
	// Resolver finds services in other processes. Nil: there are none.
	Resolver discovery.Resolver
	// Docs serves the contracts and their pages (ServiceDocs) when Local does not.
	Docs http.Handler
	// Checks is what /readyz measures, in the order of its answer.
	Checks []Check
	// Routes is the route table; nil means Routes().
	Routes []Route
	// Telemetry takes a server span of every request, but for probes and files, and
	// a client span of each that goes to another process. Nil: nobody does.
	Telemetry *telemetry.Recorder
	// Template gives the route template of a request as a service sees it
	// (httpx.Templates), after which spans and measurements are named. Nil: none.
	Template func(*http.Request) string
}

// Gateway is the door. It is an http.Handler and safe for concurrent use.
type Gateway struct {
	cfg       Config
	deps      Deps
	table     *Table
	proxies   map[string]http.Handler // by service
	transport *http.Transport
	health    *health
	door      http.Handler // the chain in front of serve
	probes    http.Handler // the shorter one in front of /livez and /readyz
}

// New makes a gateway; it does no I/O and starts nothing.
func New(cfg Config, d Deps) (*Gateway, error) {
	if problems := cfg.Check(); len(problems) > 0 {
		p := problems[0]
		return nil, fmt.Errorf("gateway: %s = %s %s, as %s", p.Key, p.Value, p.Rule, p.Try)
	}
	if d.Log == nil || d.Clock == nil || d.IDs == nil || d.Auth == nil {
		return nil, errors.New("gateway: Deps needs Log, Clock, IDs and Auth")
	}
	if d.Local == nil {
		d.Local = func(string) http.Handler { return nil }
	}
	if d.Resolver == nil {
		d.Resolver = discovery.Static(nil)
	}
	if d.Routes == nil {
		d.Routes = Routes()
	}
	table, err := NewTable(d.Routes)
	if err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg.filled(), deps: d, table: table, proxies: map[string]http.Handler{}}
	g.transport = newTransport(g.cfg.Upstream)
	for _, service := range table.Services() {
		g.proxies[service] = newProxy(traced(service, d.Telemetry, &upstream{
			service: service, resolver: d.Resolver, next: g.transport, clock: d.Clock,
			skipFor: g.cfg.Upstream.SkipFor, skip: map[string]time.Time{},
		}), d.Log)
	}
	if g.health, err = newHealth(g.cfg.Health, d.Clock, d.Log, g.fillChecks(d.Checks)); err != nil {
		return nil, err
	}
	first := []httpx.Middleware{httpx.WithLogger(d.Log), httpx.RequestID(d.IDs.New)}
	g.probes = httpx.Chain(http.HandlerFunc(g.probe), append(slices.Clone(first), httpx.Trace, httpx.Language, httpx.Recover)...)
	g.door = httpx.Chain(http.HandlerFunc(g.serve), append(first,
		httpx.Traced(d.Telemetry.For("gateway"), g.template), httpx.Language,
		httpx.AccessLog(time.Now), // measures with the monotonic clock
		httpx.Recover, g.target, httpx.BodyLimit(g.cfg.MaxBody), d.Auth.Middleware)...)
	return g, nil
}

// Table gives the routes.
func (g *Gateway) Table() *Table { return g.table }

// Drain makes /readyz say that the process is ending; requests are still served.
func (g *Gateway) Drain() { g.health.draining.Store(true) }

// Close drops idle connections to services. Call it when the server has stopped.
func (g *Gateway) Close() { g.transport.CloseIdleConnections() }

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == PathLive || r.URL.Path == PathReady {
		g.probes.ServeHTTP(w, r)
		return
	}
	g.door.ServeHTTP(w, r)
}

// methods are what the door lets through; which of them a path knows is its
// service's business.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// target refuses request lines that no service may see.
func (g *Gateway) target(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !slices.Contains(methods, r.Method):
			w.Header().Set("Allow", strings.Join(methods, ", "))
			httpx.WriteProblem(w, r, httpx.ErrMethod)
		case len(r.RequestURI) > g.cfg.MaxURL:
			httpx.WriteProblem(w, r, httpx.ErrURITooLong)
		case r.Method == http.MethodOptions && r.URL.Path == "*": // about the server as a whole
			w.Header().Set("Allow", strings.Join(methods, ", "))
			w.WriteHeader(http.StatusNoContent)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// serve routes one request.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	m, err := g.table.Match(r.URL)
	if err != nil {
		httpx.WriteProblem(w, r, err)
		return
	}
	ctx := context.WithValue(r.Context(), matchKey{}, &m)
	var b *body
	if r.Body != nil && r.Body != http.NoBody {
		b = &body{ReadCloser: r.Body}
	}
	limit := or(m.Route.Timeout, g.cfg.Timeout)
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
		bound(ctx, w, b != nil)
	}
	r = r.WithContext(ctx)
	if b != nil {
		r.Body = b
	}
	a := newAnswer(w, r, m.Route.API(), b)
	defer a.settle()
	if limit > 0 {
		timer := time.AfterFunc(limit+grace, a.expire)
		defer timer.Stop()
	}
	if h := g.local(m.Route.Service); h != nil {
		h.ServeHTTP(a, inside(r, &m))
	} else {
		g.proxies[m.Route.Service].ServeHTTP(a, r)
	}
	a.finish()
}

// bound makes the connection's own deadlines follow the time limit, because
// nothing else wakes a service that waits for a slow client.
func bound(ctx context.Context, w http.ResponseWriter, reads bool) {
	deadline, _ := ctx.Deadline()
	rc := http.NewResponseController(w)
	if reads {
		// After the limit itself: a read deadline also ends the request's context,
		// as if the client had left.
		_ = rc.SetReadDeadline(deadline.Add(2 * grace)) // not supported by tests' recorders
	}
	_ = rc.SetWriteDeadline(deadline.Add(drainTime))
}

// local gives the handler of a service in this process, or nil.
func (g *Gateway) local(service string) http.Handler {
	if h := g.deps.Local(service); h != nil {
		return h
	}
	if service == ServiceDocs && g.deps.Docs != nil {
		return g.deps.Docs
	}
	return nil
}

// inside makes the request that a service in this process gets: what would have
// arrived over the wire.
func inside(r *http.Request, m *Match) *http.Request {
	in := r.WithContext(r.Context())
	u := *r.URL
	u.Scheme, u.Host, u.User = "", "", nil
	u.Path, u.RawPath = m.Path, m.RawPath
	in.URL = &u
	in.RequestURI = u.RequestURI()
	in.Header = r.Header.Clone()
	in.Close, in.TLS = false, nil
	dress(r.Context(), in.Header, r)
	return in
}

type matchKey struct{}

// matchOf gives where the request of ctx goes.
func matchOf(ctx context.Context) *Match {
	m, _ := ctx.Value(matchKey{}).(*Match)
	return m
}
