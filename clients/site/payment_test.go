package site

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trama/clients/site/internal/api"
	"trama/contracts/rest/academico"
	"trama/contracts/rest/financeiro"
	"trama/platform/auth"
	"trama/platform/clock"
)

// downFor makes the API unavailable for one method.
func downFor(method string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method {
			return false
		}
		problem(w, 503, "adquirente-indisponivel", "Indisponível.")
		return true
	}
}

const key = "01980a52-7c00-7000-8000-0000000000aa"

// ana is a payment form as Ana fills it in.
func ana(changes ...string) map[string]string {
	form := map[string]string{
		"chave": key, "nome": "Ana Souza", "email": "ana@exemplo.com.br", "cpf": "529.982.247-25", "telefone": "11 98765-4321", "metodo": "cartao",
		"numero": "4111 1111 1111 1111", "titular": "ANA SOUZA", "validade": "12/30", "cvv": "842", "parcelas": "3", "cupom": "VOLTA10",
	}
	for i := 0; i+1 < len(changes); i += 2 {
		form[changes[i]] = changes[i+1]
	}
	return form
}

func TestPaymentForm(t *testing.T) {
	g := newRig(t)
	w := g.get("/cursos/" + g.api.courses[0].ID + "/matricula")
	expect(t, w, 200, `name="chave" value="0`, `autocomplete="cc-number"`, `autocomplete="cc-csc"`, `value="cartao" checked`, "4111 1111 1111 1111",
		"À vista, R$\u00a01.299,00", "3x de\u00a0R$\u00a0433,00", "7x de\u00a0R$\u00a0185,57 (a primeira, R$\u00a0185,58)", `aria-describedby="dica-validade"`)
	if again := g.get("/cursos/" + g.api.courses[0].ID + "/matricula"); keyOf(t, again.Body.String()) == keyOf(t, w.Body.String()) {
		t.Error("two forms share an idempotency key")
	}
}

func keyOf(t *testing.T, page string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, `name="chave" value="`)
	value, _, _ := strings.Cut(rest, `"`)
	if !ok || len(value) != 36 {
		t.Fatalf("the form has no key")
	}
	return value
}

func TestNoTestCardsWithARealAcquirer(t *testing.T) {
	g := newRig(t)
	g.api.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/v1/simulador") {
			return false
		}
		problem(w, 404, "rota-inexistente", "Não existe.")
		return true
	}
	refuse(t, g.get("/cursos/"+g.api.courses[0].ID+"/matricula"), "Demonstração", "4111")
}

func TestPayByCard(t *testing.T) {
	g := newRig(t)
	w := g.post("/cursos/"+g.api.courses[0].ID+"/matricula", ana())
	expect(t, w, 303)
	o := g.api.orders[0]
	if o.CursoID != g.api.courses[0].ID || o.Metodo != "cartao" || o.Parcelas.Value != 3 || o.Desconto.Value != "VOLTA10" || o.Valor.Set ||
		o.Aluno.Nome != "Ana Souza" || o.Aluno.Telefone.Value != "11 98765-4321" ||
		o.Cartao.Value != (financeiro.CartaoInformado{Titular: "ANA SOUZA", Numero: "4111 1111 1111 1111", Validade: "12/30", Cvv: "842"}) {
		t.Errorf("order is %+v", o)
	}
	header(t, g.api.lastTo(t, "/v1/financeiro/pagamentos").Header, "Idempotency-Key", key)

	again := g.post("/cursos/"+g.api.courses[0].ID+"/matricula", ana())
	header(t, again.Header(), "Location", w.Header().Get("Location"))
	if len(g.api.payments) != 1 {
		t.Errorf("a form sent twice made %d payments", len(g.api.payments))
	}
	expect(t, g.get(w.Header().Get("Location")), 200, "Recebemos seu pedido")
}

func TestPayByPixSendsNoCard(t *testing.T) {
	g := newRig(t)
	expect(t, g.post("/cursos/"+g.api.courses[0].ID+"/matricula", ana("metodo", "pix", "numero", "4111111111111111")), 303)
	if o := g.api.orders[0]; o.Cartao.Set || o.Parcelas.Set || o.Metodo != "pix" {
		t.Errorf("order is %+v", o)
	}
}

func TestPaymentErrorsKeepWhatWasTypedButTheCard(t *testing.T) {
	g := newRig(t)
	w := g.post("/cursos/"+g.api.courses[0].ID+"/matricula", ana("cpf", "111.111.111-11", "numero", "4222 2222 2222 9999"))
	expect(t, w, 422, "<title>Erro: Matrícula em Go para serviços", "Falta acertar 2 campos",
		`<a href="#campo-cpf">O CPF não confere`, `<a href="#campo-numero">O número do cartão não confere`,
		`aria-invalid="true" aria-describedby="erro-cpf"`, `aria-invalid="true" aria-describedby="erro-numero"`,
		`value="Ana Souza"`, `value="ana@exemplo.com.br"`, `value="111.111.111-11"`, `value="11 98765-4321"`, `value="ANA SOUZA"`, `value="12/30"`,
		`value="VOLTA10"`, `<option value="3" selected>`, "digite os dois de novo", `tabindex="-1" autofocus`)
	refuse(t, w, "4222 2222", "42222222", "2222 9999", `value="842"`)
	if keyOf(t, w.Body.String()) == key {
		t.Error("a form refused by its fields keeps the key of the refused request")
	}
}

func TestPaymentWithoutAMethod(t *testing.T) {
	g := newRig(t)
	w := g.post("/cursos/"+g.api.courses[0].ID+"/matricula", ana("metodo", "cheque"))
	expect(t, w, 422, `<a href="#campo-metodo">Escolha como pagar`, `aria-describedby="erro-metodo"`)
	if len(g.api.orders) > 0 {
		t.Error("the order was sent")
	}
}

func TestPaymentErrorOfNoField(t *testing.T) {
	g := newRig(t)
	g.api.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != "POST" {
			return false
		}
		problem(w, 422, "campos-invalidos", "Há campos.", academico.ErroDeCampo{Campo: "/cursoId", Regra: "inativo", Mensagem: "Este curso não aceita matrículas."})
		return true
	}
	expect(t, g.post("/cursos/"+g.api.courses[0].ID+"/matricula", ana()), 422, "<li>Este curso não aceita matrículas.</li>")
}

func TestPaymentWhenTheAcquirerIsDown(t *testing.T) {
	g := newRig(t)
	g.api.answer = downFor("POST")
	var log strings.Builder
	w := g.post("/cursos/"+g.api.courses[0].ID+"/matricula", ana())
	expect(t, w, 503, "nada foi cobrado", `value="Ana Souza"`, `value="`+key+`"`)
	refuse(t, w, "4111 1111 1111 1111\"", `value="842"`)
	if w.Header().Get("Retry-After") == "" || strings.Contains(log.String(), "Ana") {
		t.Errorf("headers %v, log %s", w.Header(), log.String())
	}
}

func TestPaymentOfUnknownOutcomeKeepsItsKey(t *testing.T) {
	for _, status := range []int{500, 504} {
		g := newRig(t)
		g.api.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != "POST" {
				return false
			}
			problem(w, status, "tempo-esgotado", "?")
			return true
		}
		w := g.post("/cursos/"+g.api.courses[0].ID+"/matricula", ana())
		expect(t, w, 503, "não será feito duas vezes", `value="`+key+`"`)
		refuse(t, w, "nada foi cobrado")
	}
}

func TestPaymentKeyThatWasSpentOnOtherData(t *testing.T) {
	g := newRig(t)
	g.api.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != "POST" {
			return false
		}
		problem(w, 422, codeReused, "Já usada.")
		return true
	}
	expect(t, g.post("/cursos/"+g.api.courses[0].ID+"/matricula", ana()), 409, "já foi enviado antes", "Abrir um formulário novo")
}

// The second of two clicks arrives while the first is being executed: it waits
// for that answer instead of showing an error over it.
func TestSecondClickWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		send := func(r *http.Request) (*http.Response, error) {
			tries++
			w := httptest.NewRecorder()
			if tries < 4 {
				problem(w, 409, api.CodeRunning, "Ainda em andamento.")
			} else {
				w.Header().Set("Location", "/v1/financeiro/pagamentos/abc")
				sendJSON(w, 202, newPaymentState(key, financeiro.NovoPagamento{Metodo: "pix", CursoID: key}))
			}
			return w.Result(), nil
		}
		client, err := api.New("http://api", send, 8*time.Second, clock.System{})
		if err != nil {
			t.Fatal(err)
		}
		name, err := client.Pay(t.Context(), &financeiro.NovoPagamento{Metodo: "pix"}, key)
		if name != "abc" || err != nil || tries != 4 {
			t.Errorf("got %q, %v after %d tries", name, err, tries)
		}
		tries = -1000
		if _, err = client.Pay(t.Context(), &financeiro.NovoPagamento{Metodo: "pix"}, key); api.AsProblem(err).Code != api.CodeRunning {
			t.Errorf("one that never ends gives %v", err)
		}
	})
}

func TestSecondTryAfterARefusalIsFilledIn(t *testing.T) {
	g := newRig(t)
	p := g.api.payment("pix", "em_analise", "recusado")
	w := g.get("/cursos/" + g.api.courses[0].ID + "/matricula?de=" + p.ID)
	expect(t, w, 200, `value="Ana Souza"`, `value="ana@exemplo.com.br"`, `value="pix" checked`)
	refuse(t, w, "982.247")
	w = g.get("/cursos/" + g.api.courses[1].ID + "/matricula?de=" + p.ID)
	refuse(t, w, "Ana Souza")
	expect(t, g.get("/cursos/"+g.api.courses[0].ID+"/matricula?de=x"), 200)
}

func TestProgressOfACard(t *testing.T) {
	g := newRig(t)
	p := g.api.payment("cartao")
	w := g.get("/pagamentos/" + p.ID)
	expect(t, w, 200, "Recebemos seu pedido", `<noscript><meta http-equiv="refresh" content="3"></noscript>`, `data-poll="1000"`, `role="status"`,
		"Visa final 1111, à vista", "***.982.247-**", `name="robots" content="noindex"`)
	steps(t, w.Body.String(), "now", "todo", "todo", "todo")
	expect(t, g.get("/pagamentos/"+p.ID+"?atualizar=nao"), 200, "A atualização está parada")
	refuse(t, g.get("/pagamentos/"+p.ID+"?atualizar=nao"), "http-equiv")

	move(p, "em_analise")
	w = g.get("/pagamentos/" + p.ID + "/estado")
	expect(t, w, 200, "Estamos analisando", `id="estado"`)
	refuse(t, w, "<html", "<header class=\"top\"")
	steps(t, w.Body.String(), "done", "now", "todo", "todo")

	move(p, "aprovado")
	w = g.get("/pagamentos/" + p.ID)
	expect(t, w, 200, "Pagamento aprovado", "http-equiv")
	steps(t, w.Body.String(), "done", "done", "done", "now")

	p.Matricula.SetTo(financeiro.MatriculaDoPagamento{AlunoID: key, MatriculaID: key})
	p.Final = true
	w = g.get("/pagamentos/" + p.ID)
	expect(t, w, 200, "Matrícula feita. Boas-vindas, Ana!", `href="/alunos/`+key+`"`, `data-poll="0"`)
	refuse(t, w, "http-equiv")
	steps(t, w.Body.String(), "done", "done", "done", "done")
	header(t, w.Header(), "Cache-Control", "no-store")
}

// steps compares the states of the way with want.
func steps(t *testing.T, page string, want ...string) {
	t.Helper()
	var got []string
	for _, part := range strings.Split(page, `<li class="step `)[1:] {
		state, _, _ := strings.Cut(part, `"`)
		got = append(got, state)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("steps are %v, want %v", got, want)
	}
}

func TestProgressOfAPix(t *testing.T) {
	g := newRig(t)
	p := g.api.payment("pix", "em_analise", "aguardando_pagamento")
	how := financeiro.Instrucoes{ExpiraEm: noon.Add(time.Hour)}
	how.CopiaECola.SetTo("00020126580014br.gov.bcb.pix0136123e4567")
	p.Instrucoes.SetTo(how)
	g.api.pending[p.ID] = true
	w := g.get("/pagamentos/" + p.ID)
	expect(t, w, 200, "Falta só pagar o pix", `<svg class="qr"`, "00020126580014br.gov.bcb.pix0136123e4567</textarea>", "20/11/2026, 13h00", `content="10"`, `data-copy="codigo-pix" hidden`)
	refuse(t, w, "Simular pagamento")
	steps(t, w.Body.String(), "done", "done", "now", "todo", "todo")

	expect(t, g.local("/pagamentos/"+p.ID), 200, "Simular pagamento", `action="/pagamentos/`+p.ID+`/simular"`)
	expect(t, g.post("/pagamentos/"+p.ID+"/simular", nil), 404) // a remote visitor
	w = g.do(as(formPost("/pagamentos/"+p.ID+"/simular", nil), auth.Caller{Local: true}))
	expect(t, w, 303)
	header(t, w.Header(), "Location", "/pagamentos/"+p.ID)
	w = g.local("/pagamentos/" + p.ID)
	expect(t, w, 200, "Pagamento aprovado")
	refuse(t, w, "Simular", "<svg class=\"qr\"")
}

func TestProgressOfABoleto(t *testing.T) {
	g := newRig(t)
	p := g.api.payment("boleto", "em_analise", "aguardando_pagamento")
	how := financeiro.Instrucoes{ExpiraEm: noon.Add(72 * time.Hour)}
	how.LinhaDigitavel.SetTo("00190500954014481606906809350314337370000000100")
	p.Instrucoes.SetTo(how)
	expect(t, g.get("/pagamentos/"+p.ID), 200, "Falta só pagar o boleto", "00190.50095 40144.816069 06809.350314 3 37370000000100", `<svg class="barcode"`, "23\u00a0de novembro de\u00a02026")
	how.LinhaDigitavel.SetTo("linha <b>estranha")
	p.Instrucoes.SetTo(how)
	w := g.get("/pagamentos/" + p.ID)
	expect(t, w, 200, "linha &lt;b&gt;estranha")
	refuse(t, w, "barcode")
}

func TestProgressOfARefusal(t *testing.T) {
	g := newRig(t)
	p := g.api.payment("cartao", "em_analise", "recusado")
	p.Motivo.SetTo("saldo-insuficiente")
	p.Mensagem.SetTo("O banco emissor não aprovou por falta de saldo ou limite.")
	p.Final = true
	w := g.get("/pagamentos/" + p.ID)
	expect(t, w, 200, "O pagamento não foi aprovado", "falta de saldo ou limite", `href="/cursos/`+p.Curso.ID+`/matricula?de=`+p.ID+`"`, "Tentar de novo")
	refuse(t, w, "saldo-insuficiente")
	steps(t, w.Body.String(), "done", "done", "bad")
	p.Mensagem.Reset()
	expect(t, g.get("/pagamentos/"+p.ID), 200, "não autorizou a compra")
}

func TestProgressOfARefund(t *testing.T) {
	g := newRig(t)
	p := g.api.payment("cartao", "em_analise", "aprovado", "estornado")
	p.Final = true
	w := g.get("/pagamentos/" + p.ID)
	expect(t, w, 200, "O pagamento foi estornado")
	steps(t, w.Body.String(), "done", "done", "done", "bad")
}

func TestProgressShowsTheDiscount(t *testing.T) {
	g := newRig(t)
	p := g.api.payment("pix")
	p.Desconto.SetTo(financeiro.DescontoAplicado{Cupom: "VOLTA10", Valor: financeiro.Dinheiro{Valor: "129.90", Moeda: "BRL"}})
	expect(t, g.get("/pagamentos/"+p.ID), 200, "R$\u00a0129,90 (VOLTA10)")
}
