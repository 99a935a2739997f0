package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"trama/platform/clock"
	"trama/platform/discovery"
	"trama/platform/httpx"
)

// maxTries bounds how many addresses one request may dial.
const maxTries = 3

// maxUpstreamHeader bounds the headers of a service's answer, in bytes.
const maxUpstreamHeader = 128 << 10

// newTransport makes the connections to services in other processes.
func newTransport(c Upstream) *http.Transport {
	return &http.Transport{
		Proxy:                  nil, // a service is never behind the environment's proxy
		DialContext:            (&net.Dialer{Timeout: c.DialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns:           0, // bounded per address
		MaxIdleConnsPerHost:    c.IdlePerHost,
		IdleConnTimeout:        c.IdleTimeout,
		ResponseHeaderTimeout:  c.HeaderTimeout,
		MaxResponseHeaderBytes: maxUpstreamHeader,
		DisableCompression:     true, // what the service says is what the client gets
		WriteBufferSize:        8 << 10,
		ReadBufferSize:         8 << 10,
	}
}

// upstream is one service in other processes. It is a RoundTripper that chooses
// an address for each request.
type upstream struct {
	service  string
	resolver discovery.Resolver
	next     http.RoundTripper
	clock    clock.Clock
	skipFor  time.Duration

	turn atomic.Uint32
	mu   sync.Mutex
	skip map[string]time.Time // addresses that refused a connection, until when they come last
}

// newProxy makes the handler that sends requests to the upstream.
func newProxy(u http.RoundTripper, log *slog.Logger) http.Handler {
	return &httputil.ReverseProxy{
		Transport:  u,
		BufferPool: &buffers{},
		ErrorLog:   slog.NewLogLogger(log.Handler(), slog.LevelInfo), // an answer that broke off
		Rewrite: func(p *httputil.ProxyRequest) {
			m := matchOf(p.In.Context())
			p.Out.URL.Path, p.Out.URL.RawPath = m.Path, m.RawPath
			p.Out.URL.RawQuery = p.In.URL.RawQuery // as it came: the service judges it
			p.Out.Host = p.In.Host
			dress(p.In.Context(), p.Out.Header, p.In)
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			a := w.(*answer) // serve gives nothing else to a service
			httpx.WriteProblem(a, a.r, proxyFault(a, err))
		},
	}
}

// proxyFault says what a failed try means to the client.
func proxyFault(a *answer, err error) error {
	if f := a.body.fault(); f != nil {
		return f
	}
	if ctxErr := a.r.Context().Err(); ctxErr != nil {
		return a.ended(ctxErr)
	}
	var timeout net.Error
	switch {
	case errors.Is(err, ErrDown):
		return err
	case errors.As(err, &timeout) && timeout.Timeout():
		return ErrTimeout.Wrap(err)
	}
	return ErrBroken.Wrap(err)
}

// RoundTrip sends the request to one of the service's addresses. Only when a
// connection could not be made does it try another, because then nothing was
// sent.
func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.WithContext(r.Context())
	hideKey(out)
	var again *replay
	if out.Body != nil && out.Body != http.NoBody {
		again = &replay{src: r.Body}
		out.GetBody = again.reader
	}
	var tried []string
	last := discovery.Unknown(u.service)
	for range 2 { // the second time with fresh addresses
		urls, err := u.resolver.Resolve(r.Context(), u.service)
		if err != nil {
			return nil, ErrDown.Wrap(errors.Join(err, u.because(tried, last)))
		}
		for _, base := range u.order(urls) {
			if len(tried) == maxTries || slices.Contains(tried, base) {
				continue
			}
			tried = append(tried, base)
			res, err := u.send(out, base, again)
			if err == nil || !neverSent(r.Context(), err) {
				return res, err
			}
			u.refused(base)
			last = err
		}
		discovery.Invalidate(u.resolver)
	}
	return nil, ErrDown.Wrap(last)
}

// because gives the last failure as a cause, if there was a try.
func (u *upstream) because(tried []string, last error) error {
	if len(tried) == 0 {
		return nil
	}
	return last
}

func (u *upstream) send(out *http.Request, base string, again *replay) (*http.Response, error) {
	scheme, host, _ := strings.Cut(base, "://")
	target := *out.URL
	target.Scheme, target.Host = scheme, host
	out.URL = &target
	if again != nil {
		body, err := again.reader()
		if err != nil {
			return nil, err
		}
		out.Body = body
	}
	return u.next.RoundTrip(out)
}

// neverSent says whether the request cannot have reached anybody.
func neverSent(ctx context.Context, err error) bool {
	var op *net.OpError
	return ctx.Err() == nil && errors.As(err, &op) && op.Op == "dial"
}

// hideKey keeps net/http's transport from sending a command twice. It does so on
// its own when a kept connection breaks, the body is empty and the header has an
// Idempotency-Key; it looks for the canonical spelling, a server accepts any.
func hideKey(r *http.Request) {
	for _, name := range [...]string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values, ok := r.Header[name]; ok {
			delete(r.Header, name)
			r.Header[strings.ToLower(name)] = values
		}
	}
}

// order gives the addresses in the order in which to try them: in turn, those
// that refused lately last.
func (u *upstream) order(urls []string) []string {
	if len(urls) == 1 {
		return urls
	}
	first := int(u.turn.Add(1) % uint32(len(urls)))
	turned := slices.Concat(urls[first:], urls[:first])
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.skip) == 0 {
		return turned
	}
	now := u.clock.Now()
	good, bad := make([]string, 0, len(turned)), []string(nil)
	for _, base := range turned {
		if until, ok := u.skip[base]; ok && now.Before(until) {
			bad = append(bad, base)
		} else {
			delete(u.skip, base)
			good = append(good, base)
		}
	}
	return append(good, bad...)
}

func (u *upstream) refused(base string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.clock.Now()
	for other, until := range u.skip { // addresses change; do not keep those of the past
		if !now.Before(until) {
			delete(u.skip, other)
		}
	}
	u.skip[base] = now.Add(u.skipFor)
}

// buffers is a pool of copy buffers.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
