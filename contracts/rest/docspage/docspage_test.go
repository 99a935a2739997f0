package docspage_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"trama/contracts/events"
	"trama/contracts/problems"
	"trama/contracts/rest"
	"trama/contracts/rest/docspage"
)

func get(t *testing.T, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	docspage.Handler().ServeHTTP(w, r)
	return w
}

func TestPageShowsTheWholeContract(t *testing.T) {
	w := get(t, "/docs")
	html := w.Body.String()
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), html)
	}
	operations, err := rest.Operations()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range operations {
		for _, want := range []string{`id="` + o.ID + `"`, `href="#` + o.ID + `"`, o.Path} {
			if !strings.Contains(html, want) {
				t.Errorf("%s: no %s", o.ID, want)
			}
		}
	}
	for _, e := range events.Registry() {
		if !strings.Contains(html, e.Type) {
			t.Errorf("no %s", e.Type)
		}
	}
	for _, p := range problems.All() {
		if !strings.Contains(html, "/problemas/"+p.Code) {
			t.Errorf("no %s", p.Code)
		}
	}
	for _, want := range []string{"aluno.cpf", "aulas[].minutos", "desta máquina ou com o token de operador", "padrão 20", "texto, até 100 caracteres ou nulo", "ANA SOUZA"} {
		if !strings.Contains(html, want) {
			t.Errorf("no %q", want)
		}
	}
}

// TestPagesFitTheirPolicy: nothing inline, nothing from elsewhere, one language,
// one first heading, ids once, and links that lead somewhere.
func TestPagesFitTheirPolicy(t *testing.T) {
	for _, path := range []string{"/docs", "/problemas", "/problemas/campos-invalidos", "/problemas/nao-existe"} {
		w := get(t, path)
		html := w.Body.String()
		for _, forbidden := range []string{"<script", "<style", " style=", " onclick=", "http-equiv", "src=\"http", "javascript:"} {
			if strings.Contains(html, forbidden) {
				t.Errorf("%s contains %s", path, forbidden)
			}
		}
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'; style-src 'self'") {
			t.Errorf("%s: policy %q", path, w.Header().Get("Content-Security-Policy"))
		}
		if strings.Count(html, "<h1>") != 1 || !strings.Contains(html, `<html lang="pt-BR">`) || strings.Count(html, "<main") != 1 {
			t.Errorf("%s: headings, language or main", path)
		}
		ids := map[string]bool{}
		for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(html, -1) {
			if ids[m[1]] || m[1] == "" {
				t.Errorf("%s: id %q twice or empty", path, m[1])
			}
			ids[m[1]] = true
		}
		seen := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?:href|aria-labelledby)="([^"]*)"`).FindAllStringSubmatch(html, -1) {
			target := m[1]
			if seen[target] {
				continue
			}
			seen[target] = true
			switch {
			case strings.HasPrefix(target, "/"):
				if code := get(t, target).Code; code != 200 {
					t.Errorf("%s: %s answers %d", path, target, code)
				}
			case !ids[strings.TrimPrefix(target, "#")]:
				t.Errorf("%s: %s leads nowhere", path, target)
			}
		}
	}
}

func TestDocumentsAndConditionalReads(t *testing.T) {
	for path, want := range map[string][]byte{"/v1/openapi.json": rest.Document(), "/v1/asyncapi.json": events.AsyncAPI()} {
		w := get(t, path)
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || !bytes.Equal(w.Body.Bytes(), want) {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		if again := get(t, path, "If-None-Match", w.Header().Get("ETag")); again.Code != 304 {
			t.Errorf("%s: %d with its own tag", path, again.Code)
		}
	}
	for name, status := range map[string]int{events.TypeAlunoCriado: 200, "envelope": 200, "br.trama.nada.Nada.v1": 404} {
		if w := get(t, "/docs/eventos/"+name); w.Code != status {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

func TestProblemsForPeopleAndPrograms(t *testing.T) {
	w := get(t, "/problemas/campos-invalidos", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	p, _ := problems.ByCode("campos-invalidos")
	if w.Code != 200 || !strings.Contains(w.Body.String(), p.Title.PT) || !strings.Contains(w.Body.String(), p.Title.EN) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = get(t, "/problemas/campos-invalidos", "Accept", "application/json")
	var got problems.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got != p {
		t.Errorf("%+v %v", got, err)
	}
	w = get(t, "/problemas/%3Cscript%3E", "Accept", "application/json")
	if w.Code != 404 || w.Header().Get("Content-Type") != "application/problem+json" || strings.Contains(w.Body.String(), "<script>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestOnlyReads(t *testing.T) {
	w := httptest.NewRecorder()
	docspage.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/docs", nil))
	if w.Code != 405 {
		t.Errorf("POST answers %d", w.Code)
	}
}

// TestColoursHaveContrast computes WCAG 2 contrast for every text colour of the
// style sheet on both grounds, light and dark.
func TestColoursHaveContrast(t *testing.T) {
	css, err := os.ReadFile("estilo.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes := regexp.MustCompile(`(?s):root \{.*?\n\s*\}`).FindAllString(string(css), -1)
	if len(schemes) != 2 {
		t.Fatalf("%d colour schemes", len(schemes))
	}
	for i, scheme := range schemes {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--(\w+): #([0-9a-f]{6})`).FindAllStringSubmatch(scheme, -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, ground := range []string{"fundo", "painel"} {
			for _, text := range []string{"texto", "fraco", "enlace", "get", "post", "put", "patch", "delete"} {
				if ratio := contrast(colours[text], colours[ground]); ratio < 4.5 {
					t.Errorf("scheme %d: %s on %s has %s", i, text, ground, fmt.Sprintf("%.2f", ratio))
				}
			}
			if contrast(colours["foco"], colours[ground]) < 3 {
				t.Errorf("scheme %d: the focus ring is too weak on %s", i, ground)
			}
		}
	}
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	weights, sum := [3]float64{0.2126, 0.7152, 0.0722}, 0.0
	for i := range 3 {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weights[i] * c
	}
	return sum
}

func contrast(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	return (a + 0.05) / (b + 0.05)
}
