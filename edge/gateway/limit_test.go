package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trama/edge/gateway"
)

const mebibyte = 1 << 20

func TestBodyLimit(t *testing.T) {
	both(t, gateway.Config{}, service(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		echoHandler(w, r)
	})), func(t *testing.T, r *rig) {
		for _, c := range []struct {
			size    int
			chunked bool
			status  int
		}{
			{mebibyte, false, 200}, {mebibyte, true, 200},
			{mebibyte + 1, false, 413}, {mebibyte + 1, true, 413},
			{2 * mebibyte, false, 413}, {2 * mebibyte, true, 413},
		} {
			var body io.Reader = bytes.NewReader(bytes.Repeat([]byte("a"), c.size))
			if c.chunked {
				body = io.MultiReader(body) // hides the length
			}
			req := request(t, "POST", r.url+"/marketing/leads", body)
			res, text := do(t, req)
			name := fmt.Sprintf("%d bytes, chunked %v", c.size, c.chunked)
			switch {
			case c.status == 413:
				isProblem(t, res, text, 413, "corpo-grande-demais")
			case res.StatusCode != 200:
				t.Errorf("%s: %d %s", name, res.StatusCode, text)
			default:
				if e := readEcho(t, text); len(e.Body) != c.size {
					t.Errorf("%s: the service got %d", name, len(e.Body))
				}
			}
		}
		// The door is open for the next one.
		if res, _ := get(t, r.url+"/marketing/x"); res.StatusCode != 200 {
			t.Errorf("after the refusals: %d", res.StatusCode)
		}
	})
}

func TestTargetsAndMethods(t *testing.T) {
	both(t, gateway.Config{MaxURL: 300}, http.HandlerFunc(echoHandler), func(t *testing.T, r *rig) {
		res, body := get(t, r.url+"/marketing/"+strings.Repeat("a", 300-len("/marketing/")))
		if res.StatusCode != 200 {
			t.Errorf("a URL at the limit: %d %s", res.StatusCode, body)
		}
		res, body = get(t, r.url+"/marketing/"+strings.Repeat("a", 301-len("/marketing/")))
		isProblem(t, res, body, 414, "endereco-longo-demais")

		for _, method := range []string{"TRACE", "PROPFIND", "M"} {
			res, body = do(t, request(t, method, r.url+"/marketing/x", nil))
			isProblem(t, res, body, 405, "metodo-nao-permitido")
			if !strings.Contains(res.Header.Get("Allow"), "POST") {
				t.Errorf("%s: Allow %q", method, res.Header.Get("Allow"))
			}
		}
		res, body = get(t, r.url+"/v1/nada")
		p := isProblem(t, res, body, 404, "rota-inexistente")
		if p.Instance != "/v1/nada" || res.Header.Get("Content-Language") != "pt-BR" {
			t.Errorf("%+v %v", p, res.Header)
		}
		req := request(t, "GET", r.url+"/v7/marketing/leads", nil)
		req.Header.Set("Accept-Language", "en-GB")
		res, body = do(t, req)
		if p := isProblem(t, res, body, 404, "versao-inexistente"); !strings.HasSuffix(p.Detail, "in: v1.") {
			t.Errorf("detail %q", p.Detail)
		}
		res, body = get(t, r.url+"/v1/marketing/%2e%2e/academico")
		isProblem(t, res, body, 400, "caminho-invalido")
		res, body = get(t, r.url+"/cursos") // routed to the site, which is nowhere
		isProblem(t, res, body, 503, "servico-indisponivel")
	})
}

// TestTimeLimit: a service that looks at its context, one that does not, and one
// that has already begun.
func TestTimeLimit(t *testing.T) {
	free := make(chan struct{})
	ended := make(chan error, 8)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("mode") {
		case "deaf":
			<-free
			_, err := io.WriteString(w, "too late")
			ended <- err
			return
		case "begun":
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		case "deaf writer":
			for !errors.Is(r.Context().Err(), context.DeadlineExceeded) && !errors.Is(r.Context().Err(), context.Canceled) {
				if _, err := io.WriteString(w, "x"); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
			}
			_, _ = io.WriteString(w, "the end")
			return
		}
		<-r.Context().Done()
	})
	both(t, gateway.Config{Timeout: 100 * time.Millisecond}, h, func(t *testing.T, r *rig) {
		res, body := get(t, r.url+"/marketing/x")
		isProblem(t, res, body, 504, "tempo-esgotado")
		res, body = get(t, r.url+"/marketing/x?mode=deaf")
		isProblem(t, res, body, 504, "tempo-esgotado")
		free <- struct{}{}
		if err := <-ended; err == nil && strings.HasSuffix(t.Name(), "inside") {
			t.Error("the service was not told that nobody listens")
		}
		for _, mode := range []string{"begun", "deaf%20writer"} {
			res, err := client(t).Do(request(t, "GET", r.url+"/marketing/x?mode="+mode, nil))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err == nil {
				t.Errorf("%s: %.20q looks like a whole answer", mode, got)
			}
		}
	})
}

// TestOwnTimeoutAnswer: a service may say itself that time is over.
func TestOwnTimeoutAnswer(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusGatewayTimeout)
		_, _ = io.WriteString(w, `{"own":"words"}`)
	})
	r := inside(t, gateway.Config{Timeout: 50 * time.Millisecond}, h)
	if res, body := get(t, r.url+"/marketing/x"); res.StatusCode != 504 || body != `{"own":"words"}` {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

// TestRouteTimeLimits: a route may have its own limit, or none.
func TestRouteTimeLimits(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, limited := r.Context().Deadline()
		fmt.Fprint(w, limited)
	})
	r := serve(t, gateway.Config{}, func(d *gateway.Deps) {
		d.Local = func(string) http.Handler { return h }
		d.Routes = []gateway.Route{{Prefix: "/stream", Service: "x", Timeout: -1}, {Prefix: "/", Service: "x"}}
	})
	for path, want := range map[string]string{"/stream": "false", "/": "true"} {
		if _, body := get(t, r.url+path); body != want {
			t.Errorf("%s has a limit: %s", path, body)
		}
	}
}

func TestPanics(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("mode") {
		case "before":
			panic("secret host 10.0.0.1")
		case "after":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic("secret")
		case "abort":
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "fine")
	})
	both(t, gateway.Config{}, service(h), func(t *testing.T, r *rig) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 10 {
					if res, body := get(t, r.url+"/marketing/x"); res.StatusCode != 200 || body != "fine" {
						t.Errorf("a healthy request beside panics: %d %q", res.StatusCode, body)
					}
				}
			})
		}
		for range 5 {
			res, body := get(t, r.url+"/marketing/x?mode=before")
			isProblem(t, res, body, 500, "erro-interno")
			if strings.Contains(body, "secret") || strings.Contains(body, "goroutine") {
				t.Errorf("the panic leaks: %s", body)
			}
			res, err := client(t).Do(request(t, "GET", r.url+"/marketing/x?mode=after", nil))
			if err == nil {
				_, err = io.ReadAll(res.Body)
				_ = res.Body.Close()
			}
			if err == nil {
				t.Error("an answer that broke off looks whole")
			}
		}
		wg.Wait()
	})
	// Without a chain of its own, a service here is caught by the gateway's.
	r := inside(t, gateway.Config{}, h)
	res, body := get(t, r.url+"/marketing/x?mode=before")
	isProblem(t, res, body, 500, "erro-interno")
	if !strings.Contains(r.log.String(), "secret host 10.0.0.1") {
		t.Error("the panic is not in the log")
	}
}

// TestClientLeaves: the service learns that nobody waits any more.
func TestClientLeaves(t *testing.T) {
	arrived, left := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	})
	both(t, gateway.Config{}, h, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, err := client(t).Do(request(t, "GET", r.url+"/marketing/x", nil).WithContext(ctx))
			failed <- err
		}()
		<-arrived
		cancel()
		<-left
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		until(t, "the request is in the log", func() bool { return strings.Contains(r.log.String(), "pedido-interrompido") })
	})
}

// TestBrokenBody: a client that hangs up in the middle of its body, or sends bad
// chunks, is to blame itself.
func TestBrokenBody(t *testing.T) {
	both(t, gateway.Config{}, service(http.HandlerFunc(echoHandler)), func(t *testing.T, r *rig) {
		answer := raw(t, r, "POST /marketing/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nZZ\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 400 ") || !strings.Contains(answer, "corpo-incompleto") {
			t.Errorf("bad chunks: %q", answer)
		}
	})
}

func TestAccessLog(t *testing.T) {
	both(t, gateway.Config{}, http.HandlerFunc(echoHandler), func(t *testing.T, r *rig) {
		req := request(t, "GET", r.url+"/academico/alunos/ana.souza@exemplo.com.br?email=ana@exemplo.com.br&cpf=52998224725", nil)
		req.Header.Set("Authorization", "Bearer "+operatorToken)
		do(t, req)
		post := request(t, "POST", r.url+"/marketing/leads", strings.NewReader(`{"nome":"Maria Bethânia"}`))
		post.Header.Set("X-Request-Id", "find-me")
		do(t, post)
		until(t, "both requests are in the log", func() bool {
			return strings.Count(r.log.String(), `"msg":"request"`) == 2
		})
		log := r.log.String()
		for _, private := range []string{"ana", "exemplo", "5299", "Maria", operatorToken, "127.0.0.1", "email"} {
			if strings.Contains(log, private) {
				t.Errorf("%q is in the log:\n%s", private, log)
			}
		}
		var line struct {
			Method, Path string
			Status       int
			RequestID    string `json:"request_id"`
			TraceID      string `json:"trace_id"`
		}
		for l := range strings.Lines(log) {
			if strings.Contains(l, "find-me") && strings.Contains(l, `"msg":"request"`) {
				if err := json.Unmarshal([]byte(l), &line); err != nil {
					t.Fatal(err)
				}
			}
		}
		if line.Method != "POST" || line.Path != "/marketing/leads" || line.Status != 200 || line.RequestID != "find-me" || len(line.TraceID) != 32 {
			t.Errorf("access log line %+v", line)
		}
	})
}

func TestConcurrency(t *testing.T) {
	var served atomic.Int64
	h := service(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		echoHandler(w, r)
	}))
	both(t, gateway.Config{}, h, func(t *testing.T, r *rig) {
		served.Store(0)
		c := client(t)
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				for j := range 30 {
					want := strings.Repeat(fmt.Sprintf("%d.%d,", i, j), 1+(i*j)%2000)
					req := request(t, "POST", r.url+"/marketing/leads", strings.NewReader(want))
					req.Header.Set("X-Request-Id", fmt.Sprintf("r-%d-%d", i, j))
					res, err := c.Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					var e echo
					err = json.NewDecoder(res.Body).Decode(&e)
					_ = res.Body.Close()
					if err != nil || e.Body != want || res.Header.Get("X-Request-Id") != e.Header.Get("X-Request-Id") {
						t.Errorf("request %d.%d was mixed up: %v", i, j, err)
					}
				}
			})
		}
		wg.Wait()
		if n := served.Load(); n != 32*30 {
			t.Errorf("the service served %d requests; want %d", n, 32*30)
		}
	})
}
