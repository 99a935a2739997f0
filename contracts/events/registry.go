package events

import "time"

// Entry describes one type of event for people, documents and tests.
type Entry struct {
	Type      string   // "br.trama.financeiro.PagamentoProcessado.v1"
	Name      string   // "PagamentoProcessado": Go type of the payload and the seed's name
	Source    string   // CloudEvents source: the producer's public name, "/financeiro"
	Subject   string   // what the subject is the id of: the unit of order
	Producer  string   // service that publishes it
	Consumers []string // services that subscribe to it; empty while nobody does
	Payload   any      // the payload type, filled as an example
}

// SchemaURI gives the dataschema attribute of a type: the $id of its JSON Schema.
func SchemaURI(eventType string) string { return "urn:trama:evento:" + eventType }

// Lookup gives the entry of a type; false when the catalogue has none.
func Lookup(eventType string) (Entry, bool) {
	for _, e := range Registry() {
		if e.Type == eventType {
			return e, true
		}
	}
	return Entry{}, false
}

// Examples are consistent with each other: they tell one story of one person.
const (
	exLead      = "01980a52-7c4f-7d3a-9b1e-5f2c8a6d4e01"
	exCourse    = "01980a52-7c00-7000-8000-000000000001"
	exPayment   = "01980a53-10aa-7c11-8f00-2b7d9e6c5a02"
	exEnrolment = "01980a53-10aa-7c11-8f00-2b7d9e6c5a03"
	exStudent   = "01980a53-12f0-7a20-9c00-6d5e4f3a2b01"
	exAccount   = "01980a53-1400-7b30-8d00-112233445566"
)

func exTime() time.Time { return time.Date(2026, 11, 20, 14, 5, 0, 0, time.UTC) }

// Registry gives the catalogue in the order of the story: interest, payment,
// enrolment, account. The slice is the caller's own.
func Registry() []Entry {
	return append(append(marketing(), payments()...), school()...)
}

func marketing() []Entry {
	return []Entry{
		{
			Type: TypeLeadRegistrado, Name: "LeadRegistrado", Source: "/marketing", Subject: "the lead", Producer: "marketing",
			Payload: LeadRegistrado{LeadID: exLead, CursoID: exCourse, Origem: "site", RegistradoEm: exTime()},
		},
		{
			Type: TypeLeadDescadastrado, Name: "LeadDescadastrado", Source: "/marketing", Subject: "the lead", Producer: "marketing",
			Consumers: []string{"notifications"},
			Payload:   LeadDescadastrado{LeadID: exLead, DescadastradoEm: exTime()},
		},
		{
			Type: TypeLembreteDevido, Name: "LembreteDevido", Source: "/marketing", Subject: "the lead", Producer: "marketing",
			Consumers: []string{"notifications"},
			Payload: LembreteDevido{
				LeadID: exLead, Pessoa: exPerson(), Curso: &Curso{ID: exCourse, Titulo: "Go para serviços"},
				Passo: 1, Passos: 3, Token: "bGVhZDowMTk4MGE1Mg.pzXk2m", Limite: exTime().Add(24 * time.Hour).Format(time.RFC3339),
			},
		},
	}
}

func exPerson() Pessoa  { return Pessoa{Nome: "Ana Souza", Email: "ana@exemplo.com.br"} }
func exTitle() Curso    { return Curso{ID: exCourse, Titulo: "Go para serviços"} }
func exPrice() Dinheiro { return Dinheiro{Valor: "1299.00", Moeda: "BRL"} }
func exFor() Referencia { return Referencia{Tipo: "matricula", ID: exEnrolment} }

func payments() []Entry {
	const source, subject, producer = "/financeiro", "the payment", "payments"
	return []Entry{
		{
			Type: TypePagamentoRecebido, Name: "PagamentoRecebido", Source: source, Subject: subject, Producer: producer,
			Consumers: []string{"payments"}, Payload: PagamentoRecebido{PagamentoID: exPayment},
		},
		{
			Type: TypeCobrancaEmitida, Name: "CobrancaEmitida", Source: source, Subject: subject, Producer: producer,
			Consumers: []string{"notifications"},
			Payload: CobrancaEmitida{
				PagamentoID: exPayment, Pagador: exPerson(), Curso: exTitle(), Valor: exPrice(), Metodo: "pix",
				Codigo: "00020126580014br.gov.bcb.pix0136exemplo", ExpiraEm: exTime().Add(30 * time.Minute),
			},
		},
		{
			Type: TypePagamentoProcessado, Name: "PagamentoProcessado", Source: source, Subject: subject, Producer: producer,
			Consumers: []string{"academics"},
			Payload: PagamentoProcessado{
				PagamentoID: exPayment, Referencia: exFor(),
				Aluno: Aluno{Nome: "Ana Souza", Email: "ana@exemplo.com.br", CPF: "52998224725", Telefone: "+5511987654321"},
				Curso: exTitle(), Valor: exPrice(), Metodo: "cartao", AprovadoEm: exTime(),
			},
		},
		{
			Type: TypePagamentoRecusado, Name: "PagamentoRecusado", Source: source, Subject: subject, Producer: producer,
			Consumers: []string{"notifications"},
			Payload: PagamentoRecusado{
				PagamentoID: exPayment, Referencia: exFor(), Pagador: exPerson(), Curso: exTitle(), Valor: exPrice(),
				Metodo: "cartao", Motivo: "saldo-insuficiente", RecusadoEm: exTime(),
			},
		},
		{
			Type: TypeEstornoSolicitado, Name: "EstornoSolicitado", Source: source, Subject: subject, Producer: producer,
			Consumers: []string{"payments"}, Payload: EstornoSolicitado{PagamentoID: exPayment},
		},
		{
			Type: TypePagamentoEstornado, Name: "PagamentoEstornado", Source: source, Subject: subject, Producer: producer,
			Consumers: []string{"academics", "notifications"},
			Payload: PagamentoEstornado{
				PagamentoID: exPayment, Referencia: exFor(), Pagador: exPerson(), Curso: exTitle(), Valor: exPrice(), EstornadoEm: exTime(),
			},
		},
	}
}

func school() []Entry {
	return []Entry{
		{
			Type: TypeAlunoCriado, Name: "AlunoCriado", Source: "/academico", Subject: "the student", Producer: "academics",
			Consumers: []string{"identity"}, Payload: AlunoCriado{AlunoID: exStudent, Pessoa: exPerson(), Curso: exTitle()},
		},
		{
			Type: TypeMatriculaConfirmada, Name: "MatriculaConfirmada", Source: "/academico", Subject: "the student", Producer: "academics",
			Consumers: []string{"marketing", "notifications", "payments"},
			Payload: MatriculaConfirmada{
				MatriculaID: exEnrolment, AlunoID: exStudent, AlunoNovo: true, PagamentoID: exPayment,
				Curso: exTitle(), Pessoa: exPerson(), Contato: "ana.souza@trabalho.com.br",
			},
		},
		{
			Type: TypeMatriculaCancelada, Name: "MatriculaCancelada", Source: "/academico", Subject: "the student", Producer: "academics",
			Consumers: []string{"notifications"},
			Payload: MatriculaCancelada{
				MatriculaID: exEnrolment, AlunoID: exStudent, PagamentoID: exPayment, Curso: exTitle(), Pessoa: exPerson(), Motivo: "estorno",
			},
		},
		{
			Type: TypeContaCriada, Name: "ContaCriada", Source: "/identidade", Subject: "the account", Producer: "identity",
			Consumers: []string{"notifications"},
			Payload:   ContaCriada{ContaID: exAccount, AlunoID: exStudent, Pessoa: exPerson(), Curso: exTitle(), Nova: true},
		},
	}
}
