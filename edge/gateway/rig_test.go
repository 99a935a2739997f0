package gateway_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/edge/gateway"
	"trama/platform/auth"
	"trama/platform/clock"
	"trama/platform/discovery"
	"trama/platform/httpx"
	"trama/platform/id"
)

const operatorToken = "0123456789abcdef0123456789abcdef"

// rig is a gateway that serves, as a client sees it.
type rig struct {
	url  string
	addr string
	gw   *gateway.Gateway
	log  *logBuffer
}

// logBuffer collects the log of concurrent requests.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// deps gives what every gateway of the tests has.
func deps(log io.Writer) gateway.Deps {
	return gateway.Deps{
		Log:   slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Clock: clock.System{},
		IDs:   id.New(clock.System{}, rand.Reader),
		Auth:  auth.NewChecker(operatorToken, true),
	}
}

// serve starts a gateway behind its real server and listener.
func serve(t testing.TB, cfg gateway.Config, change func(*gateway.Deps), tune ...func(*http.Server)) *rig {
	t.Helper()
	r := &rig{log: &logBuffer{}}
	d := deps(r.log)
	change(&d)
	gw, err := gateway.New(cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := gateway.Server("", gw, d.Log)
	for _, f := range tune {
		f(srv)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(gateway.Listener(l)) }()
	t.Cleanup(func() { _ = srv.Close(); gw.Close(); <-done })
	r.gw, r.addr, r.url = gw, l.Addr().String(), "http://"+l.Addr().String()
	return r
}

// service puts in front of a handler what the host puts there.
func service(h http.Handler) http.Handler {
	quiet := slog.New(slog.DiscardHandler)
	return httpx.Service(quiet, h, httpx.WithBodyLimit(64<<20),
		httpx.WithMiddleware(auth.NewChecker(operatorToken, false).Middleware))
}

// both runs a test against a gateway with the service in its own process and
// against one with the service behind a socket. The service answers for
// "marketing".
func both(t *testing.T, cfg gateway.Config, h http.Handler, test func(*testing.T, *rig)) {
	t.Helper()
	t.Run("inside", func(t *testing.T) { test(t, inside(t, cfg, h)) })
	t.Run("outside", func(t *testing.T) { test(t, outside(t, cfg, h)) })
}

func inside(t testing.TB, cfg gateway.Config, h http.Handler) *rig {
	return serve(t, cfg, func(d *gateway.Deps) {
		d.Local = func(name string) http.Handler {
			if name == "marketing" {
				return h
			}
			return nil
		}
	})
}

func outside(t testing.TB, cfg gateway.Config, h http.Handler) *rig {
	up := httptest.NewServer(h)
	t.Cleanup(up.Close)
	return serve(t, cfg, func(d *gateway.Deps) {
		d.Resolver = discovery.Static(map[string][]string{"marketing": {up.URL}})
	})
}

// client keeps nothing between tests and follows nothing.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func request(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// do sends a request and reads the whole answer.
func do(t testing.TB, r *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(data)
}

func get(t testing.TB, url string) (*http.Response, string) {
	t.Helper()
	return do(t, request(t, http.MethodGet, url, nil))
}

// isProblem checks that an answer is the problem with this status and code.
func isProblem(t testing.TB, res *http.Response, body string, status int, code string) httpx.Problem {
	t.Helper()
	var p httpx.Problem
	if res.StatusCode != status || res.Header.Get("Content-Type") != httpx.ContentType {
		t.Errorf("answer %d %s %q; want a problem with status %d", res.StatusCode, res.Header.Get("Content-Type"), body, status)
		return p
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Errorf("problem cannot be read: %v: %q", err, body)
	}
	if p.Status != status || p.Type != httpx.TypePrefix+code || p.Title == "" || p.TraceID == "" {
		t.Errorf("problem %+v; want status %d, code %s, a title and a trace id", p, status, code)
	}
	return p
}

// until polls a condition that another goroutine or process brings about.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-tick.C
	}
}

// echo answers with what it got.
type echo struct {
	Method, Path, RawPath, Query, RequestURI, Host string
	Header                                         http.Header
	Length                                         int64
	Body                                           string
	Caller                                         auth.Caller
}

func echoHandler(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		httpx.WriteProblem(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(echo{
		Method: r.Method, Path: r.URL.Path, RawPath: r.URL.RawPath, Query: r.URL.RawQuery, RequestURI: r.RequestURI,
		Host: r.Host, Header: r.Header, Length: r.ContentLength, Body: string(data), Caller: auth.From(r.Context()),
	})
}

func readEcho(t testing.TB, body string) echo {
	t.Helper()
	var e echo
	if err := json.NewDecoder(strings.NewReader(body)).Decode(&e); err != nil {
		t.Fatalf("not an echo: %v: %q", err, body)
	}
	return e
}
