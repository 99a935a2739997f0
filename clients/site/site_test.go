package site

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"trama/platform/auth"
	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/telemetry"
)

var testConfig = Config{APITimeout: 5 * time.Second, PollInterval: time.Second, FormLimit: 64 << 10}

func newLoggedSite(t *testing.T, api string, log io.Writer) http.Handler {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	service, err := New(testConfig, Deps{
		API: client.Do, APIBase: api, Clock: clock.System{}, IDs: id.New(clock.System{}, zeros{}),
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if service.Name != "site" || len(service.Modules) != 1 || service.Modules[0].Name != "site.web" {
		t.Fatalf("service is %+v", service)
	}
	return service.Modules[0].REST
}

func formPost(path string, form map[string]string) *http.Request {
	values := url.Values{}
	for k, v := range form {
		values.Set(k, v)
	}
	r := httptest.NewRequest("POST", path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func TestConfigCheck(t *testing.T) {
	if p := testConfig.Check(); len(p) != 0 {
		t.Errorf("a good configuration has problems: %+v", p)
	}
	if p := (Config{}).Check(); len(p) != 3 {
		t.Errorf("the zero configuration has %d problems, want 3: %+v", len(p), p)
	}
}

func TestNewRefusesABaseThatIsNoAddress(t *testing.T) {
	if _, err := New(testConfig, Deps{APIBase: "127.0.0.1"}); err == nil {
		t.Error("no error")
	}
}

func TestHeadersOfEveryPage(t *testing.T) {
	g := newRig(t)
	for _, path := range []string{"/", "/entrar", "/nada", "/cursos/" + g.api.courses[0].ID + "/matricula", "/descadastro?token=x"} {
		w := g.get(path)
		csp := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			mustContain(t, "policy of "+path, csp, want)
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		header(t, w.Header(), "X-Content-Type-Options", "nosniff")
		header(t, w.Header(), "Referrer-Policy", "same-origin")
		header(t, w.Header(), "Content-Type", "text/html; charset=utf-8")
		if len(w.Result().Cookies()) > 0 {
			t.Errorf("%s sets a cookie", path)
		}
		refuse(t, w, " style=", "<style", "onclick=", "javascript:", "http://", "https://", "ZgotmplZ")
		expect(t, w, w.Code, `<html lang="pt-BR">`, `<a class="skip" href="#conteudo">`, "<h1")
	}
}

func TestAssetsKeepTheirAddressAsLongAsTheirContent(t *testing.T) {
	g := newRig(t)
	page := g.get("/entrar").Body.String()
	for _, kind := range []string{".css", ".js", ".svg"} {
		i := strings.Index(page, `"/ativos/`)
		for i >= 0 && !strings.HasSuffix(page[i+1:i+1+strings.Index(page[i+1:], `"`)], kind) {
			i += 1 + strings.Index(page[i+1:], `"/ativos/`)
		}
		address := page[i+1 : i+1+strings.Index(page[i+1:], `"`)]
		w := g.get(address)
		expect(t, w, 200)
		header(t, w.Header(), "Cache-Control", "public, max-age=31536000, immutable")
		if w.Body.Len() < 100 {
			t.Errorf("%s has %d bytes", address, w.Body.Len())
		}
	}
	if w := g.get("/ativos/trama.000000000000.css"); w.Code != 404 {
		t.Errorf("an old address answers %d", w.Code)
	}
}

func TestAFormOfAnotherSiteIsRefused(t *testing.T) {
	g := newRig(t)
	for name, headers := range map[string]map[string]string{
		"fetch metadata": {"Sec-Fetch-Site": "cross-site"},
		"same site":      {"Sec-Fetch-Site": "same-site"},
		"origin":         {"Origin": "https://ataque.example"},
		"opaque origin":  {"Origin": "null"},
	} {
		r := formPost("/cursos/"+g.api.courses[0].ID+"/interesse", map[string]string{"nome": "Ana", "email": "ana@exemplo.com.br"})
		for k, v := range headers {
			r.Header.Set(k, v)
		}
		expect(t, g.do(r), 403, "Este envio não veio das nossas páginas")
		if len(g.api.leads) > 0 {
			t.Fatalf("%s: the lead was sent", name)
		}
	}
	r := formPost("/cursos/"+g.api.courses[0].ID+"/interesse", map[string]string{"nome": "Ana", "email": "ana@exemplo.com.br"})
	r.Header.Set("Origin", "http://"+r.Host)
	expect(t, g.do(r), 303)
}

func TestFormLimits(t *testing.T) {
	g := newRig(t)
	address := "/cursos/" + g.api.courses[0].ID + "/interesse"
	expect(t, g.post(address, map[string]string{"nome": strings.Repeat("a", 70_000)}), 413, "grande demais")
	r := httptest.NewRequest("POST", address, strings.NewReader(`{"nome":"Ana"}`))
	r.Header.Set("Content-Type", "application/json")
	expect(t, g.do(r), 415)
	r = httptest.NewRequest("POST", address, strings.NewReader("nome=%zz"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	expect(t, g.do(r), 400)
}

func TestUnknownPage(t *testing.T) {
	g := newRig(t)
	for _, path := range []string{"/nada", "/cursos/01980a52-7c00-7000-8000-00000000ffff", "/cursos/nao-ha", "/alunos/1", "/pagamentos/x",
		"/pagamentos/01980a52-7c00-7000-8000-00000000ffff", "/cursos/a/b/c"} {
		expect(t, g.get(path), 404, "Esta página não existe", `href="/"`)
	}
}

func TestAPIDown(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.URL
	server.Close()
	var log strings.Builder
	g := &rig{t: t, site: newLoggedSite(t, address, &log)}
	w := g.get("/?busca=ana%40exemplo.com.br")
	expect(t, w, 503, "fora do ar por um instante", "Nada do que você já enviou se perdeu", `href="/?busca=ana%40exemplo.com.br">Tentar de novo`, "Código para pedir ajuda")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if strings.Contains(log.String(), "ana") || !strings.Contains(log.String(), "status=503") {
		t.Errorf("log: %s", log.String())
	}
}

func TestAPISaysWhenToComeBack(t *testing.T) {
	g := newRig(t)
	g.api.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "7")
		problem(w, 503, "indisponivel", "Volte já.")
		return true
	}
	w := g.get("/")
	expect(t, w, 503)
	header(t, w.Header(), "Retry-After", "7")
}

func TestAnAnswerThatCannotBeReadIsNotShown(t *testing.T) {
	g := newRig(t)
	var log strings.Builder
	server := httptest.NewServer(g.api)
	defer server.Close()
	g.site = newLoggedSite(t, server.URL, &log)
	g.api.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"itens": 5, "segredo": "xyz"}`)
		return true
	}
	w := g.get("/")
	expect(t, w, 503)
	refuse(t, w, "xyz", "itens")
	if strings.Contains(log.String(), "xyz") {
		t.Errorf("log: %s", log.String())
	}
}

func TestAPanicBecomesAPage(t *testing.T) {
	g := newRig(t)
	var log strings.Builder
	s := &Site{cfg: testConfig, log: slog.New(slog.NewTextHandler(&log, nil))}
	s.assets, _ = newAssets()
	s.views, _ = newViews(s.assets)
	g.site = s.protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("segredo") }))
	w := g.get("/x")
	expect(t, w, 500, "Algo deu errado do nosso lado", "Código para pedir ajuda")
	refuse(t, w, "segredo")
	if strings.Contains(log.String(), "segredo") {
		t.Error("the panic's value is in the log")
	}
}

func TestTheAPIHearsOfTheVisitor(t *testing.T) {
	g := newRig(t)
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "203.0.113.9:4000"
	r.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	g.do(r)
	sent := g.api.lastTo(t, "/v1/academico/cursos").Header
	header(t, sent, "Accept-Language", "pt-BR")
	header(t, sent, auth.ForwardedHeader, "203.0.113.9")
	header(t, sent, auth.LocalHeader, "")
	mustContain(t, "traceparent", sent.Get("traceparent"), "00-4bf92f3577b34da6a3ce929d0e0e4736-")
	if strings.Contains(sent.Get("traceparent"), "00f067aa0ba902b7") {
		t.Error("the site did not begin a span of its own")
	}

	// The gateway's word on the visitor's address wins over the connection's.
	r = httptest.NewRequest("GET", "/", nil)
	r.Header.Set(auth.ForwardedHeader, "198.51.100.7")
	g.do(r)
	header(t, g.api.lastTo(t, "/v1/academico/cursos").Header, auth.ForwardedHeader, "198.51.100.7")
}

func TestOnlyTheHostMakesAVisitorLocal(t *testing.T) {
	g := newRig(t)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set(auth.LocalHeader, "1") // a spoofed claim that got past everybody
	w := g.do(r)
	refuse(t, w, `href="/correio"`)
	sent := g.api.lastTo(t, "/v1/academico/cursos").Header
	header(t, sent, auth.LocalHeader, "")
	if sent.Get(auth.ForwardedHeader) == "" {
		t.Error("the API would take this visitor for a local one")
	}

	expect(t, g.local("/"), 200, `href="/correio"`)
	sent = g.api.lastTo(t, "/v1/academico/cursos").Header
	header(t, sent, auth.LocalHeader, "1")
	header(t, sent, auth.ForwardedHeader, "")
}

func TestATraceGivenByTheHostIsKept(t *testing.T) {
	g := newRig(t)
	r := httptest.NewRequest("GET", "/", nil)
	ctx := telemetry.Start(r.Context())
	g.do(r.WithContext(ctx))
	header(t, g.api.lastTo(t, "/v1/academico/cursos").Header, "traceparent", telemetry.TraceParent(ctx))
}

func TestRobots(t *testing.T) {
	w := newRig(t).get("/robots.txt")
	expect(t, w, 200, "Disallow: /pagamentos/", "Disallow: /correio")
}
