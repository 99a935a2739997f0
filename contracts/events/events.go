// Package events is the catalogue of what services tell each other: the types
// of events and the shape of their data. It is a contract: within a version
// only optional fields may be added. Field names are Portuguese, as everything
// that crosses a service's wall. Personal data is the least that the consumers
// need. The JSON Schemas in schemas/ describe the same shapes for readers in
// other languages; tests hold both together.
package events

import "time"

// Event types. The name before the version is the seed's.
const (
	TypeLeadRegistrado      = "br.trama.marketing.LeadRegistrado.v1"
	TypeLeadDescadastrado   = "br.trama.marketing.LeadDescadastrado.v1"
	TypeLembreteDevido      = "br.trama.marketing.LembreteDevido.v1"
	TypePagamentoRecebido   = "br.trama.financeiro.PagamentoRecebido.v1"
	TypeCobrancaEmitida     = "br.trama.financeiro.CobrancaEmitida.v1"
	TypePagamentoProcessado = "br.trama.financeiro.PagamentoProcessado.v1"
	TypePagamentoRecusado   = "br.trama.financeiro.PagamentoRecusado.v1"
	TypePagamentoEstornado  = "br.trama.financeiro.PagamentoEstornado.v1"
	TypeEstornoSolicitado   = "br.trama.financeiro.EstornoSolicitado.v1"
	TypeAlunoCriado         = "br.trama.academico.AlunoCriado.v1"
	TypeMatriculaConfirmada = "br.trama.academico.MatriculaConfirmada.v1"
	TypeMatriculaCancelada  = "br.trama.academico.MatriculaCancelada.v1"
	TypeContaCriada         = "br.trama.identidade.ContaCriada.v1"
)

// Dinheiro is an amount of money: a decimal string, never a float.
type Dinheiro struct {
	Valor string `json:"valor"` // "1299.00"
	Moeda string `json:"moeda"` // ISO 4217, "BRL"
}

// Referencia says what a payment is for.
type Referencia struct {
	Tipo string `json:"tipo"` // "matricula" or "pedido"
	ID   string `json:"id"`
}

// Curso is what consumers need to know of a course.
type Curso struct {
	ID     string `json:"id"`
	Titulo string `json:"titulo"`
}

// Pessoa is how to address somebody.
type Pessoa struct {
	Nome  string `json:"nome"`
	Email string `json:"email"`
}

// Aluno is the person to be enrolled.
type Aluno struct {
	Nome     string `json:"nome"`
	Email    string `json:"email"`
	CPF      string `json:"cpf"` // 11 digits
	Telefone string `json:"telefone,omitempty"`
}

// LeadRegistrado: somebody left a name and an address. Subject: the lead.
type LeadRegistrado struct {
	LeadID       string    `json:"leadId"`
	CursoID      string    `json:"cursoId,omitempty"`
	Origem       string    `json:"origem,omitempty"`
	RegistradoEm time.Time `json:"registradoEm"`
}

// LeadDescadastrado: somebody wants no more mail. Subject: the lead.
type LeadDescadastrado struct {
	LeadID          string    `json:"leadId"`
	DescadastradoEm time.Time `json:"descadastradoEm"`
}

// LembreteDevido: a reminder is due. Subject: the lead.
type LembreteDevido struct {
	LeadID string `json:"leadId"`
	Pessoa Pessoa `json:"pessoa"`
	Curso  *Curso `json:"curso,omitempty"`
	Passo  int    `json:"passo"`  // 1 for the first reminder
	Passos int    `json:"passos"` // how many there will be at most
	Token  string `json:"token"`  // for the unsubscribe link: /descadastro?token=…
	Limite string `json:"limite"` // RFC 3339: not worth sending after this time
}

// PagamentoRecebido: a payment was accepted and waits for analysis. Subject: the payment.
type PagamentoRecebido struct {
	PagamentoID string `json:"pagamentoId"`
}

// CobrancaEmitida: pix or boleto waits for the payer. Subject: the payment.
type CobrancaEmitida struct {
	PagamentoID string    `json:"pagamentoId"`
	Pagador     Pessoa    `json:"pagador"`
	Curso       Curso     `json:"curso"`
	Valor       Dinheiro  `json:"valor"`
	Metodo      string    `json:"metodo"` // "pix" or "boleto"
	Codigo      string    `json:"codigo"` // copy-and-paste code or digit line
	ExpiraEm    time.Time `json:"expiraEm"`
}

// PagamentoProcessado: the money is approved. Subject: the payment.
type PagamentoProcessado struct {
	PagamentoID string     `json:"pagamentoId"`
	Referencia  Referencia `json:"referencia"` // tipo "matricula": the id the enrolment must get
	Aluno       Aluno      `json:"aluno"`
	Curso       Curso      `json:"curso"`
	Valor       Dinheiro   `json:"valor"`
	Metodo      string     `json:"metodo"` // "cartao", "pix", "boleto"
	AprovadoEm  time.Time  `json:"aprovadoEm"`
}

// PagamentoRecusado: there will be no money. Subject: the payment.
type PagamentoRecusado struct {
	PagamentoID string     `json:"pagamentoId"`
	Referencia  Referencia `json:"referencia"`
	Pagador     Pessoa     `json:"pagador"`
	Curso       Curso      `json:"curso"`
	Valor       Dinheiro   `json:"valor"`
	Metodo      string     `json:"metodo"`
	Motivo      string     `json:"motivo"` // stable slug: "saldo-insuficiente", "suspeita-de-fraude", "expirado", ...
	RecusadoEm  time.Time  `json:"recusadoEm"`
}

// EstornoSolicitado: a refund was asked for and waits for the acquirer. Subject: the payment.
type EstornoSolicitado struct {
	PagamentoID string `json:"pagamentoId"`
}

// PagamentoEstornado: the money went back. Subject: the payment.
type PagamentoEstornado struct {
	PagamentoID string     `json:"pagamentoId"`
	Referencia  Referencia `json:"referencia"`
	Pagador     Pessoa     `json:"pagador"`
	Curso       Curso      `json:"curso"`
	Valor       Dinheiro   `json:"valor"`
	EstornadoEm time.Time  `json:"estornadoEm"`
}

// AlunoCriado: a student exists. Subject: the student.
type AlunoCriado struct {
	AlunoID string `json:"alunoId"`
	Pessoa  Pessoa `json:"pessoa"`
	Curso   Curso  `json:"curso"` // the first course, for the welcome
}

// MatriculaConfirmada: a student is enrolled. Subject: the student.
type MatriculaConfirmada struct {
	MatriculaID string `json:"matriculaId"`
	AlunoID     string `json:"alunoId"`
	AlunoNovo   bool   `json:"alunoNovo"` // true: AlunoCriado came with it, the welcome mail tells of the enrolment too
	PagamentoID string `json:"pagamentoId"`
	Curso       Curso  `json:"curso"`
	Pessoa      Pessoa `json:"pessoa"`            // as the student is registered
	Contato     string `json:"contato,omitempty"` // e-mail given with the payment, when it differs from the registered one
}

// MatriculaCancelada: an enrolment ended because its payment went back. Subject: the student.
type MatriculaCancelada struct {
	MatriculaID string `json:"matriculaId"`
	AlunoID     string `json:"alunoId"`
	PagamentoID string `json:"pagamentoId"`
	Curso       Curso  `json:"curso"`
	Pessoa      Pessoa `json:"pessoa"`
	Motivo      string `json:"motivo"` // "estorno"
}

// ContaCriada: the student can sign in once the first password has been given out. Subject: the account.
type ContaCriada struct {
	ContaID string `json:"contaId"`
	AlunoID string `json:"alunoId"`
	Pessoa  Pessoa `json:"pessoa"`
	Curso   Curso  `json:"curso"`
	Nova    bool   `json:"nova"` // false: the address already had an account, which now belongs to this student too
}
