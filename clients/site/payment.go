package site

import (
	"context"
	"net/http"
	"strconv"

	"trama/clients/site/internal/api"
	"trama/contracts/rest/academico"
	"trama/contracts/rest/financeiro"
	"trama/platform/id"
	"trama/platform/money"
)

// codeReused is the API's word for an idempotency key that came with another body.
const codeReused = "idempotency-key-reutilizada"

// paymentPage is what the template "matricula" shows.
type paymentPage struct {
	Course       academico.Curso
	Form         *form
	Method       string // "cartao", "pix", "boleto"
	Installments []installment
	Chosen       int // of Installments
	Again        bool
	TestCards    []api.TestCard // empty when the acquirer is a real one
	Fresh        string         // address of a new form, when this one is spent
}

var paymentPointers = map[string]string{
	"/aluno/nome": "nome", "/aluno/email": "email", "/aluno/cpf": "cpf", "/aluno/telefone": "telefone",
	"/metodo": "metodo", "/parcelas": "parcelas", "/desconto": "cupom",
	"/cartao": "numero", "/cartao/numero": "numero", "/cartao/titular": "titular",
	"/cartao/validade": "validade", "/cartao/cvv": "cvv",
}

// newPayment makes an empty payment form for a course.
func (s *Site) newPayment(ctx context.Context, course academico.Curso) paymentPage {
	p := paymentPage{Course: course, Method: "cartao", Chosen: 1}
	if price, err := money.Parse(course.Preco.Valor); err == nil {
		p.Installments = installments(price)
	}
	if cards, err := s.api.TestCards(ctx); err == nil {
		p.TestCards = cards
	}
	p.Form = newForm(s.ids.New(), paymentPointers,
		field{Name: "nome", Label: "Nome completo", Autocomplete: "name", Required: true},
		field{Name: "email", Label: "E-mail", Hint: "Para onde vão as boas-vindas e o acesso.", Type: "email",
			Autocomplete: "email", InputMode: "email", Required: true},
		field{Name: "cpf", Label: "CPF", InputMode: "numeric", Required: true, Half: true},
		field{Name: "telefone", Label: "Telefone", Type: "tel", Autocomplete: "tel", InputMode: "tel", Half: true},
		field{Name: "metodo", Label: "Como você quer pagar?"},
		field{Name: "numero", Label: "Número do cartão", Autocomplete: "cc-number", InputMode: "numeric", Required: true, Secret: true},
		field{Name: "titular", Label: "Nome como está no cartão", Autocomplete: "cc-name", Required: true},
		field{Name: "validade", Label: "Validade", Hint: "Mês e ano: MM/AA.", Autocomplete: "cc-exp", InputMode: "numeric", Required: true, Half: true},
		field{Name: "cvv", Label: "Código de segurança (CVV)", Hint: "3 ou 4 dígitos.", Autocomplete: "cc-csc", InputMode: "numeric",
			Required: true, Secret: true, Half: true},
		field{Name: "parcelas", Label: "Parcelas"},
		field{Name: "cupom", Label: "Cupom de desconto", Hint: "O desconto entra no valor ao enviar."},
	)
	return p
}

func (s *Site) paymentForm(w http.ResponseWriter, r *http.Request) error {
	course, ok, err := s.findCourse(w, r)
	if err != nil || !ok {
		return err
	}
	p := s.newPayment(r.Context(), course)
	s.fillFrom(r, &p)
	return s.render(w, r, http.StatusOK, "matricula", view{Title: "Matrícula em " + course.Titulo, Nav: "cursos", Data: p})
}

// fillFrom fills in who paid before, for a second try after a refusal. The
// payment's id is what lets its holder see the same data on its own page. It is
// a courtesy: when it cannot be had, the form is empty.
func (s *Site) fillFrom(r *http.Request, p *paymentPage) {
	from := r.URL.Query().Get("de")
	if !id.Valid(from) {
		return
	}
	before, err := s.api.Payment(r.Context(), from)
	if err != nil || before.Curso.ID != p.Course.ID {
		return
	}
	p.Form.fields["nome"].Value = before.Aluno.Nome
	p.Form.fields["email"].Value = before.Aluno.Email
	p.Form.fields["cupom"].Value = before.Desconto.Value.Cupom
	p.Method, p.Chosen = string(before.Metodo), before.Parcelas
}

func (s *Site) paymentSend(w http.ResponseWriter, r *http.Request) error {
	course, ok, err := s.findCourse(w, r)
	if err != nil || !ok {
		return err
	}
	p := s.newPayment(r.Context(), course)
	value := p.Form.fill(r)
	key := s.formKey(value("chave"))
	p.Method = value("metodo")
	switch p.Method {
	case "cartao", "pix", "boleto":
	default:
		p.Method = "cartao"
		p.Form.wrong("metodo", "Escolha como pagar: cartão, pix ou boleto.")
		return s.renderPayment(w, r, http.StatusUnprocessableEntity, p)
	}
	if n, err := strconv.Atoi(value("parcelas")); err == nil {
		p.Chosen = n
	}
	payment, err := s.api.Pay(r.Context(), p.order(value), key)
	if err == nil {
		http.Redirect(w, r, "/pagamentos/"+payment, http.StatusSeeOther)
		return nil
	}
	return s.paymentAgain(w, r, p, key, err)
}

// order makes the API's request of what was typed. The price is not part of it:
// the course's own is charged.
func (p paymentPage) order(value func(string) string) *financeiro.NovoPagamento {
	o := &financeiro.NovoPagamento{
		Aluno:   financeiro.AlunoPagador{Nome: value("nome"), Email: value("email"), Cpf: value("cpf")},
		CursoID: p.Course.ID,
		Metodo:  financeiro.Metodo(p.Method),
	}
	if v := value("telefone"); v != "" {
		o.Aluno.Telefone.SetTo(v)
	}
	if v := value("cupom"); v != "" {
		o.Desconto.SetTo(v)
	}
	if p.Method == "cartao" {
		o.Cartao.SetTo(financeiro.CartaoInformado{
			Titular: value("titular"), Numero: value("numero"), Validade: value("validade"), Cvv: value("cvv"),
		})
		o.Parcelas.SetTo(p.Chosen)
	}
	return o
}

// paymentAgain shows the form with what was typed and what happened. The key
// stays the same where the request may have been executed, so that sending it
// again cannot pay twice; after a refusal by field rules it is a new one.
func (s *Site) paymentAgain(w http.ResponseWriter, r *http.Request, p paymentPage, key string, err error) error {
	problem := api.AsProblem(err)
	p.Again = p.Method == "cartao"
	status := http.StatusUnprocessableEntity
	switch {
	case problem.Code == codeReused:
		status, p.Form.Key = http.StatusConflict, key
		p.Fresh = "/cursos/" + p.Course.ID + "/matricula"
		p.Form.Notice = "Este formulário já foi enviado antes, com outros dados, e aquele pagamento foi aceito. " +
			"Antes de pagar de novo, veja se ele já chegou ao seu e-mail."
	case problem.Code == api.CodeRunning || problem.Unknown():
		status, p.Form.Key = http.StatusServiceUnavailable, key
		p.Form.Notice = "Não recebemos a confirmação a tempo, e o pagamento pode ter sido aceito. Envie de novo este mesmo formulário, " +
			"com os mesmos dados: se já foi aceito, você verá aquele pagamento, e ele não será feito duas vezes."
	case problem.Down():
		status, p.Form.Key = http.StatusServiceUnavailable, key
		p.Form.Notice = "Não é possível pagar agora, e nada foi cobrado. O que você digitou continua aqui: espere um instante e envie de novo."
	case problem.Status == http.StatusUnprocessableEntity || problem.Status == http.StatusBadRequest || problem.Status == http.StatusConflict:
		p.Form.reject(problem)
	default:
		return err
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter(problem))
		s.log.Warn("site: payment not sent", "status", problem.Status, "code", problem.Code)
	}
	return s.renderPayment(w, r, status, p)
}

func (s *Site) renderPayment(w http.ResponseWriter, r *http.Request, status int, p paymentPage) error {
	return s.render(w, r, status, "matricula", view{Title: "Erro: Matrícula em " + p.Course.Titulo, Nav: "cursos", Data: p})
}

// formKey gives the idempotency key that came with a form; a new one when it is
// not one of ours.
func (s *Site) formKey(sent string) string {
	if id.Valid(sent) {
		return sent
	}
	return s.ids.New()
}
