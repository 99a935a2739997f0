package acceptance

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"trama/tests/harness"
)

// problem is an RFC 9457 answer.
type problem struct {
	Type, Title, Detail, Instance, TraceID string
	Status                                 int
	Erros                                  []struct{ Campo, Regra, Mensagem string }
}

func (p problem) rules() []string {
	var out []string
	for _, e := range p.Erros {
		out = append(out, e.Campo+" "+e.Regra)
	}
	slices.Sort(out)
	return out
}

func idempotency(t *testing.T, w *world) {
	p := w.next()
	body := harness.CardPayment(p, w.courses[0].ID, harness.Card(901))
	first := w.Must(t, 202, nil, "POST", "/financeiro/pagamento", body, "Idempotency-Key", "accept-1-"+p.CPF)
	w.AwaitPayment(t, first.Header.Get("Location"), patience, harness.Enrolled)
	again := w.Must(t, 202, nil, "POST", "/financeiro/pagamento", body, "Idempotency-Key", "accept-1-"+p.CPF)
	if first.Header.Get("Location") != again.Header.Get("Location") || !bytes.Equal(first.Body, again.Body) {
		t.Errorf("another answer:\n%s\n%s", first.Body, again.Body)
	}
	other := harness.CardPayment(p, w.courses[1].ID, harness.Card(901))
	w.Must(t, 422, nil, "POST", "/financeiro/pagamento", other, "Idempotency-Key", "accept-1-"+p.CPF)

	q := w.next()
	body = harness.CardPayment(q, w.courses[0].ID, harness.Card(902))
	var mu sync.Mutex
	locations, conflicts := map[string]bool{}, 0
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			a, err := w.Do(t.Context(), http.MethodPost, "/financeiro/pagamento", body, "Idempotency-Key", "accept-2-"+q.CPF)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Error(err)
			case a.Status == 202:
				locations[a.Header.Get("Location")] = true
			case a.Status == 409:
				conflicts++
			default:
				t.Errorf("status %d: %s", a.Status, a.Body)
			}
		})
	}
	wg.Wait()
	if len(locations) != 1 {
		t.Errorf("%d payments for one key (%d told to wait)", len(locations), conflicts)
	}
}

func badInput(t *testing.T, w *world) {
	course := w.courses[0]
	payment := func(change func(b, student, card map[string]any)) map[string]any {
		b := harness.CardPayment(w.next(), course.ID, "4111111111111111")
		change(b, b["aluno"].(map[string]any), b["cartao"].(map[string]any))
		return b
	}
	lead := func(key string, value any) map[string]any {
		b := map[string]any{"nome": "Ana Souza", "email": "ana.bad@example.com", "consentimento": true}
		b[key] = value
		return b
	}
	cases := []struct {
		name, path string
		body       any
		status     int
		rules      []string
	}{
		{"unknown field", "/marketing/leads", lead("idade", 7), 422, []string{"/idade campo-desconhecido"}},
		{"wrong type", "/marketing/leads", lead("nome", 7), 422, []string{"/nome tipo"}},
		{"missing fields", "/marketing/leads", map[string]any{}, 422, []string{"/consentimento obrigatorio", "/email obrigatorio", "/nome obrigatorio"}},
		{"a@b", "/marketing/leads", lead("email", "a@b"), 422, []string{"/email email"}},
		{"300 characters", "/marketing/leads", lead("nome", strings.Repeat("ab ", 100)), 422, []string{"/nome tamanho"}},
		{"only emoji", "/marketing/leads", lead("nome", "🎓🎓🎓"), 422, []string{"/nome nome"}},
		{"no consent", "/marketing/leads", lead("consentimento", false), 422, []string{"/consentimento consentimento"}},
		{"not JSON", "/marketing/leads", `{"nome": `, 400, nil},
		{"invalid UTF-8", "/marketing/leads", "{\"nome\":\"a\xff\",\"email\":\"a@example.com\",\"consentimento\":true}", 400, nil},
		{"2 MB", "/marketing/leads", lead("origem", strings.Repeat("x", 2<<20)), 413, nil},
		{"unknown course", "/marketing/leads", lead("cursoId", "01980a52-7c00-7000-8000-00000000dead"), 422, []string{"/cursoId"}},
		{"CPF digits", "/financeiro/pagamento", payment(func(_, s, _ map[string]any) { s["cpf"] = "529.982.247-26" }), 422, []string{"/aluno/cpf cpf"}},
		{"Luhn", "/financeiro/pagamento", payment(func(_, _, c map[string]any) { c["numero"] = "4111111111111112" }), 422, []string{"/cartao/numero luhn"}},
		{"expired card", "/financeiro/pagamento", payment(func(_, _, c map[string]any) { c["validade"] = "01/20" }), 422, []string{"/cartao/validade"}},
		{"CVV", "/financeiro/pagamento", payment(func(_, _, c map[string]any) { c["cvv"] = "12" }), 422, []string{"/cartao/cvv"}},
		{"forged price", "/financeiro/pagamento", payment(func(b, _, _ map[string]any) { b["valor"] = map[string]any{"valor": "1.00", "moeda": "BRL"} }), 422, []string{"/valor"}},
		{"unknown coupon", "/financeiro/pagamento", payment(func(b, _, _ map[string]any) { b["desconto"] = "NAO-EXISTE" }), 422, []string{"/desconto"}},
		{"no card", "/financeiro/pagamento", payment(func(b, _, _ map[string]any) { delete(b, "cartao") }), 422, []string{"/cartao"}},
		{"everything at once", "/financeiro/pagamento", payment(func(b, s, c map[string]any) { s["cpf"], s["email"], c["numero"] = "1", "a@b", "1" }), 422,
			[]string{"/aluno/cpf", "/aluno/email", "/cartao/numero"}},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			var p problem
			w.Must(t, tt.status, &p, "POST", tt.path, tt.body)
			got := p.rules()
			for _, want := range tt.rules {
				if !slices.ContainsFunc(got, func(r string) bool { return r == want || strings.HasPrefix(r, want+" ") }) {
					t.Errorf("rules %v, want %s", got, want)
				}
			}
			if len(tt.rules) > 0 && len(got) != len(tt.rules) {
				t.Errorf("rules %v, want %v", got, tt.rules)
			}
		})
	}
	hostile := w.next()
	hostile.Nome = `<b>Robert</b>'); DROP TABLE aluno;-- 🎓`
	w.enroll(t, hostile, course)
	m := w.awaitMail(t, hostile.Email, "boas-vindas")
	if strings.Contains(m.HTML, "<b>Robert") || !strings.Contains(m.HTML, "&lt;b&gt;Robert") {
		t.Error("the mail does not escape the name")
	}
}

func staffRoutes(t *testing.T, w *world) {
	for _, r := range []struct{ method, path string }{
		{"GET", "/v1/marketing/leads"}, {"GET", "/v1/academico/alunos"}, {"GET", "/v1/financeiro/pagamentos"}, {"POST", "/v1/academico/cursos"},
	} {
		var body any
		if r.method == "POST" {
			body = map[string]any{"titulo": "x"}
		}
		a := w.Must(t, 401, nil, r.method, r.path, body)
		if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: no challenge", r.path)
		}
		w.Must(t, 401, nil, r.method, r.path, body, "Authorization", "Bearer wrong")
		if r.method == "GET" {
			w.Must(t, 200, nil, r.method, r.path, nil, w.Bearer()...)
		}
	}
}

func courseWriting(t *testing.T, w *world) {
	course := map[string]any{
		"titulo": "Curso do teste de aceitação", "resumo": "Um curso feito por um teste.", "descricao": "Descrição de um curso feito por um teste.",
		"nivel": "iniciante", "cargaHoraria": 1, "preco": map[string]any{"valor": "99.90", "moeda": "BRL"}, "instrutor": "Ana Souza",
		"categoria": "Testes", "aulas": []any{map[string]any{"titulo": "Primeira", "minutos": 60}},
	}
	made := w.Must(t, 201, nil, "POST", "/v1/academico/cursos", course, w.Bearer()...)
	location := made.Header.Get("Location")
	read := w.Must(t, 200, nil, "GET", location, nil)
	tag := read.Header.Get("ETag")
	w.Must(t, 304, nil, "GET", location, nil, "If-None-Match", tag)
	change := map[string]any{"preco": map[string]any{"valor": "79.90", "moeda": "BRL"}}
	w.Must(t, 428, nil, "PATCH", location, change, w.Bearer()...)
	w.Must(t, 200, nil, "PATCH", location, change, append(w.Bearer(), "If-Match", tag)...)
	w.Must(t, 412, nil, "PATCH", location, change, append(w.Bearer(), "If-Match", tag)...)
	now := w.Must(t, 200, nil, "GET", location, nil)
	w.Must(t, 204, nil, "DELETE", location, nil, append(w.Bearer(), "If-Match", now.Header.Get("ETag"))...)
}

func problems(t *testing.T, w *world) {
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/v1/nada", 404}, {"GET", "/v2/marketing/leads", 404}, {"DELETE", "/v1/marketing/leads", 405},
		{"GET", "/v1/financeiro/pagamentos/01980a52-7c00-7000-8000-00000000dead", 404}, {"GET", "/academico/alunos/x", 404},
	} {
		var p problem
		a := w.Must(t, tt.status, &p, tt.method, tt.path, nil, "Accept-Language", "en")
		if a.Header.Get("Content-Type") != "application/problem+json" || p.Status != tt.status || p.Type == "" || p.Title == "" || p.TraceID == "" {
			t.Errorf("%s %s: %s %+v", tt.method, tt.path, a.Header.Get("Content-Type"), p)
		}
		if a.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", tt.path)
		}
		if tt.status == 405 && a.Header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", tt.path)
		}
		w.Must(t, 200, nil, "GET", p.Type, nil)
	}
}

func contracts(t *testing.T, w *world) {
	var api struct {
		OpenAPI string
		Paths   map[string]any
	}
	w.Must(t, 200, &api, "GET", "/v1/openapi.json", nil)
	if !strings.HasPrefix(api.OpenAPI, "3.1") || api.Paths["/v1/financeiro/pagamentos"] == nil || api.Paths["/v1/marketing/leads"] == nil {
		t.Errorf("the document is OpenAPI %q with %d paths", api.OpenAPI, len(api.Paths))
	}
	for _, page := range []string{"/", "/docs", "/correio", "/cursos/" + w.courses[0].ID, "/cursos/" + w.courses[0].ID + "/matricula"} {
		a := w.Must(t, 200, nil, "GET", page, nil)
		if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || !strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %s, policy %q", page, a.Header.Get("Content-Type"), a.Header.Get("Content-Security-Policy"))
		}
	}
	var ready struct{ Status string }
	if text := w.Must(t, 200, nil, "GET", "/readyz", nil).Body; json.Unmarshal(text, &ready) != nil {
		t.Errorf("/readyz: %s", text)
	}
	w.Must(t, 200, nil, "GET", "/livez", nil)
}

// cardDataNowhere looks for the numbers paid with in everything the system has
// written: its files and its log.
func cardDataNowhere(t *testing.T, w *world) {
	secret := harness.Card(77_777)
	p := w.next()
	location := w.pay(t, harness.CardPayment(p, w.courses[0].ID, secret))
	w.AwaitPayment(t, location, patience, harness.Enrolled)
	w.awaitMail(t, p.Email, "boas-vindas")
	needles := [][]byte{[]byte(secret), []byte(harness.Card(1))}
	if log := []byte(w.Log()); bytes.Contains(log, needles[0]) || bytes.Contains(log, needles[1]) || bytes.Contains(log, []byte(p.Email)) || bytes.Contains(log, []byte(p.CPF)) {
		t.Error("the log holds a card number or personal data")
	}
	password := passwordLine.FindStringSubmatch(w.awaitMail(t, p.Email, "boas-vindas").Texto)
	if password == nil {
		t.Fatal("no password in the welcome mail")
	}
	err := filepath.WalkDir(w.Data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, n := range needles {
			if bytes.Contains(text, n) {
				t.Errorf("%s holds a card number", path)
			}
		}
		if bytes.Contains(text, []byte(password[1])) && !strings.Contains(path, "correio") {
			t.Errorf("%s holds a password", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
