package rest

import (
	"context"
	"strings"

	"trama/contracts/rest/financeiro"
	"trama/platform/auth"
	"trama/platform/fault"
	"trama/platform/money"
	"trama/platform/rule"
	"trama/services/payments/internal/payment"
)

// reader is for whom a payment is shown.
type reader bool

const (
	payer reader = false
	staff reader = true // sees why the analysis judged as it did, and the notes of refunds
)

func readerOf(ctx context.Context) reader { return reader(auth.From(ctx).Operator) }

// variants tells entity tags of the two forms apart.
func (r reader) variants() []string {
	if r == staff {
		return []string{"equipe"}
	}
	return nil
}

// asAccepted shows a payment as it was when it was accepted, whatever it has
// become since.
func asAccepted(s payment.State) financeiro.Pagamento {
	v := base(s)
	v.Situacao, v.AtualizadoEm = financeiro.SituacaoDoPagamento(payment.Received), s.CreatedAt
	v.Historico = []financeiro.PassoDoPagamento{{Situacao: v.Situacao, Em: s.CreatedAt}}
	return v
}

// base shows what never changes.
func base(s payment.State) financeiro.Pagamento {
	v := financeiro.Pagamento{
		ID: s.ID, Metodo: financeiro.Metodo(s.Method), Valor: amount(s.Amount), Parcelas: s.Installments,
		Curso:    financeiro.CursoResumido{ID: s.Course.ID, Titulo: s.Course.Title},
		Aluno:    financeiro.PagadorResumido{Nome: s.Payer.Name, Email: s.Payer.Email, Cpf: rule.MaskCPF(s.Payer.CPF)},
		CriadoEm: s.CreatedAt,
	}
	if s.Coupon != "" {
		v.Desconto = financeiro.NewOptDescontoAplicado(financeiro.DescontoAplicado{Cupom: s.Coupon, Valor: amount(s.Price - s.Amount)})
	}
	if s.Method == payment.Card {
		v.Cartao = financeiro.NewOptCartaoResumido(financeiro.CartaoResumido{Bandeira: s.Card.Brand, UltimosQuatro: s.Card.LastFour})
	}
	return v
}

// view shows a payment as it is.
func view(p *payment.Payment, r reader) financeiro.Pagamento {
	s := p.State()
	v := base(s)
	v.Situacao, v.AtualizadoEm, v.Final = financeiro.SituacaoDoPagamento(s.Status), s.UpdatedAt, p.Final()
	reason, text := told(p)
	if reason != payment.None {
		v.Motivo, v.Mensagem = financeiro.NewOptString(string(reason)), financeiro.NewOptString(text.PT)
	}
	if s.Code != "" {
		how := financeiro.Instrucoes{ExpiraEm: s.ExpiresAt}
		if s.Method == payment.Pix {
			how.CopiaECola = financeiro.NewOptString(s.Code)
		} else {
			how.LinhaDigitavel = financeiro.NewOptString(s.Code)
		}
		v.Instrucoes = financeiro.NewOptInstrucoes(how)
	}
	if s.EnrolmentID != "" {
		v.Matricula = financeiro.NewOptMatriculaDoPagamento(financeiro.MatriculaDoPagamento{AlunoID: s.StudentID, MatriculaID: s.EnrolmentID})
	}
	for _, step := range s.History {
		v.Historico = append(v.Historico, stepOf(s, step, r))
	}
	return v
}

// told gives the reason that matters now, and its words for the payer.
func told(p *payment.Payment) (payment.Reason, fault.Text) {
	s := p.State()
	switch {
	case s.Status == payment.Refunded:
		return s.Reason, fault.Text{PT: "O valor foi devolvido.", EN: "The money was given back."}
	case s.Status == payment.Approved && p.RefundDue():
		return payment.RefundRequested, payment.RefundRequested.Text()
	}
	return s.Reason, s.Reason.Text()
}

func stepOf(s payment.State, step payment.Step, r reader) financeiro.PassoDoPagamento {
	v := financeiro.PassoDoPagamento{Situacao: financeiro.SituacaoDoPagamento(step.Status), Em: step.At}
	reason := string(step.Reason)
	if r == staff {
		switch {
		case step.Status == payment.Analysing && step.Reason == payment.None:
			reason = strings.Join(s.Findings, ", ")
		case step.Status == payment.Approved && step.Reason == payment.RefundRequested && s.RefundNote != "":
			reason = s.RefundNote
		}
	}
	if reason != "" {
		v.Motivo = financeiro.NewOptString(reason)
	}
	return v
}

func amount(c money.Cents) financeiro.Dinheiro {
	return financeiro.Dinheiro{Valor: c.String(), Moeda: money.BRL}
}
