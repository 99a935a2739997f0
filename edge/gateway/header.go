package gateway

import (
	"context"
	"net"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"

	"trama/platform/auth"
	"trama/platform/httpx"
)

// hops are the headers that mean something between two neighbours only
// (RFC 9110, 7.6.1), beside those that Connection names.
var hops = [...]string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Transfer-Encoding", "Upgrade",
}

// dropHops removes hop-by-hop headers. Trailer stays: net/http handles it.
func dropHops(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range hops {
		delete(h, name)
	}
}

// claimed says whether a header is one in which somebody before us would say who
// the client is. Underscores count as hyphens, because CGI-like servers cannot
// tell them apart.
func claimed(name string) bool {
	if strings.IndexByte(name, '_') >= 0 {
		name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	}
	switch {
	case strings.HasPrefix(name, "X-Forwarded-"), strings.HasPrefix(name, auth.ClientPrefix):
		return true
	case name == "Forwarded", name == "X-Real-Ip":
		return true
	}
	return false
}

// dress makes the headers of a request what a service may believe: the client's
// own ones, minus what it claims about itself, plus what the gateway knows. The
// header map must be the request's own.
func dress(ctx context.Context, h http.Header, in *http.Request) {
	trailers := strings.EqualFold(strings.TrimSpace(h.Get("Te")), "trailers")
	dropHops(h)
	if trailers {
		h["Te"] = []string{"trailers"}
	}
	for name := range h {
		if claimed(name) {
			delete(h, name)
		}
	}
	delete(h, "Expect") // met here, when the service reads the body

	address := in.RemoteAddr
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	proto := "http"
	if in.TLS != nil {
		proto = "https"
	}
	h[auth.ForwardedHeader] = []string{address}
	h["X-Forwarded-Proto"] = []string{proto}
	h["X-Forwarded-Host"] = []string{in.Host}
	if auth.From(ctx).Local {
		h[auth.LocalHeader] = []string{"1"}
	}
	if id := httpx.RequestIDOf(ctx); id != "" {
		h[httpx.RequestIDHeader] = []string{id}
	}
	h.Add("Via", "1.1 trama")
	delete(h, "Traceparent")
	delete(h, "Tracestate")
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
}
