package site

import (
	"html/template"
	"net/http"
	"time"

	"trama/clients/site/internal/qrsvg"
	"trama/clients/site/internal/weave"
	"trama/contracts/rest/financeiro"
	"trama/platform/auth"
	"trama/platform/id"
)

// Seconds between two loads of a progress page without JavaScript: while our
// system works, and while the payer has to act.
const (
	refreshBusy    = 3
	refreshWaiting = 10
)

// progressPage is what the template "pagamento" shows.
type progressPage struct {
	Payment  financeiro.Pagamento
	Title    string
	Text     string
	Tone     string // "busy", "wait", "good", "bad", "done": the look of the head
	Steps    []step
	Ribbon   template.HTML
	QR       template.HTML // of a pix code; empty when it cannot be drawn
	Barcode  template.HTML // of a boleto; empty when its line is not one of 47 digits
	Line     string        // the boleto's line as it is printed
	Simulate bool
	Local    bool
	Poll     int64 // milliseconds between two questions for news; 0: nothing more will come
	Paused   bool  // the visitor without JavaScript stopped the reloading
}

// step is one station on the way to the enrolment.
type step struct {
	Name  string
	State string // "done", "now", "todo", "bad"
	At    time.Time
}

// Word says the state for those who do not see its colour.
func (s step) Word() string {
	return map[string]string{"done": "feito", "now": "agora", "todo": "a seguir", "bad": "parou aqui"}[s.State]
}

func (s *Site) progress(w http.ResponseWriter, r *http.Request) error {
	p, err := s.progressOf(r)
	if err != nil {
		return err
	}
	v := view{Title: p.Title, Data: p}
	if p.Poll > 0 && !p.Paused {
		v.Refresh = refreshBusy
		if p.Payment.Situacao == financeiro.SituacaoDoPagamentoAguardandoPagamento {
			v.Refresh = refreshWaiting
		}
	}
	return s.render(w, r, http.StatusOK, "pagamento", v)
}

// progressState answers with the live part of the page alone.
func (s *Site) progressState(w http.ResponseWriter, r *http.Request) error {
	p, err := s.progressOf(r)
	if err != nil {
		return err
	}
	return s.write(w, r, http.StatusOK, "pagamento", "estado", view{Title: p.Title, Data: p})
}

func (s *Site) progressOf(r *http.Request) (progressPage, error) {
	if !id.Valid(r.PathValue("id")) {
		return progressPage{}, errNotFound
	}
	payment, err := s.api.Payment(r.Context(), r.PathValue("id"))
	if err != nil {
		return progressPage{}, err
	}
	p := progressPage{Payment: payment, Paused: r.URL.Query().Get("atualizar") == "nao"}
	p.tell()
	p.walk()
	p.draw()
	if !payment.Final {
		p.Poll = s.cfg.PollInterval.Milliseconds()
	}
	p.Local = auth.From(r.Context()).Local
	p.Simulate = payment.Situacao == financeiro.SituacaoDoPagamentoAguardandoPagamento && p.Local && s.api.CanPaySimulated(r.Context(), payment.ID)
	return p, nil
}

// tell chooses the words for the state.
func (p *progressPage) tell() {
	name := initial(p.Payment.Aluno.Nome)
	switch p.Payment.Situacao {
	case financeiro.SituacaoDoPagamentoRecebido:
		p.Tone, p.Title, p.Text = "busy", "Recebemos seu pedido", "Ele está gravado. A análise começa agora e leva só alguns segundos."
	case financeiro.SituacaoDoPagamentoEmAnalise:
		p.Tone, p.Title, p.Text = "busy", "Estamos analisando o pagamento", "Conferimos os dados e falamos com quem processa o pagamento. Pode deixar esta página aberta."
	case financeiro.SituacaoDoPagamentoAguardandoPagamento:
		p.Tone, p.Title, p.Text = "wait", "Falta só pagar o pix", "Assim que o pagamento cair, sua matrícula sai sozinha e esta página avisa."
		if p.Payment.Metodo == financeiro.MetodoBoleto {
			p.Title = "Falta só pagar o boleto"
		}
	case financeiro.SituacaoDoPagamentoAprovado:
		p.Tone, p.Title, p.Text = "good", "Pagamento aprovado", "Agora estamos fazendo sua matrícula. Falta muito pouco."
		if p.Payment.Matricula.Set {
			p.Tone, p.Title = "done", "Matrícula feita. Boas-vindas, "+name+"!"
			p.Text = "Você já é aluno de " + p.Payment.Curso.Titulo + ". Enviamos as boas-vindas para " + p.Payment.Aluno.Email + "."
		}
	case financeiro.SituacaoDoPagamentoRecusado:
		p.Tone, p.Title, p.Text = "bad", "O pagamento não foi aprovado", refusal(p.Payment)
	case financeiro.SituacaoDoPagamentoEstornado:
		p.Tone, p.Title, p.Text = "bad", "O pagamento foi estornado", "O valor volta para você pelo mesmo meio em que foi pago, e a matrícula foi cancelada."
	default:
		p.Tone, p.Title, p.Text = "busy", "Seu pagamento está em andamento", "Esta página mostra cada passo assim que ele acontece."
	}
}

// refusal gives the API's own words for a refusal, or ours when it has none.
func refusal(payment financeiro.Pagamento) string {
	if payment.Mensagem.Set && payment.Mensagem.Value != "" {
		return payment.Mensagem.Value
	}
	if payment.Metodo == financeiro.MetodoCartao {
		return "O banco que emitiu o cartão não autorizou a compra e não disse por quê. Tente outro cartão, pix ou boleto."
	}
	return "O pagamento não chegou dentro do prazo. Você pode fazer outro quando quiser."
}

// walk places the payment on its way.
func (p *progressPage) walk() {
	type station struct {
		name  string
		state financeiro.SituacaoDoPagamento
	}
	way := []station{{"Pedido recebido", financeiro.SituacaoDoPagamentoRecebido}, {"Em análise", financeiro.SituacaoDoPagamentoEmAnalise}}
	if p.Payment.Metodo != financeiro.MetodoCartao {
		way = append(way, station{"Aguardando pagamento", financeiro.SituacaoDoPagamentoAguardandoPagamento})
	}
	way = append(way, station{"Pagamento aprovado", financeiro.SituacaoDoPagamentoAprovado})

	passed := map[financeiro.SituacaoDoPagamento]time.Time{}
	for _, h := range p.Payment.Historico {
		passed[h.Situacao] = h.Em
	}
	for _, st := range way {
		at, ok := passed[st.state]
		next := step{Name: st.name, State: "todo", At: at}
		if ok {
			next.State = "done"
		}
		p.Steps = append(p.Steps, next)
	}
	p.Steps = append(p.Steps, step{Name: "Matrícula feita", State: "todo"})
	if p.Payment.Matricula.Set {
		p.Steps[len(p.Steps)-1].State, p.Steps[len(p.Steps)-1].At = "done", p.Payment.AtualizadoEm
	}
	p.mark()
}

// mark says where the payment stands now, or where it stopped.
func (p *progressPage) mark() {
	last := 0
	for i, st := range p.Steps {
		if st.State == "done" {
			last = i
		}
	}
	switch p.Payment.Situacao {
	case financeiro.SituacaoDoPagamentoRecusado:
		p.Steps = append(p.Steps[:last+1], step{Name: "Não aprovado", State: "bad", At: p.Payment.AtualizadoEm})
	case financeiro.SituacaoDoPagamentoEstornado:
		p.Steps = append(p.Steps[:last+1], step{Name: "Estornado", State: "bad", At: p.Payment.AtualizadoEm})
	case financeiro.SituacaoDoPagamentoAprovado:
		if last < len(p.Steps)-1 {
			p.Steps[last+1].State = "now"
		}
	default:
		p.Steps[last].State = "now"
	}
}

// draw makes the pictures: the ribbon, the pix code, the boleto's bars.
func (p *progressPage) draw() {
	done, failed := 0, false
	for _, st := range p.Steps {
		switch st.State {
		case "done":
			done++
		case "bad":
			failed = true
		}
	}
	p.Ribbon = template.HTML(weave.Ribbon(done, len(p.Steps), failed)) // safe: drawn by us from numbers
	if p.Payment.Situacao != financeiro.SituacaoDoPagamentoAguardandoPagamento || !p.Payment.Instrucoes.Set {
		return
	}
	how := p.Payment.Instrucoes.Value
	if how.CopiaECola.Value != "" {
		if svg, err := qrsvg.Draw(how.CopiaECola.Value, "QR code do pix: aponte a câmera do aplicativo do seu banco"); err == nil {
			p.QR = template.HTML(svg) // safe: drawn by us; the code only sets modules
		}
	}
	p.Line = how.LinhaDigitavel.Value
	if line, svg, ok := boleto(p.Line); ok {
		p.Line, p.Barcode = line, template.HTML(svg) // safe: drawn by us from digits
	}
}

// simulate lets a visitor on this machine play the bank of a trial.
func (s *Site) simulate(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("id")
	if !auth.From(r.Context()).Local || !id.Valid(name) {
		return errNotFound
	}
	if err := s.api.PaySimulated(r.Context(), name); err != nil {
		return err
	}
	http.Redirect(w, r, "/pagamentos/"+name, http.StatusSeeOther)
	return nil
}
