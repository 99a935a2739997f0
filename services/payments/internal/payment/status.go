package payment

import "trama/platform/fault"

// Status is where a payment is; the text is the public wall's.
type Status string

// The states.
const (
	Received  Status = "recebido"
	Analysing Status = "em_analise"
	Awaiting  Status = "aguardando_pagamento"
	Approved  Status = "aprovado"
	Refused   Status = "recusado"
	Refunded  Status = "estornado"
)

// Statuses gives all states in the order of a life.
func Statuses() []Status {
	return []Status{Received, Analysing, Awaiting, Approved, Refused, Refunded}
}

// Method is how a payment is made; the text is the public wall's.
type Method string

// The methods.
const (
	Card   Method = "cartao"
	Pix    Method = "pix"
	Boleto Method = "boleto"
)

// Valid says whether m is one of the methods.
func (m Method) Valid() bool { return m == Card || m == Pix || m == Boleto }

// Reason says why a payment was refused, or what a step of its history was
// about: a stable slug.
type Reason string

// The reasons. Those of the issuer come from the acquirer.
const (
	None            Reason = ""
	ByIssuer        Reason = "recusado-pelo-emissor"
	NoFunds         Reason = "saldo-insuficiente"
	CardBlocked     Reason = "cartao-bloqueado"
	CardExpired     Reason = "cartao-vencido"
	WrongCVV        Reason = "cvv-incorreto"
	ByAcquirer      Reason = "recusado-pela-adquirente"
	Fraud           Reason = "suspeita-de-fraude"
	Expired         Reason = "expirado"
	AlreadyPaid     Reason = "curso-ja-pago"
	RefundRequested Reason = "estorno-solicitado"
	Chargeback      Reason = "devolvido-pela-adquirente"
)

// ReasonOf gives the reason for a slug of the acquirer's; what we do not know is
// a refusal by the issuer.
func ReasonOf(slug string) Reason {
	switch r := Reason(slug); r {
	case ByIssuer, NoFunds, CardBlocked, CardExpired, WrongCVV, ByAcquirer, Expired:
		return r
	}
	return ByIssuer
}

// ByTheIssuer says whether the reason is a refusal of the card itself, which is
// what repeated refusals are counted by.
func (r Reason) ByTheIssuer() bool {
	switch r {
	case ByIssuer, NoFunds, CardBlocked, CardExpired, WrongCVV:
		return true
	}
	return false
}

// IssuerReasons gives the reasons for which ByTheIssuer is true.
func IssuerReasons() []Reason {
	return []Reason{ByIssuer, NoFunds, CardBlocked, CardExpired, WrongCVV}
}

// Text says the reason in words for the payer, and what to do. A blocked card is
// told as any other refusal: who holds a stolen one need not know.
func (r Reason) Text() fault.Text {
	switch r {
	case None:
		return fault.Text{}
	case NoFunds:
		return fault.Text{PT: "O banco emissor não aprovou por falta de saldo ou limite. Tente outro cartão, pix ou boleto.",
			EN: "The issuing bank did not approve for lack of balance or limit. Try another card, pix or boleto."}
	case CardExpired:
		return fault.Text{PT: "O banco emissor informou que o cartão venceu. Use outro cartão.",
			EN: "The issuing bank says that the card has expired. Use another card."}
	case WrongCVV:
		return fault.Text{PT: "O código de segurança não confere. Confira o verso do cartão e tente de novo.",
			EN: "The security code is not right. Look at the back of the card and try again."}
	case ByAcquirer:
		return fault.Text{PT: "A operadora não pôde processar este pagamento. Tente outro meio.",
			EN: "The acquirer could not process this payment. Try another method."}
	case Fraud:
		return fault.Text{PT: "Não pudemos aprovar este pagamento por segurança. Tente mais tarde, outro meio, ou fale com a escola.",
			EN: "We could not approve this payment for safety. Try later, another method, or talk to the school."}
	case Expired:
		return fault.Text{PT: "O prazo para pagar terminou. Você pode começar de novo quando quiser.",
			EN: "The time to pay is over. You can start again whenever you want."}
	case AlreadyPaid:
		return fault.Text{PT: "Este curso já está pago para este CPF; nada foi cobrado a mais.",
			EN: "This course is already paid for this CPF; nothing more was charged."}
	case RefundRequested:
		return fault.Text{PT: "O estorno foi pedido e está em andamento.", EN: "A refund was asked for and is under way."}
	case Chargeback:
		return fault.Text{PT: "A operadora devolveu o valor.", EN: "The acquirer gave the money back."}
	default:
		return fault.Text{PT: "O banco emissor não aprovou. Fale com o banco ou tente outro cartão, pix ou boleto.",
			EN: "The issuing bank did not approve. Talk to the bank, or try another card, pix or boleto."}
	}
}
