package httpx_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"trama/contracts/rest/academico"
	"trama/contracts/rest/financeiro"
	"trama/platform/fault"
	"trama/platform/httpx"
)

// payments and courses are generated servers with just the operations that the
// tests reach; anything else would panic and show as a 500.
type payments struct {
	financeiro.Handler
	got *financeiro.NovoPagamento
	err error
}

func (p *payments) CriarPagamento(_ context.Context, req *financeiro.NovoPagamento, _ financeiro.CriarPagamentoParams) (financeiro.CriarPagamentoRes, error) {
	p.got = req
	if p.err != nil {
		return nil, p.err
	}
	return &financeiro.PagamentoAceitoHeaders{Location: "/v1/financeiro/pagamentos/x"}, nil
}

func (p *payments) ObterPagamento(context.Context, financeiro.ObterPagamentoParams) (financeiro.ObterPagamentoRes, error) {
	return &financeiro.NaoModificado{ETag: httpx.ETag(1)}, nil
}

func (p *payments) ListarPagamentos(context.Context, financeiro.ListarPagamentosParams) (financeiro.ListarPagamentosRes, error) {
	return &financeiro.PaginaDePagamentosHeaders{}, nil
}

type courses struct {
	academico.Handler
	patch *academico.AlunoParcial
}

func (c *courses) CriarCurso(context.Context, *academico.CursoInteiro, academico.CriarCursoParams) (academico.CriarCursoRes, error) {
	return &academico.CursoCriadoHeaders{Response: academico.Curso{Nivel: academico.NivelIniciante}}, nil
}

func (c *courses) AlterarAluno(_ context.Context, req *academico.AlunoParcial, _ academico.AlterarAlunoParams) (academico.AlterarAlunoRes, error) {
	c.patch = req
	return &academico.AlunoHeaders{ETag: httpx.ETag(2)}, nil
}

func serve(t testing.TB, p *payments, c *courses) http.Handler {
	t.Helper()
	fin, err := financeiro.NewServer(p, financeiro.WithErrorHandler(httpx.ErrorHandler),
		financeiro.WithNotFound(httpx.NotFound), financeiro.WithMethodNotAllowed(httpx.MethodNotAllowed))
	if err != nil {
		t.Fatal(err)
	}
	aca, err := academico.NewServer(c, academico.WithErrorHandler(httpx.ErrorHandler),
		academico.WithNotFound(httpx.NotFound), academico.WithMethodNotAllowed(httpx.MethodNotAllowed))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/financeiro/", fin)
	mux.Handle("/v1/academico/", aca)
	return httpx.Service(slog.New(slog.NewTextHandler(io.Discard, nil)), mux,
		httpx.WithAliases(map[string]string{"/v1/financeiro/pagamento": "/v1/financeiro/pagamentos"}))
}

func do(h http.Handler, method, target, body string, headers ...string) (*httptest.ResponseRecorder, httpx.Problem) {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var p httpx.Problem
	if w.Header().Get("Content-Type") == httpx.ContentType {
		_ = json.Unmarshal(w.Body.Bytes(), &p) // a broken one shows as status 0 in the assertions
	}
	return w, p
}

const good = `{"aluno":{"nome":"Ana","email":"a@b.br","cpf":"1"},"cursoId":"c","metodo":"pix"}`

// broken tells of each wrong body what the caller must be told: status, code and
// "pointer rule" of every field.
var broken = []struct {
	name, path, body string
	status           int
	code             string
	fields           []string
}{
	{"unknown field", pay, `{"aluno":{"nome":"Ana","email":"a@b.br","cpf":"1"},"cursoId":"c","metodo":"pix","preco":1}`, 422, "campos-invalidos", []string{"/preco campo-desconhecido"}},
	{"unknown field, odd name", pay, `{"a/b~\"c: ":1}`, 422, "campos-invalidos", []string{`/a~1b~0"c:  campo-desconhecido`}},
	{"unknown nested field", pay, `{"aluno":{"nome":"Ana","idade":3}}`, 422, "campos-invalidos", []string{"/aluno/idade campo-desconhecido"}},
	{"wrong type", pay, `{"aluno":{"nome":7}}`, 422, "campos-invalidos", []string{"/aluno/nome tipo"}},
	{"wrong type, object wanted", pay, `{"aluno":"Ana"}`, 422, "campos-invalidos", []string{"/aluno tipo"}},
	{"null", pay, `{"cursoId":null}`, 422, "campos-invalidos", []string{"/cursoId tipo"}},
	{"not whole", pay, `{"parcelas":1.5}`, 422, "campos-invalidos", []string{"/parcelas tipo"}},
	{"whole body of wrong type", pay, `[]`, 422, "campos-invalidos", []string{" tipo"}},
	{"missing, all of them", pay, `{}`, 422, "campos-invalidos", []string{"/aluno obrigatorio", "/cursoId obrigatorio", "/metodo obrigatorio"}},
	{"missing below", pay, `{"aluno":{"nome":"Ana"}}`, 422, "campos-invalidos", []string{"/aluno/cpf obrigatorio", "/aluno/email obrigatorio"}},
	{"too long and no choice, both", pay, `{"aluno":{"nome":"` + strings.Repeat("á", 1001) + `","email":"e","cpf":"1"},"cursoId":"c","metodo":"fiado"}`, 422, "campos-invalidos", []string{"/aluno/nome tamanho", "/metodo valor"}},
	{"array element, wrong type", course, `{"aulas":[{"titulo":"a","minutos":1},{"titulo":2}]}`, 422, "campos-invalidos", []string{"/aulas/1/titulo tipo"}},
	{"array element, unknown field", course, `{"aulas":[{"titulo":"a","minutos":1},{"x":2}]}`, 422, "campos-invalidos", []string{"/aulas/1/x campo-desconhecido"}},
	{"array element, missing", course, `{"aulas":[{"titulo":"a","minutos":1},{"titulo":"b"}]}`, 422, "campos-invalidos", []string{"/aulas/1/minutos obrigatorio"}},
	{"array element itself", course, `{"aulas":[{"titulo":"a","minutos":1},7]}`, 422, "campos-invalidos", []string{"/aulas/1 tipo"}},
	{"array wanted", course, `{"aulas":{}}`, 422, "campos-invalidos", []string{"/aulas tipo"}},
	{"broken", pay, `{"aluno":`, 400, "json-invalido", nil},
	{"trailing", pay, good + `{}`, 400, "json-invalido", nil},
	{"no body", pay, ``, 415, "tipo-nao-suportado", nil},
	{"blank body", pay, ` `, 400, "json-invalido", nil},
	{"not UTF-8", pay, "{\"cursoId\":\"\xff\"}", 400, "utf8-invalido", nil},
	{"not UTF-8 outside strings", pay, "{}\xc3", 400, "utf8-invalido", nil},
	{"NUL", pay, `{"aluno":{"nome":"a\u0000"}}`, 400, "json-ambiguo", []string{"/aluno/nome caracteres"}},
	{"a name twice", pay, `{"aluno":{"nome":"a","nom\u0065":"b"}}`, 400, "json-ambiguo", []string{"/aluno/nome campo-repetido"}},
	{"too deep", pay, strings.Repeat("[", 70) + strings.Repeat("]", 70), 400, "json-profundo-demais", nil},
}

const (
	pay    = "/v1/financeiro/pagamentos"
	course = "/v1/academico/cursos"
)

func TestBadBodiesAreToldExactly(t *testing.T) {
	h := serve(t, &payments{}, &courses{})
	for _, c := range broken {
		t.Run(c.name, func(t *testing.T) {
			w, p := do(h, "POST", c.path, c.body)
			if w.Code != c.status || p.Status != c.status || p.Type != "/problemas/"+c.code {
				t.Fatalf("answer %d %s", w.Code, w.Body)
			}
			var got []string
			for _, f := range p.Errors {
				got = append(got, f.Field+" "+f.Rule)
				if f.Message == "" {
					t.Errorf("%s has no message", f.Field)
				}
			}
			if strings.Join(got, "|") != strings.Join(c.fields, "|") {
				t.Errorf("fields %q, want %q", got, c.fields)
			}
			if p.TraceID == "" || p.Instance != c.path || p.Title == "" || p.Detail == "" {
				t.Errorf("incomplete problem %s", w.Body)
			}
		})
	}
}

func TestGoodRequestReachesTheHandlerAlsoByItsAlias(t *testing.T) {
	for _, path := range []string{pay, "/v1/financeiro/pagamento"} {
		p := &payments{}
		w, _ := do(serve(t, p, &courses{}), "POST", path, good)
		if w.Code != 202 || p.got == nil || p.got.Aluno.Nome != "Ana" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestRequestsThatAreNotAboutTheBody(t *testing.T) {
	h := serve(t, &payments{}, &courses{})
	cases := []struct {
		method, target, body string
		headers              []string
		status               int
		code, field          string
	}{
		{"GET", "/v1/financeiro/nada", "", nil, 404, "rota-inexistente", ""},
		{"DELETE", pay, "", nil, 405, "metodo-nao-permitido", ""},
		{"GET", pay + "/nao-e-uuid", "", nil, 404, "nao-encontrado", ""},
		{"GET", pay + "/01980A53-10AA-7C11-8F00-2B7D9E6C5A02", "", nil, 404, "nao-encontrado", ""},
		{"GET", pay + "?limite=muitos", "", nil, 422, "campos-invalidos", "?limite tipo"},
		{"GET", pay + "?limite=101", "", nil, 422, "campos-invalidos", "?limite intervalo"},
		{"GET", pay + "?limite=0", "", nil, 422, "campos-invalidos", "?limite intervalo"},
		{"GET", pay + "?situacao=quase", "", nil, 422, "campos-invalidos", "?situacao valor"},
		{"GET", pay + "?email=%ff", "", nil, 400, "pedido-ilegivel", ""},
		{"GET", pay + "?email=a%00b", "", nil, 400, "pedido-ilegivel", ""},
		{"GET", pay + "/%00", "", nil, 400, "pedido-ilegivel", ""},
		{"POST", pay, good, []string{"Content-Type", "text/plain"}, 415, "tipo-nao-suportado", ""},
		{"POST", pay, good, []string{"Content-Type", "application/json; charset=latin1"}, 415, "tipo-nao-suportado", ""},
		{"POST", pay, good, []string{"Content-Type", ";;;"}, 415, "tipo-nao-suportado", ""},
		{"POST", pay, strings.Repeat(" ", 2<<20), nil, 413, "corpo-grande-demais", ""},
		{"POST", pay, good, []string{"Idempotency-Key", strings.Repeat("k", 300)}, 422, "campos-invalidos", "Idempotency-Key tamanho"},
	}
	for _, c := range cases {
		w, p := do(h, c.method, c.target, c.body, c.headers...)
		field := ""
		for _, f := range p.Errors {
			field += f.Field + " " + f.Rule
		}
		if w.Code != c.status || p.Type != "/problemas/"+c.code || field != c.field {
			t.Errorf("%s %.80s: %d %s", c.method, c.target, w.Code, w.Body)
		}
	}
}

func TestMethodsAreNamed(t *testing.T) {
	h := serve(t, &payments{}, &courses{})
	if w, _ := do(h, "DELETE", pay, ""); w.Header().Get("Allow") != "GET, HEAD, POST, OPTIONS" {
		t.Errorf("Allow %q", w.Header().Get("Allow"))
	}
	if w, _ := do(h, "OPTIONS", pay, ""); w.Code != 204 || w.Header().Get("Allow") == "" {
		t.Errorf("OPTIONS: %d %v", w.Code, w.Header())
	}
	if w, _ := do(h, "HEAD", pay, ""); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d %q", w.Code, w.Body)
	}
}

func TestMergePatchAndNull(t *testing.T) {
	for _, contentType := range []string{"application/merge-patch+json", "application/json"} {
		c := &courses{}
		w, _ := do(serve(t, &payments{}, c), "PATCH", "/v1/academico/alunos/01980a53-10aa-7c11-8f00-2b7d9e6c5a02",
			`{"telefone":null}`, "Content-Type", contentType)
		if w.Code != 200 || c.patch == nil || !c.patch.Telefone.Null || c.patch.Nome.Set {
			t.Errorf("%s: %d %s", contentType, w.Code, w.Body)
		}
	}
}

func TestHandlersErrorsBecomeProblems(t *testing.T) {
	full := fault.New(fault.Conflict, "pagamento-ja-estornado", fault.Text{PT: "Já estornado.", EN: "Already refunded."})
	cases := []struct {
		err    error
		status int
		code   string
	}{
		{full, 409, "pagamento-ja-estornado"},
		{errors.New("dial tcp 10.0.0.7:5432: secret"), 500, "erro-interno"},
		{context.DeadlineExceeded, 504, "tempo-esgotado"},
		{fault.Fields([]fault.Field{{Pointer: "/cartao/numero", Rule: "luhn"}}), 422, "campos-invalidos"},
	}
	for _, c := range cases {
		w, p := do(serve(t, &payments{err: c.err}, &courses{}), "POST", pay, good)
		if w.Code != c.status || p.Type != "/problemas/"+c.code || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%v: %d %s", c.err, w.Code, w.Body)
		}
	}
}

// FuzzBodies posts anything: whatever comes, the answer is 202 or a 4xx problem
// whose fields have pointers that begin at the root, never a 5xx.
func FuzzBodies(f *testing.F) {
	for _, c := range broken {
		f.Add(c.body, c.path == course)
	}
	f.Add(good, false)
	f.Add(`{"aulas":[[{"titulo":1}]],"a":"unexpected field \"x\" at 3"}`, true)
	h := serve(f, &payments{}, &courses{})
	f.Fuzz(func(t *testing.T, body string, asCourse bool) {
		path := pay
		if asCourse {
			path = course
		}
		w, p := do(h, "POST", path, body, "Content-Type", "application/json")
		if w.Code == 201 || w.Code == 202 {
			if !json.Valid([]byte(body)) {
				t.Fatalf("accepted %q, which is no JSON", body)
			}
			return
		}
		if w.Code < 400 || w.Code >= 500 || p.Status != w.Code || p.Type == "" {
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
		if w.Code == 422 && len(p.Errors) == 0 {
			t.Fatalf("%q: 422 without a field", body)
		}
		for _, e := range p.Errors {
			if e.Field != "" && e.Field[0] != '/' {
				t.Fatalf("%q: pointer %q", body, e.Field)
			}
		}
	})
}
