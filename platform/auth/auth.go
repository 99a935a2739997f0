// Package auth says who is calling, as far as this version knows: an operator
// (who holds the operator token), somebody on this machine, or anyone. Roles
// and people come with the identity service.
//
// The operator token is 32 random bytes in hex, made at the first start, kept
// in the data folder's file "operator-token" with mode 0600, or given by
// configuration. Services check it themselves: a slip of the gateway opens
// nothing.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"trama/platform/fault"
)

// Caller is who sent a request.
type Caller struct {
	Operator bool // holds the operator token
	Local    bool // a person or program on this machine, talking to a loopback address directly
	BadToken bool // sent a token that is not valid
}

type contextKey struct{}

// NewContext puts the caller into a context.
func NewContext(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// From gives the caller; the zero Caller is anyone.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(contextKey{}).(Caller)
	return c
}

// Name gives the caller's name for scoping idempotency keys.
func Name(ctx context.Context) string {
	if From(ctx).Operator {
		return "operador"
	}
	return ""
}

var (
	errNeedToken = fault.New(fault.Unauthenticated, "token-ausente", fault.Text{
		PT: "Esta rota é da equipe: envie Authorization: Bearer com o token de operador (arquivo operator-token da pasta de dados).",
		EN: "This route is for staff: send Authorization: Bearer with the operator token (file operator-token in the data folder).",
	})
	errBadToken = fault.New(fault.Unauthenticated, "token-invalido", fault.Text{
		PT: "O token enviado não vale.",
		EN: "The token sent is not valid.",
	})
)

// RequireOperator returns nil for an operator, an Unauthenticated fault otherwise.
func RequireOperator(ctx context.Context) error {
	switch c := From(ctx); {
	case c.Operator:
		return nil
	case c.BadToken:
		return errBadToken
	default:
		return errNeedToken
	}
}

// RequireLocalOrOperator lets somebody on this machine pass too.
func RequireLocalOrOperator(ctx context.Context) error {
	if c := From(ctx); c.Local && !c.BadToken {
		return nil
	}
	return RequireOperator(ctx)
}

// ForwardedHeader carries the client's address from our gateway to a service in
// another process. The gateway overwrites what clients send.
const ForwardedHeader = "X-Forwarded-For"

// ClientPrefix begins the headers in which our gateway tells services who the
// client is; the gateway strips them from clients' requests. Other Trama-…
// headers (the acquirer's signature) are the client's own.
const ClientPrefix = "Trama-Cliente-"

// LocalHeader is set to "1" by the gateway for a client on this machine; the
// gateway strips it from clients' requests.
const LocalHeader = ClientPrefix + "Local"

// Checker recognises callers.
type Checker struct {
	digest  [32]byte
	gateway bool
}

// NewChecker makes a checker for the given operator token. At the gateway it
// judges by the connection; in a service (gateway false) by what our gateway
// says, when the connection comes from this machine, else the caller is remote.
func NewChecker(operatorToken string, gateway bool) *Checker {
	return &Checker{digest: sha256.Sum256([]byte(operatorToken)), gateway: gateway}
}

// Middleware puts the Caller into the request's context.
func (c *Checker) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), c.Caller(r))))
	})
}

// Caller judges one request.
func (c *Checker) Caller(r *http.Request) Caller {
	var who Caller
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
		who.Operator = subtle.ConstantTimeCompare(sum[:], c.digest[:]) == 1
		who.BadToken = !who.Operator
	}
	if c.gateway {
		who.Local = direct(r)
	} else {
		who.Local = loopback(r.RemoteAddr) && r.Header.Get(LocalHeader) == "1"
	}
	return who
}

// direct says whether the client itself is on this machine: a loopback peer, no
// proxy in between, and a Host that names this machine (a foreign name resolved
// to 127.0.0.1 is a DNS rebinding attack on a browser here).
func direct(r *http.Request) bool {
	if !loopback(r.RemoteAddr) || r.Header.Get(ForwardedHeader) != "" || r.Header.Get("Forwarded") != "" || r.Header.Get("Via") != "" {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func loopback(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}
