package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"trama/platform/auth"
	"trama/platform/telemetry"
)

// Send sends one request to the public API and gives its answer, like
// (*http.Client).Do. The request's context holds the visitor's auth.Caller.
type Send func(*http.Request) (*http.Response, error)

type visitorKey struct{}

// visitor is what the API must be told about the person behind the site.
type visitor struct {
	address       string // IP address
	authorization string // an operator's own header, passed on as it came
}

// WithVisitor notes in ctx on whose behalf the site will call.
func WithVisitor(ctx context.Context, r *http.Request) context.Context {
	v := visitor{authorization: r.Header.Get("Authorization")}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		v.address = host
	}
	if first := r.Header.Get(auth.ForwardedHeader); first != "" {
		v.address = first
	}
	return context.WithValue(ctx, visitorKey{}, v)
}

// transport puts on every request what the site owes to the API: the visitor's
// trace, language and standing. It turns failures into Problems.
type transport struct{ send Send }

// Do implements the generated clients' HTTP port.
//
// The site's own connection comes from this machine, so the API would take
// every visitor for a local one. It does not, because a visitor who is not
// proved local goes as a forwarded one: X-Forwarded-For takes rights away at the
// gateway and never gives any. Forgetting who is visiting therefore closes.
func (t transport) Do(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	v, _ := ctx.Value(visitorKey{}).(visitor)
	r.Header.Set("Accept-Language", "pt-BR")
	r.Header.Set("User-Agent", "trama-site")
	if tp := telemetry.TraceParent(ctx); tp != "" {
		r.Header.Set("traceparent", tp)
	}
	if v.authorization != "" {
		r.Header.Set("Authorization", v.authorization)
	}
	if auth.From(ctx).Local {
		r.Header.Set(auth.LocalHeader, "1")
	} else {
		r.Header.Set(auth.ForwardedHeader, forwarded(v.address))
	}
	resp, err := t.send(r)
	if err != nil {
		var target *url.Error // its text holds the address, and that may hold a token
		if errors.As(err, &target) {
			err = target.Err
		}
		return nil, &Problem{cause: err}
	}
	if resp.StatusCode >= http.StatusBadRequest {
		defer drain(resp.Body)
		return nil, readProblem(resp)
	}
	resp.Body = limited{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}

// forwarded gives the address to forward; a visitor without one is still one.
func forwarded(address string) string {
	if address == "" {
		return "unknown"
	}
	return address
}

type limited struct {
	io.Reader
	io.Closer
}

// drain reads a little of what is left, so that the connection can be used again.
func drain(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 64<<10))
	_ = body.Close()
}

// unexpected says that the API gave a success the contract does not have.
func unexpected(what string, res any) error {
	return fmt.Errorf("api: %s: unexpected answer %T", what, res)
}
