package gateway_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"trama/edge/gateway"
	"trama/platform/fault"
	"trama/platform/httpx"
)

func table(t testing.TB, routes []gateway.Route) *gateway.Table {
	t.Helper()
	tab, err := gateway.NewTable(routes)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// match routes a request target as net/http would hand it over.
func match(tab *gateway.Table, target string) (gateway.Match, error) {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return gateway.Match{}, err
	}
	return tab.Match(u)
}

func TestMatch(t *testing.T) {
	v12 := []string{"v1", "v2"}
	tab := table(t, append(gateway.Routes(),
		gateway.Route{Prefix: "/catalogo", Versions: v12, Service: "catalog"},
		gateway.Route{Prefix: "/catalogo/marcas", Versions: []string{"v2"}, Service: "brands"},
		gateway.Route{Prefix: "/novo", Versions: []string{"v2"}, Service: "new"},
	))
	for _, c := range []struct{ target, service, path, raw string }{
		{"/v1/marketing/leads", "marketing", "/v1/marketing/leads", ""},
		{"/marketing/leads", "marketing", "/v1/marketing/leads", ""},
		{"/marketing/leads/", "marketing", "/v1/marketing/leads", ""},
		{"/v1/marketing/leads/", "marketing", "/v1/marketing/leads", ""},
		{"/marketing", "marketing", "/v1/marketing", ""},
		{"/v1/marketing/", "marketing", "/v1/marketing", ""},
		{"/financeiro/pagamento", "payments", "/v1/financeiro/pagamento", ""},
		{"/v1/academico/alunos/1?x=/../y", "academics", "/v1/academico/alunos/1", ""},
		{"/v1/notificacoes/mensagens", "notifications", "/v1/notificacoes/mensagens", ""},
		{"/v1/simulador/pix", "acquirersim", "/v1/simulador/pix", ""},
		{"/v1/marketing/a%20b", "marketing", "/v1/marketing/a b", ""},
		{"/marketing/%c3%a9%40x", "marketing", "/v1/marketing/é@x", "/v1/marketing/%c3%a9%40x"},
		{"/v1/marketing/%252e%252e/x", "marketing", "/v1/marketing/%2e%2e/x", ""},
		{"/v1/marketing/a..b/...", "marketing", "/v1/marketing/a..b/...", ""},
		{"/v1/openapi.json", "docs", "/v1/openapi.json", ""},
		{"/openapi.json", "docs", "/v1/openapi.json", ""},
		{"/docs", "docs", "/docs", ""},
		{"/docs/", "docs", "/docs/", ""},
		{"/problemas/luhn", "docs", "/problemas/luhn", ""},
		{"/", "site", "/", ""},
		{"http://example.org", "site", "/", ""},
		{"http://example.org/marketing/x", "marketing", "/v1/marketing/x", ""},
		{"/cursos/1/", "site", "/cursos/1/", ""},
		{"/marketingx/leads", "site", "/marketingx/leads", ""},
		{"/Marketing/leads", "site", "/Marketing/leads", ""},
		{"/vx/marketing", "site", "/vx/marketing", ""},
		{"/correio", "site", "/correio", ""},
		{"/v2/catalogo/produtos", "catalog", "/v2/catalogo/produtos", ""},
		{"/catalogo/produtos", "catalog", "/v1/catalogo/produtos", ""},
		{"/v2/catalogo/marcas/1", "brands", "/v2/catalogo/marcas/1", ""},
		{"/v2/catalogo/marcasx", "catalog", "/v2/catalogo/marcasx", ""},
	} {
		m, err := match(tab, c.target)
		if err != nil || m.Route.Service != c.service || m.Path != c.path || m.RawPath != c.raw {
			t.Errorf("%s → %+v %q %q, %v; want %s %q %q", c.target, m.Route, m.Path, m.RawPath, err, c.service, c.path, c.raw)
		}
	}
}

func TestMatchRefuses(t *testing.T) {
	tab := table(t, append(gateway.Routes(),
		gateway.Route{Prefix: "/catalogo", Versions: []string{"v1", "v2"}, Service: "catalog"},
		gateway.Route{Prefix: "/novo", Versions: []string{"v2"}, Service: "new"}))
	version := &fault.Error{Kind: fault.NotFound, Code: "versao-inexistente"}
	for target, want := range map[string]error{
		"/v2/marketing/leads":         version,
		"/v0/marketing":               version,
		"/v01/marketing":              version,
		"/v3/catalogo":                version,
		"/novo/x":                     version, // unversioned is v1, which this one does not have
		"/v1":                         httpx.ErrNoRoute,
		"/v1/":                        httpx.ErrNoRoute,
		"/v1/nada":                    httpx.ErrNoRoute,
		"/v9/docs":                    httpx.ErrNoRoute,
		"/v1/docs":                    httpx.ErrNoRoute,
		"/v1/v1/marketing":            httpx.ErrNoRoute,
		"/..":                         gateway.ErrPath,
		"/v1/marketing/../academico":  gateway.ErrPath,
		"/v1/marketing/%2e%2e/x":      gateway.ErrPath,
		"/v1/marketing/.%2E/x":        gateway.ErrPath,
		"/v1/marketing/./x":           gateway.ErrPath,
		"/v1/marketing/..;a=b/x":      gateway.ErrPath,
		"/v1/marketing/..%3Ba/x":      gateway.ErrPath,
		"/v1/marketing/.;/x":          gateway.ErrPath,
		"/v1//marketing":              gateway.ErrPath,
		"//evil.example/marketing":    gateway.ErrPath,
		"/v1/marketing//":             gateway.ErrPath,
		"/v1/marketing%2fleads":       gateway.ErrPath,
		"/v1/marketing%2Fleads":       gateway.ErrPath,
		"/v1/marketing%5cleads":       gateway.ErrPath,
		"/v1/marketing\\leads":        gateway.ErrPath,
		"/v1/marketing/%00":           gateway.ErrPath,
		"/v1/marketing/%0d%0aX:y":     gateway.ErrPath,
		"/v1/marketing/%7f":           gateway.ErrPath,
		"/v1/marketing/%ff":           gateway.ErrPath,
		"/v1/marketing/%c0%ae%c0%ae/": gateway.ErrPath, // overlong "..": invalid UTF-8
	} {
		if m, err := match(tab, target); !errors.Is(err, want) {
			t.Errorf("%s → %+v, %v; want %v", target, m.Route, err, want)
		}
	}
	_, err := match(tab, "/v3/catalogo")
	if f := fault.As(err); !strings.Contains(f.Text.PT, "v1, v2") || !strings.Contains(f.Text.EN, "v1, v2") {
		t.Errorf("%v does not name the versions", f.Text)
	}
}

func TestTableIsCheckedAndListed(t *testing.T) {
	for name, r := range map[string]gateway.Route{
		"no slash":        {Prefix: "x", Service: "s"},
		"slash at end":    {Prefix: "/x/", Service: "s"},
		"dots":            {Prefix: "/x/../y", Service: "s"},
		"empty":           {Prefix: "", Service: "s"},
		"no service":      {Prefix: "/x"},
		"version of root": {Prefix: "/", Versions: []string{"v1"}, Service: "s"},
		"bad version":     {Prefix: "/x", Versions: []string{"1"}, Service: "s"},
		"version inside":  {Prefix: "/v1/x", Versions: []string{"v1"}, Service: "s"},
		"twice":           {Prefix: "/docs", Service: "s"},
	} {
		if _, err := gateway.NewTable(append(gateway.Routes(), r)); err == nil {
			t.Errorf("%s: accepted %+v", name, r)
		}
	}
	tab := table(t, gateway.Routes())
	text := tab.String()
	for _, want := range []string{"[/version]/financeiro/…", "payments", "v1", "/docs/…", "site"} {
		if !strings.Contains(text, want) {
			t.Errorf("listing lacks %q:\n%s", want, text)
		}
	}
	if lines := strings.Count(text, "\n"); lines != len(gateway.Routes())+1 {
		t.Errorf("listing has %d lines:\n%s", lines, text)
	}
	if got := tab.Services(); !slices.Contains(got, "payments") || slices.Contains(got[:len(got)-1], "site") {
		t.Errorf("services %v", got)
	}
	tab.Routes()[0].Versions[0] = "v9"
	if _, err := match(tab, "/v1/marketing"); err != nil {
		t.Errorf("Routes gives away the table's own slices: %v", err)
	}
}

func FuzzRoute(f *testing.F) {
	for _, seed := range []string{"/", "/v1/marketing/leads", "/marketing/%2e%2e/x", "/v1/marketing/..;/x", "/v1/marketing%5c..",
		"//", "/v1", "*", "http://h/v1/financeiro/", "/marketing/%252e%252e", "/docs/../v1/marketing", "/v1/marketing/a%20b?c=/../"} {
		f.Add(seed)
	}
	tab := table(f, gateway.Routes())
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return // net/http refuses it
		}
		m, err := tab.Match(u)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Malformed && k != fault.NotFound {
				t.Fatalf("%q → %v", target, err)
			}
			return
		}
		for segment := range strings.SplitSeq(m.Path, "/") {
			if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
				t.Fatalf("%q reaches %s as %q", target, m.Route.Service, m.Path)
			}
		}
		if strings.ContainsAny(m.Path, "\\\x00\r\n") || strings.Contains(m.Path, "//") {
			t.Fatalf("%q reaches %s as %q", target, m.Route.Service, m.Path)
		}
		// What the service decodes from the wire is what was routed.
		out := url.URL{Path: m.Path, RawPath: m.RawPath}
		again, err := url.ParseRequestURI(out.RequestURI())
		if err != nil || again.Path != m.Path {
			t.Fatalf("%q is sent as %q, read as %v, %v", target, out.RequestURI(), again, err)
		}
		if m.Route.API() && !strings.HasPrefix(m.Path, "/v1"+m.Route.Prefix) {
			t.Fatalf("%q reaches %s as %q", target, m.Route.Service, m.Path)
		}
		// Routing what was routed changes nothing.
		if m2, err := tab.Match(again); err != nil || m2.Route != m.Route || m2.Path != m.Path {
			t.Fatalf("%q → %q → %+v, %v", target, m.Path, m2, err)
		}
	})
}
