package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trama/edge/gateway"
	"trama/platform/discovery"
	"trama/platform/discovery/filediscovery"
)

// via makes a gateway that finds marketing at fixed addresses.
func via(t testing.TB, cfg gateway.Config, urls ...string) *rig {
	return serve(t, cfg, func(d *gateway.Deps) {
		d.Resolver = discovery.Static(map[string][]string{"marketing": urls})
	})
}

// deadURL gives an address at which nobody listens.
func deadURL(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// script is an upstream that speaks bytes: answer gets each whole request's
// number and gives what to write and whether to go on with the connection.
func script(t testing.TB, answer func(n int, r *http.Request) (text string, goOn bool)) (url string, received *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	received = &atomic.Int64{}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	talk := func(c net.Conn) {
		defer c.Close()
		in := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			text, goOn := answer(int(received.Add(1)), r)
			if _, err := io.WriteString(c, text); err != nil || !goOn {
				return
			}
		}
	}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { talk(c) })
		}
	})
	return "http://" + l.Addr().String(), received
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"

func TestUpstreamDown(t *testing.T) {
	r := via(t, gateway.Config{}, deadURL(t), deadURL(t))
	for _, method := range []string{"GET", "POST"} {
		res, body := do(t, request(t, method, r.url+"/marketing/leads", strings.NewReader(`{"email":"ana@exemplo.com.br"}`)))
		p := isProblem(t, res, body, 503, "servico-indisponivel")
		if res.Header.Get("Retry-After") != "2" || strings.Contains(p.Detail, "127.0.0.1") {
			t.Errorf("Retry-After %q, detail %q", res.Header.Get("Retry-After"), p.Detail)
		}
	}
	res, body := get(t, r.url+"/academico/cursos") // nowhere known
	isProblem(t, res, body, 503, "servico-indisponivel")
	if !strings.Contains(r.log.String(), "connection refused") {
		t.Error("the cause is not in the log")
	}
}

// TestDeadAddressIsSkipped: a dead address costs no request, and hardly a dial.
func TestDeadAddressIsSkipped(t *testing.T) {
	var served atomic.Int64
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		echoHandler(w, r)
	}))
	t.Cleanup(up.Close)
	r := via(t, gateway.Config{}, deadURL(t), up.URL, deadURL(t))
	for i := range 20 {
		want := fmt.Sprintf(`{"n":%d}`, i)
		res, body := do(t, request(t, "POST", r.url+"/marketing/leads", strings.NewReader(want)))
		if res.StatusCode != 200 || readEcho(t, body).Body != want {
			t.Fatalf("request %d: %d %s", i, res.StatusCode, body)
		}
	}
	if served.Load() != 20 {
		t.Errorf("served %d requests; want 20", served.Load())
	}
}

func TestRoundRobin(t *testing.T) {
	var counts [3]atomic.Int64
	var urls []string
	for i := range counts {
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { counts[i].Add(1) }))
		t.Cleanup(up.Close)
		urls = append(urls, up.URL)
	}
	r := via(t, gateway.Config{}, urls...)
	for range 30 {
		get(t, r.url+"/marketing/x")
	}
	for i := range counts {
		if n := counts[i].Load(); n != 10 {
			t.Errorf("address %d served %d of 30 requests", i, n)
		}
	}
}

// TestNeverSentTwice: a command that somebody may have received is not sent
// again, neither by us nor by net/http's transport on a kept connection.
func TestNeverSentTwice(t *testing.T) {
	for name, c := range map[string]struct {
		warm   bool   // the connection was used before
		method string // POST with body, or without
		body   string
	}{
		"first on its connection":     {false, "POST", `{"a":1}`},
		"kept connection":             {true, "POST", `{"a":1}`},
		"kept connection, empty body": {true, "POST", ""},
		"kept connection, PATCH":      {true, "PATCH", ""},
	} {
		t.Run(name, func(t *testing.T) {
			url, received := script(t, func(_ int, r *http.Request) (string, bool) {
				if r.Method == "GET" {
					return okAnswer, true
				}
				return "", false // hang up without a word
			})
			r := via(t, gateway.Config{}, url)
			before := int64(0)
			if c.warm {
				if res, _ := get(t, r.url+"/marketing/x"); res.StatusCode != 200 {
					t.Fatalf("warming up: %d", res.StatusCode)
				}
				before = 1
			}
			req := request(t, c.method, r.url+"/marketing/leads", strings.NewReader(c.body))
			req.Header.Set("Idempotency-Key", "k")
			res, body := do(t, req)
			p := isProblem(t, res, body, 503, "resposta-interrompida")
			if !strings.Contains(p.Detail, "pode ter sido feita") || res.Header.Get("Retry-After") == "" {
				t.Errorf("%+v, Retry-After %q", p, res.Header.Get("Retry-After"))
			}
			if n := received.Load() - before; n != 1 {
				t.Errorf("the command was received %d times", n)
			}
		})
	}
}

func TestBrokenAnswers(t *testing.T) {
	url, _ := script(t, func(_ int, r *http.Request) (string, bool) {
		switch r.URL.Query().Get("mode") {
		case "garbage":
			return "SSH-2.0-OpenSSH\r\n\r\n", false
		case "switch":
			return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", false
		case "header":
			return "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10) + "\r\n\r\n", false
		case "length":
			return "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf", false
		case "chunks":
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", false
		case "early":
			return "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + okAnswer, true
		default:
			return okAnswer, true
		}
	})
	r := via(t, gateway.Config{}, url)
	for _, mode := range []string{"garbage", "switch", "header"} {
		res, body := get(t, r.url+"/marketing/x?mode="+mode)
		isProblem(t, res, body, 503, "resposta-interrompida")
	}
	for _, mode := range []string{"length", "chunks"} {
		res, err := client(t).Do(request(t, "GET", r.url+"/marketing/x?mode="+mode, nil))
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: half an answer looks whole", mode)
		}
	}
	for _, mode := range []string{"early", ""} {
		if res, body := get(t, r.url+"/marketing/x?mode="+mode); res.StatusCode != 200 || body != "{}" {
			t.Errorf("%q: %d %q", mode, res.StatusCode, body)
		}
	}
}

func TestUpstreamHangs(t *testing.T) {
	release := make(chan struct{})
	url, _ := script(t, func(int, *http.Request) (string, bool) { <-release; return "", false })
	t.Cleanup(func() { close(release) })
	r := via(t, gateway.Config{Timeout: 80 * time.Millisecond}, url)
	res, body := get(t, r.url+"/marketing/x")
	isProblem(t, res, body, 504, "tempo-esgotado")

	r = via(t, gateway.Config{Upstream: gateway.Upstream{HeaderTimeout: 80 * time.Millisecond}}, url)
	res, body = get(t, r.url+"/marketing/x")
	isProblem(t, res, body, 504, "tempo-esgotado")
}

// TestConcurrentBalance hits the balancer from many sides while addresses die.
func TestConcurrentBalance(t *testing.T) {
	one := httptest.NewServer(http.HandlerFunc(echoHandler))
	two := httptest.NewServer(http.HandlerFunc(echoHandler))
	t.Cleanup(one.Close)
	t.Cleanup(two.Close)
	r := via(t, gateway.Config{Upstream: gateway.Upstream{SkipFor: time.Millisecond}}, deadURL(t), one.URL, two.URL)
	c := client(t)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				res, err := c.Do(request(t, "GET", r.url+"/marketing/x", nil))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != 200 {
					t.Errorf("status %d with two living addresses", res.StatusCode)
				}
			}
		})
	}
	wg.Wait()
}

// instance is a service process: it serves, announces itself, and dies without
// a word or drains.
type instance struct {
	srv  *http.Server
	note *filediscovery.Announcement
	done chan struct{}
}

func startInstance(t *testing.T, registry *filediscovery.Registry, h http.Handler) *instance {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{srv: &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}, done: make(chan struct{})}
	go func() { defer close(i.done); _ = i.srv.Serve(l) }()
	i.note, err = registry.Announce(filediscovery.Entry{Process: "marketing", URL: "http://" + l.Addr().String(), Services: []string{"marketing"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.kill)
	return i
}

// kill cuts all connections, as death does.
func (i *instance) kill() {
	_ = i.note.Withdraw()
	_ = i.srv.Close()
	<-i.done
}

// drain leaves the registry, waits until nobody comes any more, finishes what is
// in hand, and ends.
func (i *instance) drain(t *testing.T, settled func()) {
	t.Helper()
	if err := i.note.Withdraw(); err != nil {
		t.Error(err)
	}
	// Whoever looked us up just before may still be on the way over a kept
	// connection, and closing that one now would look like dying.
	settled()
	if err := i.srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	<-i.done
}

// load is clients that send numbered commands, each one after the other.
type load struct {
	next     atomic.Int64
	answered [4]atomic.Int64 // by client

	mu       sync.Mutex
	statuses map[int]int
}

// run sends until stop.
func (l *load) run(t *testing.T, r *rig, stop <-chan struct{}) {
	t.Helper()
	l.statuses = map[int]int{}
	var wg sync.WaitGroup
	c := client(t)
	send := func(i int) {
		n := int(l.next.Add(1))
		res, err := c.Do(request(t, "POST", r.url+"/marketing/leads", strings.NewReader(strconv.Itoa(n))))
		if err != nil {
			t.Errorf("command %d: %v", n, err)
			return
		}
		_ = res.Body.Close()
		l.mu.Lock()
		l.statuses[n] = res.StatusCode
		l.mu.Unlock()
		l.answered[i].Add(1)
	}
	for i := range l.answered {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					send(i)
				}
			}
		})
	}
	wg.Wait()
}

// more waits until every client has got an answer to n commands more. The first
// of them may have been under way, the second was not.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	var goals [len(l.answered)]int64
	for i := range goals {
		goals[i] = l.answered[i].Load() + n
	}
	until(t, "the load goes on", func() bool {
		for i := range goals {
			if l.answered[i].Load() < goals[i] {
				return false
			}
		}
		return true
	})
}

// TestRestartUnderLoad: instances die and come back at other addresses. No
// command is executed twice, none that was answered well is missing; when
// instances drain, none fails.
func TestRestartUnderLoad(t *testing.T) {
	for _, how := range []string{"killed", "drained"} {
		t.Run(how, func(t *testing.T) {
			dir, quiet := t.TempDir(), slog.New(slog.DiscardHandler)
			registry := filediscovery.New(dir, quiet)
			var mu sync.Mutex
			executed := map[int]int{}
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				data, err := io.ReadAll(r.Body)
				n, convErr := strconv.Atoi(string(data))
				if err != nil || convErr != nil {
					w.WriteHeader(http.StatusTeapot)
					return
				}
				mu.Lock()
				executed[n]++
				mu.Unlock()
			})
			r := serve(t, gateway.Config{}, func(d *gateway.Deps) { d.Resolver = filediscovery.New(dir, quiet) })

			running := startInstance(t, registry, h)
			var clients load
			stop := make(chan struct{})
			go func() {
				defer close(stop)
				for range 6 {
					clients.more(t, 10)
					old := running
					if how == "killed" {
						old.kill()
						running = startInstance(t, registry, h)
						continue
					}
					running = startInstance(t, registry, h)
					old.drain(t, func() { clients.more(t, 2) })
				}
				clients.more(t, 10)
			}()
			clients.run(t, r, stop)
			failed := 0
			for n, status := range clients.statuses {
				switch {
				case status == 200 && executed[n] != 1:
					t.Errorf("command %d was answered well and executed %d times", n, executed[n])
				case executed[n] > 1:
					t.Errorf("command %d was executed %d times", n, executed[n])
				case status != 200 && status != 503:
					t.Errorf("command %d: status %d", n, status)
				case status == 503:
					failed++
				}
			}
			if how == "drained" && failed > 0 {
				t.Errorf("%d commands failed though every instance drained:\n%s", failed, r.log)
			}
			t.Logf("%d commands, %d answered 503", len(clients.statuses), failed)
		})
	}
}
