package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"trama/platform/httpx"
)

// Limits of Server.
const (
	MaxHeader         = 32 << 10 // request line and header fields, in bytes (net/http adds 4 KiB of slack)
	ReadHeaderTimeout = 10 * time.Second
	IdleTimeout       = 2 * time.Minute
)

// Server makes the HTTP server for a gateway: limits against slow and oversized
// requests, HTTP/1.1 only. Time limits of single requests are the handler's. The
// log is told at debug level what net/http complains of, because that names
// clients' addresses.
//
// Serve it on Listener(l): then a message with both Content-Length and
// Transfer-Encoding is refused, and what net/http answers by itself (400, 431,
// 501, 505) is a problem like everything else.
func Server(addr string, handler http.Handler, log *slog.Logger) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Addr:                         addr,
		Handler:                      guard(handler),
		Protocols:                    &protocols,
		ReadHeaderTimeout:            ReadHeaderTimeout,
		IdleTimeout:                  IdleTimeout,
		MaxHeaderBytes:               MaxHeader,
		DisableGeneralOptionsHandler: true, // the gateway answers OPTIONS *
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if c, ok := c.(*conn); ok {
				return context.WithValue(ctx, connKey{}, c)
			}
			return ctx
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			if c, ok := c.(*conn); ok && state == http.StateIdle {
				c.between()
			}
		},
	}
}

type connKey struct{}

// guard refuses what the connection found wrong with the message's head.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*conn); ok && c.serving() {
			w.Header().Set("Connection", "close")
			httpx.WriteProblem(w, r, ErrSmuggling)
			return
		}
		if len(r.TransferEncoding) > 0 {
			// Whoever stands before us may have framed this message by a
			// Content-Length that a pipelined head hid from us; what follows on this
			// connection is not to be trusted (RFC 9112, 6.1).
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// Listener makes l's connections look at what net/http does not show. It is for
// plain connections; above TLS it would see only ciphertext and do nothing.
func Listener(l net.Listener) net.Listener { return &listener{l} }

type listener struct{ net.Listener }

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

// conn is a client's connection. Between two requests, when no handler runs,
// everything read belongs to a message's head (only a client that pipelines
// hides a head from it), and everything written is net/http's own.
type conn struct {
	net.Conn
	busy atomic.Bool // a handler runs

	mu   sync.Mutex // net/http reads ahead beside the handler
	head head
}

// serving marks the begin of a handler; it says whether the head it got states
// its length in two ways.
func (c *conn) serving() (ambiguous bool) {
	c.busy.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head.ambiguous()
}

func (c *conn) between() {
	c.mu.Lock()
	c.head = head{}
	c.mu.Unlock()
	c.busy.Store(false)
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.busy.Load() {
		c.mu.Lock()
		c.head.scan(p[:n])
		c.mu.Unlock()
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if c.busy.Load() {
		return c.Conn.Write(p)
	}
	problem := rewrite(p)
	if problem == nil {
		return c.Conn.Write(p)
	}
	if _, err := c.Conn.Write(problem); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite lets net/http close in two steps, so that the client can read an
// answer that came before its request was whole.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// head looks for the two headers that state a message's length, in whatever
// pieces the head arrives.
type head struct {
	line             [len("transfer-encoding:")]byte // begin of the current line, in lower case
	n                int                             // of the line so far, at most len(line)
	text             bool                            // a line with text was seen: the request line
	done             bool
	length, transfer bool
}

func (h *head) ambiguous() bool { return h.length && h.transfer }

func (h *head) scan(p []byte) {
	for len(p) > 0 && !h.done {
		end := bytes.IndexByte(p, '\n')
		part := p
		if end >= 0 {
			part = p[:end]
		}
		h.add(part)
		if end < 0 {
			return
		}
		h.endLine()
		p = p[end+1:]
	}
}

func (h *head) add(part []byte) {
	for _, c := range part[:min(len(part), len(h.line)-h.n)] {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		h.line[h.n] = c
		h.n++
	}
}

func (h *head) endLine() {
	line := h.line[:h.n]
	h.n = 0
	switch {
	case len(line) == 0 || len(line) == 1 && line[0] == '\r':
		h.done = h.text // an empty line before the request line is tolerated
		return
	case bytes.HasPrefix(line, []byte("content-length:")):
		h.length = true
	case bytes.HasPrefix(line, []byte("transfer-encoding:")):
		h.transfer = true
	}
	h.text = true
}

// ownHeaders is how net/http's own error answers look between status and text.
var ownHeaders = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// rewrite makes a problem of an error answer of net/http; nil when p is none.
func rewrite(p []byte) []byte {
	line, _, found := bytes.Cut(p, ownHeaders)
	code, isHTTP := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	if !found || !isHTTP || len(code) < 3 {
		return nil
	}
	status, err := strconv.Atoi(string(code[:3]))
	if err != nil {
		return nil
	}
	f := httpx.ErrRequest
	if status == http.StatusRequestHeaderFieldsTooLarge {
		f = httpx.ErrHeaderTooLarge
	}
	problem := httpx.NewProblem(f, httpx.Portuguese) // the head with the language was not read
	problem.Status = status
	body, err := json.Marshal(problem)
	if err != nil { // strings and ints only: cannot happen
		return nil
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Language: pt-BR\r\nCache-Control: no-store\r\n"+
		"X-Content-Type-Options: nosniff\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), httpx.ContentType, len(body), body)
}
