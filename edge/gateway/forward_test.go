package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"trama/edge/gateway"
	"trama/platform/auth"
)

// forwarded are requests of every shape, without an address.
func forwarded() map[string]func(testing.TB) *http.Request {
	return map[string]func(testing.TB) *http.Request{
		"get": func(t testing.TB) *http.Request {
			return request(t, "GET", "/v1/marketing/leads/%c3%a9%40;a=1?x=1;y=%zz&&b", nil)
		},
		"unversioned with a slash": func(t testing.TB) *http.Request { return request(t, "GET", "/marketing/leads/", nil) },
		"post": func(t testing.TB) *http.Request {
			r := request(t, "POST", "/marketing/leads", strings.NewReader(`{"nome":"Ana"}`))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", "k1")
			r.Header.Set("Authorization", "Bearer "+operatorToken)
			return r
		},
		"empty post": func(t testing.TB) *http.Request {
			r := request(t, "POST", "/v1/marketing/leads/1/x", nil)
			r.Header.Set("X-Idempotency-Key", "k2")
			return r
		},
		"chunked": func(t testing.TB) *http.Request {
			return request(t, "PUT", "/v1/marketing/x", io.MultiReader(strings.NewReader("a=1"), strings.NewReader("&b=2")))
		},
		"claims": func(t testing.TB) *http.Request {
			r := request(t, "DELETE", "/v1/marketing/x", nil)
			for _, h := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix",
				"Forwarded", "X-Real-Ip", "Trama-Cliente-Local", "Trama-Cliente-Papel"} {
				r.Header.Set(h, "1")
			}
			r.Header["Trama_Cliente_Local"] = []string{"1"}
			r.Header["x_forwarded_for"] = []string{"1"}
			return r
		},
		"hops": func(t testing.TB) *http.Request {
			r := request(t, "GET", "/v1/marketing/x", nil)
			for _, h := range []string{"Proxy-Authorization", "Proxy-Connection", "Keep-Alive", "Upgrade", "X-Mine"} {
				r.Header.Set(h, "1")
			}
			r.Header.Set("Connection", "keep-alive, X-Mine, upgrade")
			r.Header.Set("Te", "trailers")
			r.Header.Set("Accept-Language", "en")
			r.Header.Set("Cookie", "a=b")
			return r
		},
	}
}

// TestBothSidesOfTheWallSeeTheSame sends the same requests to a service here and
// to one elsewhere and compares everything the service got.
func TestBothSidesOfTheWallSeeTheSame(t *testing.T) {
	for name, build := range forwarded() {
		t.Run(name, func(t *testing.T) {
			var seen []echo
			both(t, gateway.Config{}, service(http.HandlerFunc(echoHandler)), func(t *testing.T, r *rig) {
				req := build(t)
				req.URL.Scheme, req.URL.Host, req.Host = "http", r.addr, "escola.example"
				req.Header.Set("X-Request-Id", "the-request")
				req.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
				req.Header.Set("Tracestate", "a=1")
				res, body := do(t, req)
				if res.StatusCode != http.StatusOK {
					t.Fatalf("%d %s", res.StatusCode, body)
				}
				e := readEcho(t, body)
				checkForwarded(t, e)
				e.Header.Del("Traceparent") // a new span each time
				seen = append(seen, e)
			})
			if len(seen) == 2 && !reflect.DeepEqual(seen[0], seen[1]) {
				a, _ := json.MarshalIndent(seen[0], "", " ")
				b, _ := json.MarshalIndent(seen[1], "", " ")
				t.Errorf("the service inside saw\n%s\nthe one outside\n%s", a, b)
			}
		})
	}
}

// checkForwarded checks what holds for every forwarded request.
func checkForwarded(t *testing.T, e echo) {
	t.Helper()
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "escola.example",
		"X-Request-Id": "the-request", "Tracestate": "a=1", "Via": "1.1 trama",
	} {
		if got := e.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q; want %q", name, got, want)
		}
	}
	parent := e.Header.Get("Traceparent")
	if !strings.HasPrefix(parent, "00-0af7651916cd43dd8448eb211c80319c-") || strings.Contains(parent, "b7ad6b7169203331") {
		t.Errorf("traceparent %q: want the same trace and the gateway's own span", parent)
	}
	for name := range e.Header {
		plain := strings.ReplaceAll(textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-")), "-", "")
		switch {
		case name == "X-Forwarded-For", name == "X-Forwarded-Proto", name == "X-Forwarded-Host":
		case strings.HasPrefix(plain, "XForwarded"), strings.HasPrefix(plain, "Trama"), plain == "Forwarded", plain == "XRealIp",
			strings.HasPrefix(plain, "Proxy"), name == "Connection", name == "Keep-Alive", name == "Upgrade", name == "X-Mine", name == "Expect":
			t.Errorf("header %s: %q reached the service", name, e.Header[name])
		}
	}
	if e.Caller.Local {
		t.Error("a Host that is not this machine's made the caller local")
	}
	if e.Host != "escola.example" || !strings.HasPrefix(e.Path, "/v1/marketing/") {
		t.Errorf("host %q path %q", e.Host, e.Path)
	}
}

// TestLocalCaller: only who talks to a loopback name directly is local
// (DNS rebinding gives a foreign Host, a proxy in between says so).
func TestLocalCaller(t *testing.T) {
	both(t, gateway.Config{}, service(http.HandlerFunc(echoHandler)), func(t *testing.T, r *rig) {
		_, port, err := net.SplitHostPort(r.addr)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			host, header string
			local        bool
		}{
			{"127.0.0.1:" + port, "", true},
			{"localhost:" + port, "", true},
			{"[::1]:" + port, "", true},
			{"rebind.example:" + port, "", false},
			{"rebind.example", "", false},
			{"127.0.0.1.rebind.example", "", false},
			{"127.0.0.1:" + port, "X-Forwarded-For", false},
			{"127.0.0.1:" + port, "Forwarded", false},
			{"127.0.0.1:" + port, "Via", false},
			{"rebind.example", auth.LocalHeader, false},
		} {
			req := request(t, "GET", r.url+"/marketing/x", nil)
			req.Host = c.host
			if c.header != "" {
				req.Header.Set(c.header, "1")
			}
			_, body := do(t, req)
			if e := readEcho(t, body); e.Caller.Local != c.local || (e.Header.Get(auth.LocalHeader) == "1") != c.local {
				t.Errorf("Host %s, %q: local %v, header %q; want %v", c.host, c.header, e.Caller.Local, e.Header.Get(auth.LocalHeader), c.local)
			}
		}
		req := request(t, "GET", r.url+"/marketing/x", nil)
		req.Header.Set("Authorization", "Bearer "+operatorToken)
		_, body := do(t, req)
		if e := readEcho(t, body); !e.Caller.Operator {
			t.Error("the operator's token did not reach the service")
		}
	})
}

func TestAnswerHeaders(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Connection", "X-Hop")
		for _, name := range []string{"X-Hop", "Keep-Alive", "Proxy-Authenticate", "Upgrade"} {
			h.Set(name, "1")
		}
		h.Set("X-Kept", "1")
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		h.Set("X-Request-Id", "of-the-service")
		switch r.URL.Query().Get("q") {
		case "etag":
			h.Set("Etag", `"3"`)
		case "own":
			h.Set("Cache-Control", "public, max-age=60")
			h.Set("Content-Security-Policy", "default-src 'self'")
		}
		h.Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	})
	both(t, gateway.Config{}, h, func(t *testing.T, r *rig) {
		req := request(t, "GET", r.url+"/marketing/x", nil)
		req.Header.Set("X-Request-Id", "mine")
		req.Header.Set("Origin", "https://elsewhere.example")
		res, _ := do(t, req)
		for _, name := range []string{"X-Hop", "Keep-Alive", "Proxy-Authenticate", "Upgrade", "Connection", "Access-Control-Allow-Origin"} {
			if v := res.Header.Values(name); len(v) > 0 {
				t.Errorf("%s: %q reached the client", name, v)
			}
		}
		for name, want := range map[string]string{
			"X-Kept": "1", "X-Request-Id": "mine", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin", "Content-Length": "2",
		} {
			if got := res.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %q; want %q", name, got, want)
			}
		}
		if got := res.Header.Values("Set-Cookie"); len(got) != 2 {
			t.Errorf("Set-Cookie %q", got)
		}
		if !strings.HasPrefix(res.Header.Get("Traceresponse"), "00-") {
			t.Errorf("traceresponse %q", res.Header.Get("Traceresponse"))
		}
		if res, _ := get(t, r.url+"/marketing/x?q=etag"); res.Header.Get("Cache-Control") != "private, no-cache" {
			t.Errorf("an answer with ETag: Cache-Control %q", res.Header.Get("Cache-Control"))
		}
		res, _ = get(t, r.url+"/marketing/x?q=own")
		if res.Header.Get("Cache-Control") != "public, max-age=60" || res.Header.Get("Content-Security-Policy") != "default-src 'self'" {
			t.Errorf("the service's own headers were replaced: %v", res.Header)
		}
	})
}

// TestStream: what a service flushes arrives before it goes on.
func TestStream(t *testing.T) {
	goOn := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-goOn
		_, _ = io.WriteString(w, "data: 2\n\n")
	})
	both(t, gateway.Config{}, service(h), func(t *testing.T, r *rig) {
		res, err := client(t).Do(request(t, "GET", r.url+"/marketing/fluxo", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		first := make([]byte, 9)
		if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "data: 1\n\n" {
			t.Fatalf("%q, %v", first, err)
		}
		goOn <- struct{}{}
		rest, err := io.ReadAll(res.Body)
		if err != nil || string(rest) != "data: 2\n\n" {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

func TestTrailersAndEarlyHints(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("Trailer", "X-Sum, X-Other")
		_, _ = io.WriteString(w, strings.Repeat("x", 100<<10))
		w.Header().Set("X-Sum", "42")
		w.Header().Set("X-Other", "43")
		w.Header().Set(http.TrailerPrefix+"X-Late", "44")
	})
	both(t, gateway.Config{}, h, func(t *testing.T, r *rig) {
		var hints []string
		req := request(t, "GET", r.url+"/marketing/x", nil)
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				hints = append(hints, fmt.Sprint(code, header.Get("Link"), header.Get("X-Request-Id")))
				return nil
			}}))
		res, body := do(t, req)
		if len(body) != 100<<10 || res.Header.Get("X-Sum") != "" || res.Header.Get("Link") != "" {
			t.Errorf("%d bytes, header %v", len(body), res.Header)
		}
		if res.Trailer.Get("X-Sum") != "42" || res.Trailer.Get("X-Other") != "43" || res.Trailer.Get("X-Late") != "44" {
			t.Errorf("trailers %v", res.Trailer)
		}
		if len(hints) != 1 || hints[0] != "103</a.css>; rel=preload" {
			t.Errorf("hints %q", hints)
		}
		if res.Header.Get("X-Request-Id") == "" {
			t.Error("the hints took the final answer's request id")
		}
	})
}

func TestHeadAndOptions(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/marketing/leads", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Etag", `"1"`)
		_, _ = io.WriteString(w, "12345")
	})
	mux.HandleFunc("OPTIONS /v1/marketing/leads", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	})
	both(t, gateway.Config{}, mux, func(t *testing.T, r *rig) {
		res, body := do(t, request(t, "HEAD", r.url+"/marketing/leads", nil))
		if res.StatusCode != 200 || body != "" || res.Header.Get("Etag") != `"1"` || res.ContentLength != 5 {
			t.Errorf("HEAD: %d %q %v", res.StatusCode, body, res.Header)
		}
		res, _ = do(t, request(t, "OPTIONS", r.url+"/marketing/leads", nil))
		if res.StatusCode != 204 || res.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("OPTIONS: %d %v", res.StatusCode, res.Header)
		}
		// The mux says 405 in plain text; the client gets a problem, and Allow.
		res, body = do(t, request(t, "DELETE", r.url+"/marketing/leads", nil))
		isProblem(t, res, body, 405, "metodo-nao-permitido")
		if !strings.Contains(res.Header.Get("Allow"), "GET") {
			t.Errorf("405 without Allow: %v", res.Header)
		}
	})
}

// TestBareErrors: a service's error without a problem becomes one, with nothing
// of its text; what a service says as a problem or JSON passes.
func TestBareErrors(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var status int
		_, _ = fmt.Sscan(r.URL.Query().Get("status"), &status)
		if ct := r.URL.Query().Get("type"); ct != "" {
			w.Header().Set("Content-Type", ct)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "own words")
			return
		}
		http.Error(w, "goroutine 1 [running] at 10.0.0.1", status)
	})
	both(t, gateway.Config{}, h, func(t *testing.T, r *rig) {
		for status, want := range map[int]struct {
			status int
			code   string
		}{
			400: {400, "pedido-ilegivel"}, 404: {404, "rota-inexistente"}, 413: {413, "corpo-grande-demais"},
			415: {415, "tipo-nao-suportado"}, 500: {500, "erro-interno"}, 501: {500, "erro-interno"},
			502: {503, "servico-indisponivel"}, 503: {503, "servico-indisponivel"}, 504: {504, "tempo-esgotado"},
		} {
			res, body := get(t, fmt.Sprintf("%s/marketing/x?status=%d", r.url, status))
			isProblem(t, res, body, want.status, want.code)
			if strings.Contains(body, "goroutine") || strings.Contains(body, "10.0.0.1") {
				t.Errorf("%d: the service's text leaks: %s", status, body)
			}
			if (res.Header.Get("Retry-After") != "") != (want.status == 503) {
				t.Errorf("%d: Retry-After %q", status, res.Header.Get("Retry-After"))
			}
		}
		for _, contentType := range []string{"application/json", "text/html; charset=utf-8", "application/problem+json"} {
			res, body := get(t, r.url+"/marketing/x?status=409&type="+url.QueryEscape(contentType))
			if res.StatusCode != 409 || body != "own words" || res.Header.Get("Content-Type") != contentType {
				t.Errorf("%s: %d %q", contentType, res.StatusCode, body)
			}
		}
		if res, body := get(t, r.url+"/marketing/x?status=418&type=text/plain"); res.StatusCode != 418 || body != "own words" {
			t.Errorf("418: %d %q", res.StatusCode, body)
		}
	})
}
