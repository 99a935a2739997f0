package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trama/edge/gateway"
	"trama/platform/clock"
	"trama/platform/discovery"
	"trama/platform/fault"
)

type readiness struct {
	Pronto       bool
	Motivo       string
	Verificacoes []struct {
		Nome, Motivo    string
		OK, Obrigatoria bool
		MS              int64
	}
}

func ready(t testing.TB, r *rig) (int, readiness) {
	t.Helper()
	res, body := get(t, r.url+"/readyz")
	var v readiness
	if err := json.Unmarshal([]byte(body), &v); err != nil || res.Header.Get("Content-Type") != "application/json" ||
		res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%v: %q %v", err, body, res.Header)
	}
	return res.StatusCode, v
}

// withChecks makes a gateway whose clock stands still until it is moved.
func withChecks(t testing.TB, c clock.Clock, cfg gateway.Health, checks ...gateway.Check) *rig {
	return serve(t, gateway.Config{Health: cfg}, func(d *gateway.Deps) { d.Checks, d.Clock = checks, c })
}

func TestReadiness(t *testing.T) {
	now := &clock.Shifted{}
	var storeErr atomic.Pointer[error]
	fail := func(err error) { storeErr.Store(&err) }
	r := withChecks(t, now, gateway.Health{Cache: time.Hour},
		gateway.Check{Name: "dados", Required: true, Run: func(context.Context) error {
			if p := storeErr.Load(); p != nil {
				return *p
			}
			return nil
		}},
		gateway.Check{Name: "correio", Run: func(context.Context) error { return errors.New("dial 10.1.2.3: password=x") }},
		gateway.Check{Name: "pane", Run: func(context.Context) error { panic("secret") }},
	)
	status, v := ready(t, r)
	if status != 200 || !v.Pronto || len(v.Verificacoes) != 3 || v.Verificacoes[0].Nome != "dados" || !v.Verificacoes[0].OK || !v.Verificacoes[0].Obrigatoria {
		t.Fatalf("%d %+v", status, v)
	}
	for _, c := range v.Verificacoes[1:] {
		if c.OK || c.Motivo != "falhou" {
			t.Errorf("%+v; want the bare reason", c)
		}
	}
	if log := r.log.String(); !strings.Contains(log, "password=x") || strings.Count(log, "readiness check fails") != 2 {
		t.Errorf("the causes belong into the log, once each:\n%s", log)
	}

	fail(fault.New(fault.Unavailable, "x", fault.Text{PT: "o disco está cheio"}).Wrap(errors.New("/secret/path")))
	if status, v = ready(t, r); status != 200 {
		t.Fatalf("within the cache time: %d %+v", status, v)
	}
	now.Jump(2 * time.Hour)
	if status, v = ready(t, r); status != 503 || v.Pronto || v.Verificacoes[0].Motivo != "o disco está cheio" {
		t.Errorf("%d %+v", status, v)
	}
	fail(nil)
	now.Jump(-9 * time.Hour) // the clock was set back: measured again, not believed for hours
	if status, v = ready(t, r); status != 200 {
		t.Errorf("%d %+v", status, v)
	}
	r.gw.Drain()
	if status, v = ready(t, r); status != 503 || v.Pronto || v.Motivo != "em encerramento" {
		t.Errorf("draining: %d %+v", status, v)
	}
	if res, body := get(t, r.url+"/livez"); res.StatusCode != 200 || body != "{\"vivo\":true}\n" {
		t.Errorf("/livez while draining: %d %q", res.StatusCode, body)
	}
}

func TestProbeMethods(t *testing.T) {
	r := withChecks(t, clock.System{}, gateway.Health{})
	for _, path := range []string{"/livez", "/readyz"} {
		if res, body := do(t, request(t, "HEAD", r.url+path, nil)); res.StatusCode != 200 || body != "" {
			t.Errorf("HEAD %s: %d %q", path, res.StatusCode, body)
		}
		if res, _ := do(t, request(t, "OPTIONS", r.url+path, nil)); res.StatusCode != 204 || res.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("OPTIONS %s: %d %v", path, res.StatusCode, res.Header)
		}
		res, body := do(t, request(t, "POST", r.url+path, nil))
		isProblem(t, res, body, 405, "metodo-nao-permitido")
	}
	if strings.Contains(r.log.String(), `"msg":"request"`) {
		t.Error("probes fill the access log")
	}
}

// TestSlowCheck: a check that does not come back costs its time limit, once,
// and is not started a second time.
func TestSlowCheck(t *testing.T) {
	release := make(chan struct{})
	var started atomic.Int64
	r := withChecks(t, clock.System{}, gateway.Health{Timeout: 50 * time.Millisecond, Cache: time.Millisecond},
		gateway.Check{Name: "preso", Required: true, Run: func(context.Context) error {
			if started.Add(1) == 1 {
				<-release
			}
			return nil
		}},
		gateway.Check{Name: "lento", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
	)
	status, v := ready(t, r)
	if status != 503 || v.Verificacoes[0].Motivo != "sem resposta a tempo" || v.Verificacoes[1].Motivo != "sem resposta a tempo" {
		t.Errorf("%d %+v", status, v)
	}
	until(t, "the result is measured again", func() bool {
		status, v = ready(t, r)
		return v.Verificacoes[0].Motivo == "ainda sem resposta da verificação anterior"
	})
	if status != 503 || started.Load() != 1 {
		t.Errorf("%d, started %d times", status, started.Load())
	}
	close(release)
	until(t, "it is well again", func() bool { status, _ = ready(t, r); return status == 200 })
}

// TestProbeStorm: many probes at once measure once.
func TestProbeStorm(t *testing.T) {
	var runs atomic.Int64
	r := withChecks(t, clock.System{}, gateway.Health{Cache: time.Hour},
		gateway.Check{Name: "x", Required: true, Run: func(context.Context) error { runs.Add(1); return nil }})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if status, _ := ready(t, r); status != 200 {
				t.Errorf("status %d", status)
			}
		})
	}
	wg.Wait()
	if runs.Load() != 1 {
		t.Errorf("50 probes ran the check %d times", runs.Load())
	}
}

func TestServiceChecks(t *testing.T) {
	up := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(up.Close)
	r := serve(t, gateway.Config{}, func(d *gateway.Deps) {
		d.Local = func(service string) http.Handler {
			if service == "payments" {
				return http.NotFoundHandler()
			}
			return nil
		}
		d.Resolver = discovery.Static(map[string][]string{"academics": {deadURL(t), up.URL}, "marketing": {deadURL(t)}})
		for _, service := range []string{"payments", "academics", "marketing", "notifications"} {
			d.Checks = append(d.Checks, gateway.Check{Name: service, Service: service, Required: service == "academics"})
		}
	})
	status, v := ready(t, r)
	if status != 200 || len(v.Verificacoes) != 4 {
		t.Fatalf("%d %+v", status, v)
	}
	for i, want := range []string{"", "", "nenhum endereço aceita conexões", "não está em execução em nenhum endereço conhecido"} {
		if got := v.Verificacoes[i]; got.Motivo != want || got.OK != (want == "") {
			t.Errorf("%+v; want %q", got, want)
		}
	}
	if _, err := gateway.New(gateway.Config{}, func() gateway.Deps {
		d := deps(r.log)
		d.Checks = []gateway.Check{{Name: "nothing"}}
		return d
	}()); err == nil {
		t.Error("a check that checks nothing was accepted")
	}
}

func TestConfiguration(t *testing.T) {
	if problems := (gateway.Config{}).Check(); len(problems) != 0 {
		t.Errorf("the defaults are refused: %v", problems)
	}
	bad := gateway.Config{Timeout: -1, MaxBody: 5, MaxURL: 1, Upstream: gateway.Upstream{DialTimeout: -1, HeaderTimeout: -1, IdlePerHost: -1,
		IdleTimeout: -1, SkipFor: -1}, Health: gateway.Health{Timeout: -1, Cache: -1}}
	problems := bad.Check()
	if len(problems) != 10 {
		t.Errorf("%d problems: %v", len(problems), problems)
	}
	for _, p := range problems {
		if p.Key == "" || p.Rule == "" || p.Try == "" || p.Value == "" {
			t.Errorf("%+v says too little", p)
		}
	}
	if _, err := gateway.New(bad, deps(&logBuffer{})); err == nil {
		t.Error("New takes a configuration that Check refuses")
	}
	if _, err := gateway.New(gateway.Config{}, gateway.Deps{}); err == nil {
		t.Error("New takes empty Deps")
	}
}
