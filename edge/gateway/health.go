package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"trama/platform/clock"
	"trama/platform/fault"
	"trama/platform/httpx"
)

// Paths of the health answers.
const (
	PathLive  = "/livez"  // 200 while the process serves
	PathReady = "/readyz" // 200 when every required check passes, else 503
)

// Check is one thing that readiness depends on.
type Check struct {
	Name string // as it is shown: "barramento", "payments"
	// Required makes a failure the whole answer's.
	Required bool
	// Run measures; nil is good. A fault's Portuguese text is shown as the reason,
	// any other error only as "falhou", because its text may name hosts.
	Run func(context.Context) error
	// Service, instead of Run, checks that the service is here or that one of its
	// addresses accepts connections.
	Service string
}

// fillChecks gives the checks of services their Run.
func (g *Gateway) fillChecks(checks []Check) []Check {
	filled := make([]Check, len(checks))
	for i, c := range checks {
		if c.Run == nil && c.Service != "" {
			c.Run = func(ctx context.Context) error { return g.reach(ctx, c.Service) }
		}
		filled[i] = c
	}
	return filled
}

var (
	errNowhere = fault.New(fault.Unavailable, "servico-indisponivel", fault.Text{
		PT: "não está em execução em nenhum endereço conhecido",
		EN: "runs at no known address",
	})
	errSilent = fault.New(fault.Unavailable, "servico-indisponivel", fault.Text{
		PT: "nenhum endereço aceita conexões",
		EN: "no address accepts connections",
	})
)

// reach says whether a service can be reached.
func (g *Gateway) reach(ctx context.Context, service string) error {
	if g.local(service) != nil {
		return nil
	}
	urls, err := g.deps.Resolver.Resolve(ctx, service)
	if err != nil {
		return errNowhere.Wrap(err)
	}
	var failed []error
	for _, base := range urls {
		_, address, _ := strings.Cut(base, "://")
		if _, _, err := net.SplitHostPort(address); err != nil {
			port := "80"
			if strings.HasPrefix(base, "https") {
				port = "443"
			}
			address = net.JoinHostPort(strings.Trim(address, "[]"), port)
		}
		conn, err := g.transport.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		failed = append(failed, err)
	}
	return errSilent.Wrap(errors.Join(failed...))
}

// report is the body of /readyz.
type report struct {
	Ready   bool     `json:"pronto"`
	Reason  string   `json:"motivo,omitempty"`
	Results []result `json:"verificacoes"`
}

type result struct {
	Name     string `json:"nome"`
	OK       bool   `json:"ok"`
	Required bool   `json:"obrigatoria"`
	Reason   string `json:"motivo,omitempty"`
	MS       int64  `json:"ms"` // how long it took

	cause error // for the log
}

// health measures readiness, at most once per cache time.
type health struct {
	cfg      Health
	clock    clock.Clock
	log      *slog.Logger
	checks   []*check
	draining atomic.Bool

	mu   sync.Mutex // one measures, the others wait for what it finds
	at   time.Time
	last *report
}

// check is a Check and what is remembered of it.
type check struct {
	Check
	busy   atomic.Bool // still running, maybe from an earlier time
	failed bool        // at the last measurement; guarded by health.mu
}

func newHealth(cfg Health, c clock.Clock, log *slog.Logger, checks []Check) (*health, error) {
	h := &health{cfg: cfg, clock: c, log: log}
	for _, one := range checks {
		if one.Run == nil {
			return nil, fmt.Errorf("gateway: check %q has neither Run nor Service", one.Name)
		}
		h.checks = append(h.checks, &check{Check: one})
	}
	return h, nil
}

// read gives the readiness, measured or remembered.
func (h *health) read() *report {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last != nil {
		if age := h.clock.Now().Sub(h.at); age >= 0 && age < h.cfg.Cache {
			return h.last
		}
	}
	h.last = h.measure()
	h.at = h.clock.Now()
	return h.last
}

// measure runs all checks side by side.
func (h *health) measure() *report {
	ctx, cancel := context.WithTimeout(context.Background(), h.cfg.Timeout)
	defer cancel()
	rep := &report{Ready: true, Results: make([]result, len(h.checks))}
	var wg sync.WaitGroup
	for i, c := range h.checks {
		wg.Go(func() { rep.Results[i] = c.result(ctx, h.clock) })
	}
	wg.Wait()
	for i, r := range rep.Results {
		rep.Ready = rep.Ready && (r.OK || !r.Required)
		h.tell(h.checks[i], r)
	}
	return rep
}

// tell logs a check that began to fail, or that is good again.
func (h *health) tell(c *check, r result) {
	if c.failed == !r.OK {
		return
	}
	c.failed = !r.OK
	if r.OK {
		h.log.Info("readiness check passes again", "check", c.Name)
		return
	}
	h.log.Warn("readiness check fails", "check", c.Name, "reason", r.Reason, "cause", r.cause)
}

// result runs one check and waits for it no longer than ctx.
func (c *check) result(ctx context.Context, clk clock.Clock) result {
	res := result{Name: c.Name, Required: c.Required}
	if !c.busy.CompareAndSwap(false, true) {
		res.Reason = "ainda sem resposta da verificação anterior"
		return res
	}
	begin := clk.Now()
	done := make(chan error, 1)
	go func() {
		defer c.busy.Store(false)
		done <- c.run(ctx)
	}()
	select {
	case err := <-done:
		res.OK, res.Reason, res.cause = err == nil, reason(err), err
	case <-ctx.Done():
		res.Reason = "sem resposta a tempo"
	}
	res.MS = clk.Now().Sub(begin).Milliseconds()
	return res
}

// run turns a panic of a check into its failure.
func (c *check) run(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("check %s panicked: %v", c.Name, p)
		}
	}()
	return c.Run(ctx)
}

// reason is what may be said about a failure.
func reason(err error) string {
	var f *fault.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		return f.Text.PT
	case errors.Is(err, context.DeadlineExceeded):
		return "sem resposta a tempo"
	}
	return "falhou"
}

// probe answers /livez and /readyz.
func (g *Gateway) probe(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		httpx.WriteProblem(w, r, httpx.ErrMethod)
		return
	}
	if r.URL.Path == PathLive {
		writeJSON(w, http.StatusOK, struct {
			Alive bool `json:"vivo"`
		}{true})
		return
	}
	rep := *g.health.read()
	if g.health.draining.Load() {
		rep.Ready, rep.Reason = false, "em encerramento"
	}
	status := http.StatusOK
	if !rep.Ready {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, status, rep)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil { // plain structs: cannot happen
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // the prober may be gone
}
