package site

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/contracts/rest/academico"
	"trama/contracts/rest/financeiro"
	"trama/contracts/rest/marketing"
	"trama/contracts/rest/notificacoes"
	"trama/platform/auth"
	"trama/platform/clock"
	"trama/platform/id"
)

var noon = time.Date(2026, 11, 20, 15, 0, 0, 0, time.UTC)

// fakeAPI is a public API over HTTP that answers in the shapes of the OpenAPI
// documents, because it writes them with the types generated from these. It is
// here because the pages are tested without the services; the browser suite
// tests both together.
type fakeAPI struct {
	mu       sync.Mutex
	ids      id.Source
	courses  []academico.Curso
	payments map[string]*financeiro.Pagamento
	keys     map[string]string // idempotency key → payment
	pending  map[string]bool   // payments whose charge the simulator would let be paid
	leads    []marketing.NovoLead
	orders   []financeiro.NovoPagamento
	mails    []notificacoes.Mensagem
	student  academico.Aluno
	enrolled []academico.Matricula
	stopped  time.Time // since when the token "bom" gets no reminders
	seen     []*http.Request

	// answer, when set, may take over a request; true: it did.
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func newFakeAPI() *fakeAPI {
	f := &fakeAPI{
		ids: id.New(clock.System{}, zeros{}), payments: map[string]*financeiro.Pagamento{},
		keys: map[string]string{}, pending: map[string]bool{}, stopped: noon,
	}
	f.courses = []academico.Curso{
		f.newCourse("Go para serviços", "Programação", "1299.00", academico.NivelIntermediario, 40),
		f.newCourse("Fotografia com celular", "Imagem", "349.90", academico.NivelIniciante, 12),
		f.newCourse("Estatística para decidir", "Dados", "890.00", academico.NivelAvancado, 32),
		f.newCourse("SQL do básico ao plano de consulta", "Dados", "590.00", academico.NivelIntermediario, 24),
	}
	return f
}

// zeros is a random source that is none; the counter in the ids keeps them apart.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func (f *fakeAPI) newCourse(title, category, price string, l academico.Nivel, hours int) academico.Curso {
	c := academico.Curso{
		ID: f.ids.New(), Titulo: title, Categoria: category, Nivel: l, CargaHoraria: hours, Ativo: true,
		Slug:   strings.ReplaceAll(strings.ToLower(title), " ", "-"),
		Preco:  academico.Dinheiro{Valor: price, Moeda: "BRL"},
		Resumo: "O que importa de " + title + ", sem enrolação.", Instrutor: "Beatriz Nogueira",
		Descricao: "Primeiro parágrafo.\n\nSegundo parágrafo.", CriadoEm: noon, AtualizadoEm: noon,
	}
	for i, name := range []string{"Por onde começar", "O primeiro projeto", "O que costuma dar errado"} {
		c.Aulas = append(c.Aulas, academico.Aula{ID: f.ids.New(), Titulo: name, Minutos: 35 + 10*i})
	}
	return c
}

// ServeHTTP answers one request.
func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.seen = append(f.seen, r.Clone(r.Context()))
	answer := f.answer
	f.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/academico/cursos", f.listCourses)
	mux.HandleFunc("GET /v1/academico/cursos/{id}", f.getCourse)
	mux.HandleFunc("GET /v1/academico/alunos/{id}", f.getStudent)
	mux.HandleFunc("GET /v1/academico/alunos/{id}/matriculas", f.listEnrolments)
	mux.HandleFunc("POST /v1/financeiro/pagamentos", f.pay)
	mux.HandleFunc("GET /v1/financeiro/pagamentos/{id}", f.getPayment)
	mux.HandleFunc("POST /v1/marketing/leads", f.newLead)
	mux.HandleFunc("POST /v1/marketing/descadastro", f.unsubscribe)
	mux.HandleFunc("GET /v1/notificacoes/mensagens", f.listMails)
	mux.HandleFunc("GET /v1/notificacoes/mensagens/{id}", f.getMail)
	mux.HandleFunc("GET /v1/simulador/cartoes", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"aviso":"simulada","itens":[{"numero":"4111111111111111","bandeira":"visa","comportamento":"aprova","descricao":"Aprova."}]}`)
	})
	mux.HandleFunc("GET /v1/simulador/cobrancas/{id}", f.getCharge)
	mux.HandleFunc("POST /v1/simulador/cobrancas/{id}/pagar", f.payCharge)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { problem(w, 404, "rota-inexistente", "Não existe.") })
	f.mu.Lock()
	defer f.mu.Unlock()
	mux.ServeHTTP(w, r)
}

func problem(w http.ResponseWriter, status int, code, detail string, fields ...academico.ErroDeCampo) {
	p := academico.Problema{Type: "/problemas/" + code, Title: "Problema", Status: status, Erros: fields}
	p.Detail.SetTo(detail)
	p.TraceID.SetTo("4bf92f3577b34da6a3ce929d0e0e4736")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	body, _ := p.MarshalJSON()
	_, _ = w.Write(body)
}

func sendJSON(w http.ResponseWriter, status int, v json.Marshaler) {
	body, err := v.MarshalJSON()
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", `"1"`)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (f *fakeAPI) listCourses(w http.ResponseWriter, r *http.Request) {
	page := academico.PaginaDeCursos{Itens: []academico.Curso{}}
	q := r.URL.Query()
	for _, c := range f.courses {
		if strings.Contains(strings.ToLower(c.Titulo), strings.ToLower(q.Get("busca"))) && (q.Get("slug") == "" || q.Get("slug") == c.Slug) {
			page.Itens = append(page.Itens, c)
		}
	}
	// Two to a page, whatever is asked for, so that paging is always exercised.
	from, _ := strconv.Atoi(q.Get("cursor"))
	if rest := page.Itens[min(from, len(page.Itens)):]; len(rest) > 2 {
		page.Itens = rest[:2]
		page.Proximo.SetTo(strconv.Itoa(from + 2))
	} else {
		page.Itens = rest
	}
	sendJSON(w, 200, &page)
}

func (f *fakeAPI) getCourse(w http.ResponseWriter, r *http.Request) {
	for _, c := range f.courses {
		if c.ID == r.PathValue("id") {
			sendJSON(w, 200, &c)
			return
		}
	}
	problem(w, 404, "curso-inexistente", "Este curso não existe.")
}

func (f *fakeAPI) getStudent(w http.ResponseWriter, r *http.Request) {
	if f.student.ID != r.PathValue("id") {
		problem(w, 404, "aluno-inexistente", "Este aluno não existe.")
		return
	}
	sendJSON(w, 200, &f.student)
}

func (f *fakeAPI) listEnrolments(w http.ResponseWriter, _ *http.Request) {
	sendJSON(w, 200, &academico.PaginaDeMatriculas{Itens: append([]academico.Matricula{}, f.enrolled...)})
}

func (f *fakeAPI) newLead(w http.ResponseWriter, r *http.Request) {
	var lead marketing.NovoLead
	body, _ := io.ReadAll(r.Body)
	if err := lead.UnmarshalJSON(body); err != nil {
		problem(w, 400, "corpo-ilegivel", err.Error())
		return
	}
	if !strings.Contains(lead.Email, "@") {
		problem(w, 422, "campos-invalidos", "Há campos que não podem ser aceitos.",
			academico.ErroDeCampo{Campo: "/email", Regra: "email", Mensagem: "Informe um e-mail válido."})
		return
	}
	f.leads = append(f.leads, lead)
	w.Header().Set("Location", "/v1/marketing/leads/x")
	sendJSON(w, 201, &marketing.LeadRegistrado{ID: f.ids.New(), Email: lead.Email, CriadoEm: noon})
}

func (f *fakeAPI) unsubscribe(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("token") != "bom" {
		problem(w, 404, "descadastro-invalido", "Este código não vale.")
		return
	}
	sendJSON(w, 200, &marketing.Descadastro{Descadastrado: true, Email: "a**@exemplo.com.br", Desde: f.stopped})
}

func (f *fakeAPI) pay(w http.ResponseWriter, r *http.Request) {
	var order financeiro.NovoPagamento
	body, _ := io.ReadAll(r.Body)
	if err := order.UnmarshalJSON(body); err != nil {
		problem(w, 400, "corpo-ilegivel", err.Error())
		return
	}
	var wrong []academico.ErroDeCampo
	if strings.Trim(order.Aluno.Cpf, "1.-") == "" {
		wrong = append(wrong, academico.ErroDeCampo{Campo: "/aluno/cpf", Regra: "cpf", Mensagem: "O CPF não confere; confira os dígitos."})
	}
	if order.Metodo == "cartao" && !strings.HasPrefix(order.Cartao.Value.Numero, "4111") {
		wrong = append(wrong, academico.ErroDeCampo{Campo: "/cartao/numero", Regra: "luhn", Mensagem: "O número do cartão não confere; confira os dígitos."})
	}
	if wrong != nil {
		problem(w, 422, "campos-invalidos", "Há campos que não podem ser aceitos.", wrong...)
		return
	}
	f.orders = append(f.orders, order)
	name, again := f.keys[r.Header.Get("Idempotency-Key")]
	if !again {
		name = f.ids.New()
		f.keys[r.Header.Get("Idempotency-Key")] = name
		f.payments[name] = newPaymentState(name, order)
	}
	w.Header().Set("Location", "/v1/financeiro/pagamentos/"+name)
	sendJSON(w, 202, f.payments[name])
}

func newPaymentState(name string, order financeiro.NovoPagamento) *financeiro.Pagamento {
	p := &financeiro.Pagamento{
		ID: name, Metodo: order.Metodo, Parcelas: max(1, order.Parcelas.Value), CriadoEm: noon, AtualizadoEm: noon,
		Valor: financeiro.Dinheiro{Valor: "1299.00", Moeda: "BRL"},
		Curso: financeiro.CursoResumido{ID: order.CursoID, Titulo: "Go para serviços"},
		Aluno: financeiro.PagadorResumido{Nome: order.Aluno.Nome, Email: order.Aluno.Email, Cpf: "***.982.247-**"},
	}
	if order.Metodo == financeiro.MetodoCartao {
		p.Cartao.SetTo(financeiro.CartaoResumido{Bandeira: "visa", UltimosQuatro: "1111"})
	}
	move(p, financeiro.SituacaoDoPagamentoRecebido)
	return p
}

// move puts a payment into its next state.
func move(p *financeiro.Pagamento, to financeiro.SituacaoDoPagamento) {
	p.Situacao = to
	p.AtualizadoEm = p.AtualizadoEm.Add(time.Second)
	p.Historico = append(p.Historico, financeiro.PassoDoPagamento{Situacao: to, Em: p.AtualizadoEm})
}

func (f *fakeAPI) getPayment(w http.ResponseWriter, r *http.Request) {
	p, ok := f.payments[r.PathValue("id")]
	if !ok {
		problem(w, 404, "pagamento-inexistente", "Este pagamento não existe.")
		return
	}
	sendJSON(w, 200, p)
}

func (f *fakeAPI) getCharge(w http.ResponseWriter, r *http.Request) {
	if !f.pending[r.PathValue("id")] {
		problem(w, 404, "cobranca-inexistente", "Esta cobrança não existe.")
		return
	}
	_, _ = io.WriteString(w, `{"id":"x","situacao":"pendente"}`)
}

func (f *fakeAPI) payCharge(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(auth.ForwardedHeader) != "" {
		problem(w, 401, "token-ausente", "Só da própria máquina.")
		return
	}
	name := r.PathValue("id")
	if !f.pending[name] {
		problem(w, 409, "cobranca-vencida", "Esta cobrança não pode mais ser paga.")
		return
	}
	delete(f.pending, name)
	move(f.payments[name], financeiro.SituacaoDoPagamentoAprovado)
	_, _ = io.WriteString(w, `{}`)
}

func (f *fakeAPI) listMails(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(auth.ForwardedHeader) != "" {
		problem(w, 401, "token-ausente", "Só da própria máquina.")
		return
	}
	page := notificacoes.PaginaDeMensagens{Itens: []notificacoes.MensagemResumida{}}
	for _, m := range f.mails {
		page.Itens = append(page.Itens, notificacoes.MensagemResumida{ID: m.ID, Para: m.Para, Assunto: m.Assunto, Situacao: m.Situacao, EnviadaEm: m.EnviadaEm})
	}
	sendJSON(w, 200, &page)
}

func (f *fakeAPI) getMail(w http.ResponseWriter, r *http.Request) {
	for _, m := range f.mails {
		if m.ID == r.PathValue("id") && r.Header.Get(auth.ForwardedHeader) == "" {
			sendJSON(w, 200, &m)
			return
		}
	}
	problem(w, 404, "mensagem-inexistente", "Esta mensagem não existe.")
}

// payment puts a payment into the fake and gives its id.
func (f *fakeAPI) payment(method financeiro.Metodo, states ...financeiro.SituacaoDoPagamento) *financeiro.Pagamento {
	name := f.ids.New()
	p := newPaymentState(name, financeiro.NovoPagamento{
		Metodo: method, CursoID: f.courses[0].ID,
		Aluno: financeiro.AlunoPagador{Nome: "Ana Souza", Email: "ana@exemplo.com.br"},
	})
	for _, s := range states {
		move(p, s)
	}
	f.payments[name] = p
	return p
}

// lastTo gives the last request the site sent to a path.
func (f *fakeAPI) lastTo(t *testing.T, path string) *http.Request {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.seen) - 1; i >= 0; i-- {
		if f.seen[i].URL.Path == path {
			return f.seen[i]
		}
	}
	t.Fatalf("the site never asked for %s", path)
	return nil
}

// rig is a site in front of a fake API.
type rig struct {
	t    *testing.T
	api  *fakeAPI
	site http.Handler
}

func newRig(t *testing.T) *rig {
	t.Helper()
	f := newFakeAPI()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return &rig{t, f, newTestSite(t, server.URL)}
}

func newTestSite(t *testing.T, api string) http.Handler {
	t.Helper()
	return newLoggedSite(t, api, io.Discard)
}

// as makes the visitor local or remote, as the host's middleware would.
func as(r *http.Request, who auth.Caller) *http.Request {
	return r.WithContext(auth.NewContext(r.Context(), who))
}

func (g *rig) do(r *http.Request) *httptest.ResponseRecorder {
	g.t.Helper()
	w := httptest.NewRecorder()
	g.site.ServeHTTP(w, r)
	return w
}

func (g *rig) get(path string) *httptest.ResponseRecorder {
	g.t.Helper()
	return g.do(httptest.NewRequest("GET", path, nil))
}

// local fetches a page as a visitor on this machine.
func (g *rig) local(path string) *httptest.ResponseRecorder {
	g.t.Helper()
	return g.do(as(httptest.NewRequest("GET", path, nil), auth.Caller{Local: true}))
}

func (g *rig) post(path string, form map[string]string) *httptest.ResponseRecorder {
	g.t.Helper()
	return g.do(formPost(path, form))
}

// expect fails unless the page has the status and holds each text.
func expect(t *testing.T, w *httptest.ResponseRecorder, status int, texts ...string) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d; body:\n%s", w.Code, status, w.Body)
	}
	for _, text := range texts {
		if !strings.Contains(w.Body.String(), text) {
			t.Errorf("page lacks %q:\n%s", text, w.Body)
		}
	}
}

// refuse fails if the page holds one of the texts.
func refuse(t *testing.T, w *httptest.ResponseRecorder, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(w.Body.String(), text) {
			t.Errorf("page holds %q", text)
		}
	}
}

func mustContain(t *testing.T, what, s, want string) {
	t.Helper()
	if !strings.Contains(s, want) {
		t.Errorf("%s is %q and lacks %q", what, s, want)
	}
}

func header(t *testing.T, h http.Header, name, want string) {
	t.Helper()
	if got := h.Get(name); got != want {
		t.Errorf("header %s is %q, want %q", name, got, want)
	}
}
