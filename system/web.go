package system

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"trama/clients/site"
	"trama/contracts/rest"
	"trama/contracts/rest/docspage"
	"trama/edge/gateway"
	"trama/platform/auth"
	"trama/platform/call"
	"trama/platform/datadir"
	"trama/platform/discovery/filediscovery"
	"trama/platform/httpx"
	"trama/platform/idempotency"
	"trama/platform/module"
)

// apiTimeout bounds a request that the site sends to the public API.
const apiTimeout = 30 * time.Second

// listen opens the sockets before anything else, so that an address in use is
// told before any work is done.
func (h *Host) listen() error {
	if h.has("gateway.http") {
		l := h.Listener
		if l == nil {
			var err error
			if l, err = net.Listen("tcp", h.Config.Listen); err != nil {
				return fmt.Errorf("gateway: %w", err)
			}
		}
		h.public = &web{listener: gateway.Listener(l)}
	}
	if !h.alone() {
		l, err := net.Listen("tcp", h.Config.Internal.Listen)
		if err != nil {
			return fmt.Errorf("internal server: %w", err)
		}
		h.internal = &web{listener: l}
	}
	if address := h.Config.Telemetry.Metrics; address != "" {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
		h.metrics = &web{listener: l}
	}
	return nil
}

// handlers puts together what the modules here answer, by service. From here on
// calls between services of this process work.
func (h *Host) handlers() (map[string]http.Handler, error) {
	if err := h.readContracts(); err != nil {
		return nil, err
	}
	handlers := map[string]http.Handler{}
	for _, m := range h.modules() {
		service := Entry{Module: m.Name}.Service()
		if m.RPC != nil {
			h.network.Serve(service, m.RPC)
		}
		if m.REST != nil {
			handlers[service] = h.chain(service, m)
		}
	}
	h.serveAgents()
	if h.has("site.web") {
		pages, err := h.site()
		if err != nil {
			return nil, fmt.Errorf("site: %w", err)
		}
		handlers["site"] = pages
	}
	return handlers, nil
}

// serve starts the servers on the handlers.
func (h *Host) serve(handlers map[string]http.Handler) error {
	if h.metrics != nil {
		mux := http.NewServeMux()
		mux.Handle("/metrics", h.telemetry.Handler())
		h.metrics.server = &http.Server{Handler: mux, ReadHeaderTimeout: gateway.ReadHeaderTimeout, IdleTimeout: gateway.IdleTimeout}
		h.metrics.run(h.Log)
	}
	if h.internal != nil {
		mux := http.NewServeMux()
		mux.Handle(call.Prefix+"/", h.network.Handler())
		mux.Handle("/metrics", h.telemetry.Handler())
		for _, r := range gateway.Routes() {
			for _, v := range r.Versions {
				if target := handlers[r.Service]; target != nil {
					mux.Handle("/"+v+r.Prefix+"/", target)
					mux.Handle("/"+v+r.Prefix, target)
				}
			}
		}
		if pages := handlers["site"]; pages != nil {
			mux.Handle("/", pages)
		}
		h.internal.server = &http.Server{Handler: mux, ReadHeaderTimeout: gateway.ReadHeaderTimeout, IdleTimeout: gateway.IdleTimeout}
		h.internal.run(h.Log)
	}
	if h.public != nil {
		return h.openDoor(handlers)
	}
	return nil
}

// chain puts in front of a service's routes what every service has.
func (h *Host) chain(service string, m module.Module) http.Handler {
	guard := idempotency.NewGuard(h.Dir.Secret(service+".idempotency"), auth.Name, httpx.WriteProblem)
	checker := auth.NewChecker(h.Dir.OperatorToken(), false)
	options := []httpx.Option{httpx.WithMiddleware(checker.Middleware, h.staffFirst, guard.Middleware),
		httpx.WithTelemetry(h.telemetry.For(service), h.template)}
	if h.alone() {
		options = append(options, httpx.Inside())
	}
	return httpx.Service(h.Log.With("module", m.Name), m.REST, options...)
}

// staffFirst asks for the operator token before anything of the request is
// read, on the routes that the contracts keep for staff: whoever may not write is
// told so, not what is wrong with the body. Services check again.
func (h *Host) staffFirst(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := h.staff.Handler(r); pattern != "" {
			if err := auth.RequireOperator(r.Context()); err != nil {
				httpx.WriteProblem(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// readContracts takes from the public contract what the chain needs: which routes
// are kept for staff, and the route of a request, for traces.
func (h *Host) readContracts() error {
	operations, err := rest.Operations()
	if err != nil {
		return fmt.Errorf("contracts: %w", err)
	}
	h.staff = http.NewServeMux()
	var templates []string
	for _, o := range operations {
		templates = append(templates, o.Method+" "+o.Path)
		if o.Staff {
			h.staff.Handle(o.Method+" "+o.Path, http.NotFoundHandler())
		}
	}
	h.template = httpx.Templates(templates...)
	return nil
}

// openDoor starts the gateway in front of the handlers here and the services elsewhere.
func (h *Host) openDoor(handlers map[string]http.Handler) error {
	g, err := gateway.New(h.Config.Gateway, gateway.Deps{
		Log: h.Log.With("module", "gateway.http"), Clock: h.Clock, IDs: h.ids,
		Auth:      auth.NewChecker(h.Dir.OperatorToken(), true),
		Local:     func(service string) http.Handler { return handlers[service] },
		Resolver:  h.resolver,
		Docs:      docspage.Handler(),
		Checks:    h.checks(),
		Telemetry: h.telemetry, Template: h.template,
	})
	if err != nil {
		return err
	}
	h.gateway = g
	h.public.server = gateway.Server(h.Config.Listen, g, h.Log)
	h.public.run(h.Log)
	return nil
}

// checks is what readiness depends on, as far as this process can see it.
func (h *Host) checks() []gateway.Check {
	out := []gateway.Check{{Name: "barramento", Required: true, Run: h.bus.Ping}}
	for _, service := range Services() {
		if s := h.stores[service]; s != nil {
			out = append(out, gateway.Check{Name: "dados de " + service, Required: true, Run: s.ping})
		}
		if service != "gateway" && !h.answers(service) {
			out = append(out, gateway.Check{Name: service, Required: true, Service: service})
		}
	}
	return out
}

// site builds the pages; they reach the API through the gateway's own door,
// wherever it is.
func (h *Host) site() (http.Handler, error) {
	h.siteCalls = &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, DisableCompression: true}
	client := &http.Client{
		Timeout:   apiTimeout,
		Transport: h.siteCalls,
		// A redirect is an answer for the visitor's page, not for us to follow.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s, err := site.New(h.Config.Site, site.Deps{
		API: func(r *http.Request) (*http.Response, error) {
			base, err := h.door(r.Context())
			if err != nil {
				return nil, err
			}
			r.URL.Host = base
			return client.Do(r)
		},
		APIBase: "http://" + placeholderHost,
		Clock:   h.Clock, IDs: h.ids, Log: h.Log.With("module", "site.web"),
	})
	if err != nil {
		return nil, err
	}
	checker := auth.NewChecker(h.Dir.OperatorToken(), false)
	return httpx.Chain(s.Modules[0].REST, httpx.WithLogger(h.Log), httpx.Traced(h.telemetry.For("site"), nil), checker.Middleware), nil
}

// placeholderHost stands in API URLs of the site until the gateway is resolved.
const placeholderHost = "127.0.0.1"

// door gives the host and port of the gateway as this process can reach it.
func (h *Host) door(ctx context.Context) (string, error) {
	if h.public != nil {
		return Reachable(h.public.listener.Addr().String()), nil
	}
	urls, err := h.resolver.Resolve(ctx, "gateway")
	if err != nil {
		return "", err
	}
	return hostOf(urls[0]), nil
}

// announceAll tells other processes of this machine what runs here; also when the
// system is alone, for the operators' commands.
func (h *Host) announceAll() error {
	var entries []filediscovery.Entry
	if h.internal != nil {
		var services []string
		for _, s := range Services() {
			if s != "gateway" && h.answers(s) {
				services = append(services, s)
			}
		}
		entries = append(entries, filediscovery.Entry{Process: "internal", URL: "http://" + Reachable(h.internal.listener.Addr().String()), Services: services})
	}
	if h.public != nil {
		entries = append(entries, filediscovery.Entry{Process: "gateway", URL: "http://" + Reachable(h.public.listener.Addr().String()), Services: []string{"gateway"}})
	}
	for _, e := range entries {
		if len(e.Services) == 0 {
			continue
		}
		a, err := h.registry.Announce(e)
		if err != nil {
			return err
		}
		h.announce = append(h.announce, a.Withdraw)
	}
	return nil
}

// answers says whether this process serves requests or calls of the service: a
// process with only its worker must not be found by those who call its API.
func (h *Host) answers(service string) bool {
	return h.has(service+".api") || h.has(service+".web")
}

// Missing gives the services that have not announced themselves on this machine
// yet, the gateway apart.
func Missing(ctx context.Context, dir *datadir.Dir, log *slog.Logger) []string {
	registry := filediscovery.New(dir.Path("run"), log)
	var out []string
	for _, service := range Services() {
		if service == "gateway" {
			continue
		}
		if _, err := registry.Resolve(ctx, service); err != nil {
			out = append(out, service)
		}
	}
	return out
}
