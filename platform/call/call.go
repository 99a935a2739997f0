// Package call carries synchronous calls between services. A caller holds a
// generated Connect client and never knows whether the other service is in its
// process or on another machine: the code path is one, and a call loses in
// process exactly what the wire would lose.
//
// Promises:
//
//   - Messages are copied; nothing is shared between caller and callee. Values of
//     the caller's context do not reach the callee; its deadline, cancellation and
//     trace do.
//   - Every call needs a deadline; one without is refused as a bug of ours.
//   - Errors arrive as *fault.Error with the callee's Kind and Code and an English
//     text; causes stay with the callee. What is not a fault arrives as Internal.
//   - A service that runs nowhere answers Unavailable, never nil. Unavailable and
//     Timeout mean that the call may have been executed: writes carry a key.
package call

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/connect/v2/connectinprocess"

	"trama/platform/discovery"
	"trama/platform/fault"
	"trama/platform/telemetry"
)

// Prefix is the path under which a process serves internal calls, each service's
// below its name.
const Prefix = "/rpc"

// maxMessage bounds a message in either direction, in bytes.
const maxMessage = 4 << 20

// Network is the calls of one process: the services it serves and the way to
// the others.
type Network struct {
	resolver  discovery.Resolver
	http      *http.Client
	telemetry *telemetry.Recorder

	mu      sync.Mutex
	servers map[string]*connect.Server
	local   map[string]connect.Transport
	remote  map[string]connect.Transport // by service and base URL
	next    map[string]int
}

// Option changes a Network.
type Option func(*Network)

// WithTelemetry makes every call a client span and, where it is served, a server
// span of the service; nil makes none.
func WithTelemetry(rec *telemetry.Recorder) Option { return func(n *Network) { n.telemetry = rec } }

// New makes a network that finds other processes through the resolver.
func New(resolver discovery.Resolver, opts ...Option) *Network {
	n := &Network{
		resolver: resolver,
		http: &http.Client{Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true,
		}},
		servers: map[string]*connect.Server{},
		local:   map[string]connect.Transport{},
		remote:  map[string]connect.Transport{},
		next:    map[string]int{},
	}
	for _, opt := range opts {
		opt(n)
	}
	return n
}

// Serve makes a service's calls available in this process. Called while the
// process is put together, several times for a service with several roles.
func (n *Network) Serve(service string, register func(*connect.Server)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, ok := n.servers[service]
	if !ok {
		s = connect.NewServer(serverInterceptor(n.telemetry.For(service)))
		n.servers[service] = s
		n.local[service] = connectinprocess.New(s)
	}
	register(s)
}

// Handler serves this process's calls to others, below Prefix; call it after
// the last Serve.
func (n *Network) Handler() http.Handler {
	n.mu.Lock()
	defer n.mu.Unlock()
	mux := http.NewServeMux()
	for service, s := range n.servers { // apart, since several may serve the same contract
		own := http.NewServeMux()
		connecthttp.Mount(own, s, connecthttp.WithReadMaxBytes(maxMessage))
		mux.Handle("/"+service+"/", http.StripPrefix("/"+service, own))
	}
	return http.StripPrefix(Prefix, mux)
}

// Client gives a client for the calls of a service, wherever it runs.
func (n *Network) Client(service string) *connect.Client {
	return connect.NewClient(&transport{network: n, service: service}, n.clientInterceptor)
}

// Close drops idle connections.
func (n *Network) Close() { n.http.CloseIdleConnections() }

// transport chooses the way for each call.
type transport struct {
	network *Network
	service string
}

func (t *transport) NewClientStream(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, errors.New("call: " + spec.Procedure + " without a deadline")
	}
	way, err := t.network.way(ctx, t.service)
	if err != nil {
		return nil, err
	}
	return way.NewClientStream(ctx, spec)
}

func (n *Network) way(ctx context.Context, service string) (connect.Transport, error) {
	n.mu.Lock()
	local, ok := n.local[service]
	n.mu.Unlock()
	if ok {
		return local, nil
	}
	urls, err := n.resolver.Resolve(ctx, service)
	if err != nil {
		return nil, err
	}
	if len(urls) == 0 {
		return nil, unavailable(errors.New("no instance of " + service + " is known"))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	base := urls[n.next[service]%len(urls)]
	n.next[service]++
	way, ok := n.remote[service+" "+base]
	if !ok {
		way = connecthttp.NewTransport(n.http, base+Prefix+"/"+service,
			connecthttp.WithReadMaxBytes(maxMessage), connecthttp.WithSendMaxBytes(maxMessage))
		n.remote[service+" "+base] = way
	}
	return way, nil
}

func unavailable(cause error) *fault.Error {
	return fault.New(fault.Unavailable, "servico-indisponivel", fault.Text{
		PT: "Uma parte do sistema está fora do ar. Nada se perdeu; tente de novo em instantes.",
		EN: "A part of the system is down. Nothing was lost; try again in a moment.",
	}).Wrap(cause)
}
