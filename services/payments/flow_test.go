package payments_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"trama/contracts/events"
	acquirerv1 "trama/contracts/rpc/acquirer/v1"
	"trama/platform/bus"
	"trama/platform/fault"
)

// data reads an event.
func data[T any](t *testing.T, e bus.Event) T {
	t.Helper()
	var d T
	if err := json.Unmarshal(e.Data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// enrol tells payments that academics has enrolled the payer.
func (s *school) enrol(payment string) bus.Event {
	s.t.Helper()
	body := text(events.MatriculaConfirmada{MatriculaID: "01980a53-10aa-7c11-8f00-2b7d9e6c5a03", AlunoID: "01980a53-12f0-7a20-9c00-6d5e4f3a2b01", PagamentoID: payment})
	return bus.Event{ID: "enrol-" + payment, Type: events.TypeMatriculaConfirmada, Data: json.RawMessage(body)}
}

func TestCardApproved(t *testing.T) {
	s := start(t)
	id := s.pay(ana(set("parcelas", 2)))
	got := s.work()
	if names(got) != "PagamentoRecebido PagamentoProcessado" {
		t.Fatalf("events: %s", names(got))
	}
	done := data[events.PagamentoProcessado](t, got[1])
	if done.PagamentoID != id || done.Referencia.Tipo != "matricula" || len(done.Referencia.ID) != 36 || done.Aluno.CPF != "52998224725" ||
		done.Aluno.Telefone != "+5511912345678" || done.Valor.Valor != "1299.00" || done.Curso.ID != goCourse || done.Metodo != "cartao" ||
		got[1].Subject != id || got[1].Source != "/financeiro" || done.AprovadoEm.IsZero() {
		t.Errorf("%+v", done)
	}
	if calls := s.bank.calls(id); calls != "charge" {
		t.Errorf("calls: %s", calls)
	}
	a := s.get(id)
	if a.at("situacao") != "aprovado" || a.steps() != "recebido em_analise aprovado" || a.json["final"] != false {
		t.Errorf("%s", a.body)
	}
	tag := a.header.Get("ETag")
	if b := s.do("GET", payments1+"/"+id, "", "If-None-Match: "+tag); b.code != 304 || b.body != "" || b.header.Get("ETag") != tag {
		t.Errorf("unchanged: %d %q", b.code, b.body)
	}
	enrolled := s.enrol(id)
	for range 2 { // the second delivery changes nothing
		if err := s.deliver(enrolled); err != nil {
			t.Fatal(err)
		}
	}
	b := s.do("GET", payments1+"/"+id, "", "If-None-Match: "+tag)
	if b.code != 200 || b.header.Get("ETag") == tag || b.json["final"] != true || b.at("matricula", "matriculaId") != "01980a53-10aa-7c11-8f00-2b7d9e6c5a03" {
		t.Errorf("enrolled: %d %s", b.code, b.body)
	}
	for _, path := range []string{"/01980a53-10aa-7c11-8f00-2b7d9e6c5aff", "/x"} {
		if c := s.do("GET", payments1+path, ""); c.code != 404 {
			t.Errorf("%s: %d", path, c.code)
		}
	}
}

func TestCardRefused(t *testing.T) {
	s := start(t)
	id := s.pay(ana(set("cartao.numero", "4000000000009995")))
	got := s.work()
	if names(got) != "PagamentoRecebido PagamentoRecusado" || data[events.PagamentoRecusado](t, got[1]).Motivo != "saldo-insuficiente" {
		t.Fatalf("events: %s", text(got))
	}
	a := s.get(id)
	if a.at("situacao") != "recusado" || a.at("motivo") != "saldo-insuficiente" || a.at("mensagem") == "" || a.json["final"] != true {
		t.Errorf("%s", a.body)
	}
	// The seat is free again: another card for the same course is charged.
	s.pay(ana())
	if got := s.work(); names(got) != "PagamentoRecebido PagamentoProcessado" {
		t.Errorf("another card: %s", names(got))
	}
}

// Every event delivered twice, and every event of the past once more at the end,
// has one effect.
func TestDuplicateEvents(t *testing.T) {
	s := start(t)
	for _, w := range []map[string]any{
		ana(), ana(set("cursoId", sqlCourse), by("pix")), ana(set("cursoId", cheapCourse), set("cartao.numero", "4000000000009995")),
	} {
		s.pay(w)
	}
	s.work()
	for _, e := range s.heard {
		for range 2 {
			if err := s.deliver(e); err != nil {
				t.Errorf("%s again: %v", e.Type, err)
			}
		}
	}
	if more := s.waiting(); len(more) > 0 {
		t.Errorf("events from events of the past: %s", names(more))
	}
	if charges, cents := s.bank.kept(); charges != 1 || cents != 129900 {
		t.Errorf("the bank holds %d charges, %d cents", charges, cents)
	}
}

// A charge whose outcome is unknown is asked for by its own key; it is repeated
// only when there is none, and only under that key.
func TestUnknownOutcomes(t *testing.T) {
	for name, c := range map[string]struct {
		trouble func(op, when, key string) error
		tries   int // deliveries until it is settled
		calls   string
	}{
		"made, answer lost":              {once("charge", "after", 1, errLost), 1, "charge find"},
		"not made, answer lost":          {once("charge", "before", 1, errLost), 1, "charge find charge"},
		"not reachable at first":         {once("charge", "before", 1, errDown), 1, "charge find charge"},
		"a broken acquirer":              {once("charge", "after", 1, errors.New("panic")), 1, "charge find"},
		"made, and the question is lost": {both(once("charge", "after", 1, errLost), once("find", "before", 1, errLost)), 2, "charge find find"},
		"lost twice, found nowhere": {both(once("charge", "before", 1, errLost), once("charge", "before", 2, errLost)), 2,
			"charge find charge find charge"},
		"made but not known for a while": {both(once("charge", "after", 1, errLost), both(once("find", "before", 1, errNone), both(
			once("charge", "before", 2, errLost), once("find", "before", 2, errNone)))), 2, "charge find charge find charge"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.bank.trouble = c.trouble
			id := s.pay(ana())
			event := s.waiting()[0]
			for try := 1; ; try++ {
				err := s.deliver(event)
				if err == nil {
					if try != c.tries {
						t.Errorf("settled by delivery %d, want %d", try, c.tries)
					}
					break
				}
				if !fault.KindOf(err).Transient() {
					t.Fatalf("delivery %d: the bus would give up on %v", try, err)
				}
				if a := s.get(id); a.at("situacao") != "em_analise" || try > 5 {
					t.Fatalf("delivery %d: %s", try, a.body)
				}
			}
			if got := s.bank.calls(id); got != c.calls {
				t.Errorf("calls %q, want %q", got, c.calls)
			}
			if a := s.get(id); a.at("situacao") != "aprovado" {
				t.Errorf("%s", a.body)
			}
			if charges, _ := s.bank.kept(); charges != 1 {
				t.Errorf("%d charges", charges)
			}
			if got := names(s.waiting()); got != "PagamentoRecebido PagamentoProcessado" {
				t.Errorf("events: %s", got)
			}
		})
	}
}

func both(a, b func(string, string, string) error) func(string, string, string) error {
	return func(op, when, key string) error {
		return errors.Join(a(op, when, key), b(op, when, key))
	}
}

// What the acquirer does not take is refused, once it is sure that it was not
// charged; what it charged in spite of that counts.
func TestTheAcquirerDeclines(t *testing.T) {
	s := start(t)
	bad := fault.New(fault.Invalid, "token-de-cartao-invalido", fault.Text{PT: "token", EN: "token"})
	s.bank.trouble = once("charge", "before", 1, bad)
	id := s.pay(ana())
	if got := s.work(); names(got) != "PagamentoRecebido PagamentoRecusado" {
		t.Fatalf("events: %s", names(got))
	}
	if a := s.get(id); a.at("motivo") != "recusado-pela-adquirente" {
		t.Errorf("%s", a.body)
	}
	s.bank.trouble = once("charge", "after", 1, bad)
	other := s.pay(ana())
	if got := s.work(); names(got) != "PagamentoRecebido PagamentoProcessado" {
		t.Errorf("charged all the same: %s %s", names(got), s.get(other).body)
	}
}

// Two payments of one person for one course: one is charged, whatever the order.
func TestOnlyOnePaymentPerCourse(t *testing.T) {
	s := start(t)
	first, second := s.pay(ana()), s.pay(ana(set("cartao.numero", "5555555555554444")))
	s.work()
	if a := s.get(first); a.at("situacao") != "aprovado" {
		t.Errorf("first: %s", a.body)
	}
	a := s.get(second)
	if a.at("situacao") != "recusado" || a.at("motivo") != "curso-ja-pago" {
		t.Errorf("second: %s", a.body)
	}
	if got := s.bank.calls(second); got != "" {
		t.Errorf("the second card was touched: %s", got)
	}
	// A pix for a paid course is not even issued.
	third := s.pay(ana(by("pix")))
	s.work()
	if a := s.get(third); a.at("motivo") != "curso-ja-pago" {
		t.Errorf("pix: %s", a.body)
	}
	// Another course of the same person, and the same course of another person, are paid.
	other := s.pay(ana(set("cursoId", sqlCourse)))
	person := s.pay(ana(set("aluno.cpf", "111.444.777-35")))
	s.work()
	for _, id := range []string{other, person} {
		if a := s.get(id); a.at("situacao") != "aprovado" {
			t.Errorf("%s", a.body)
		}
	}
}

// While a card is being charged for a course, a second one waits: it is charged
// if the first is refused, and refused if the first is approved.
func TestASecondCardWaitsForTheFirst(t *testing.T) {
	for number, want := range map[string]string{"4000000000009995": "aprovado", "4111111111111111": "recusado"} {
		s := start(t)
		s.bank.trouble = both(once("charge", "after", 1, errLost), once("find", "before", 1, errLost))
		first := s.pay(ana(set("cartao.numero", number)))
		second := s.pay(ana(set("cartao.numero", "5555555555554444")))
		queue := s.waiting()
		if err := s.deliver(queue[0]); !fault.KindOf(err).Transient() {
			t.Fatalf("first: %v", err)
		}
		if err := s.deliver(queue[1]); !fault.KindOf(err).Transient() {
			t.Fatalf("second while the first is undecided: %v", err)
		}
		if a := s.get(second); a.at("situacao") != "recebido" || s.bank.calls(second) != "" {
			t.Errorf("second: %s, calls %q", a.body, s.bank.calls(second))
		}
		s.work()
		if a := s.get(second); a.at("situacao") != want {
			t.Errorf("first %s: second is %s", s.get(first).at("situacao"), a.body)
		}
		if charges, _ := s.bank.kept(); charges != 1 {
			t.Errorf("%d charges kept", charges)
		}
	}
}

func TestFraud(t *testing.T) {
	cfg := defaults(t)
	cfg.Fraud.MaxPerCard = 3
	s := startWith(t, cfg, nil)
	var ids []string
	for i, cpf := range []string{"529.982.247-25", "111.444.777-35", "390.533.447-05", "123.456.789-09"} {
		ids = append(ids, s.pay(ana(set("aluno.cpf", cpf), set("aluno.email", fmt.Sprintf("p%d@exemplo.com.br", i)))))
	}
	// The bus may deliver in any order: it is the fourth that is one too many.
	queue := s.waiting()
	for i := range queue {
		if err := s.deliver(queue[len(queue)-1-i]); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range ids {
		want := "aprovado"
		if i == 3 {
			want = "recusado"
		}
		if a := s.get(id); a.at("situacao") != want {
			t.Errorf("payment %d: %s", i, a.body)
		}
	}
	last := s.get(ids[3])
	if last.at("motivo") != "suspeita-de-fraude" || strings.Contains(last.body, "velocidade") || s.bank.calls(ids[3]) != "" {
		t.Errorf("the payer is told %s; calls %q", last.body, s.bank.calls(ids[3]))
	}
	staff := s.do("GET", payments1+"/"+ids[3], "", asOperator)
	if !strings.Contains(staff.body, "velocidade-do-cartao") || staff.header.Get("ETag") == last.header.Get("ETag") {
		t.Errorf("staff is told %s, ETag %s", staff.body, staff.header.Get("ETag"))
	}
	s.clock.Jump(cfg.Fraud.Window + 1)
	id := s.pay(ana(set("aluno.cpf", "987.654.321-00"), set("aluno.email", "p9@exemplo.com.br")))
	s.work()
	if a := s.get(id); a.at("situacao") != "aprovado" {
		t.Errorf("after the window: %s", a.body)
	}
}

func TestFraudByCountryAndDefaults(t *testing.T) {
	s := start(t)
	id := s.pay(ana(set("cartao.numero", "4000004080000007")))
	s.work()
	if a := s.get(id); a.at("motivo") != "suspeita-de-fraude" {
		t.Errorf("a refused country: %s", a.body)
	}
	// Somebody who tries the school out and buys every course does not trip.
	for _, course := range []string{goCourse, sqlCourse, cheapCourse} {
		id := s.pay(ana(set("cursoId", course)))
		s.work()
		if a := s.get(id); a.at("situacao") != "aprovado" {
			t.Errorf("%s", a.body)
		}
	}
}

func TestRefund(t *testing.T) {
	s := start(t)
	id := s.pay(ana())
	path := payments1 + "/" + id + "/estorno"
	if a := s.do("POST", path, `{}`, asOperator); a.code != 409 || !strings.HasSuffix(a.at("type"), "/pagamento-nao-aprovado") {
		t.Errorf("before approval: %d %s", a.code, a.body)
	}
	s.work()
	if a := s.do("POST", path, `{}`); a.code != 401 {
		t.Errorf("without a token: %d", a.code)
	}
	if a := s.do("POST", payments1+"/01980a53-10aa-7c11-8f00-2b7d9e6c5aff/estorno", `{}`, asOperator); a.code != 404 {
		t.Errorf("of nothing: %d", a.code)
	}
	first := s.do("POST", path, `{"motivo":"Desistência dentro de sete dias"}`, asOperator, "Idempotency-Key: r1")
	if first.code != 202 || first.header.Get("Location") != payments1+"/"+id || first.at("situacao") != "aprovado" || first.json["final"] != false {
		t.Fatalf("%d %s", first.code, first.body)
	}
	if second := s.do("POST", path, ``, asOperator); second.code != 202 {
		t.Errorf("asked again: %d %s", second.code, second.body)
	}
	if a := s.get(id); a.at("motivo") != "estorno-solicitado" || strings.Contains(a.body, "Desist") {
		t.Errorf("the payer is told %s", a.body)
	}
	if a := s.do("GET", payments1+"/"+id, "", asOperator); !strings.Contains(a.body, "Desistência dentro de sete dias") {
		t.Errorf("staff is told %s", a.body)
	}
	got := s.work()
	if names(got) != "EstornoSolicitado PagamentoEstornado" || data[events.PagamentoEstornado](t, got[1]).Valor.Valor != "1299.00" {
		t.Fatalf("events: %s", text(got))
	}
	a := s.get(id)
	if a.at("situacao") != "estornado" || a.json["final"] != true || a.steps() != "recebido em_analise aprovado aprovado estornado" {
		t.Errorf("%s", a.body)
	}
	if replay := s.do("POST", path, `{"motivo":"Desistência dentro de sete dias"}`, asOperator, "Idempotency-Key: r1"); replay.code != 202 || replay.body != first.body {
		t.Errorf("replay: %d %s", replay.code, replay.body)
	}
	if a := s.do("POST", path, `{}`, asOperator); a.code != 409 {
		t.Errorf("refunded already: %d", a.code)
	}
	if charges, _ := s.bank.kept(); charges != 0 {
		t.Errorf("the bank still holds %d charges", charges)
	}
	// The course can be bought again.
	again := s.pay(ana())
	s.work()
	if a := s.get(again); a.at("situacao") != "aprovado" {
		t.Errorf("bought again: %s", a.body)
	}
}

func TestRefundSurvivesALostAnswer(t *testing.T) {
	s := start(t)
	id := s.pay(ana())
	s.work()
	s.bank.trouble = once("refund", "after", 1, errLost)
	s.do("POST", payments1+"/"+id+"/estorno", `{}`, asOperator)
	event := s.waiting()[0]
	if err := s.deliver(event); !fault.KindOf(err).Transient() {
		t.Fatalf("%v", err)
	}
	if a := s.get(id); a.at("situacao") != "aprovado" {
		t.Errorf("%s", a.body)
	}
	if err := s.deliver(event); err != nil {
		t.Fatal(err)
	}
	if a := s.get(id); a.at("situacao") != "estornado" {
		t.Errorf("%s", a.body)
	}
}

func TestList(t *testing.T) {
	s := start(t)
	if a := s.do("GET", payments1, ""); a.code != 401 {
		t.Errorf("without a token: %d", a.code)
	}
	a1 := s.pay(ana())
	a2 := s.pay(ana(set("cursoId", sqlCourse), by("pix")))
	b := s.pay(ana(set("aluno.cpf", "111.444.777-35"), set("aluno.email", "bia@exemplo.com.br"), set("cartao.numero", "4000000000009995")))
	s.work()
	for query, want := range map[string][]string{
		"":                               {b, a2, a1},
		"?situacao=aprovado":             {a1},
		"?situacao=aguardando_pagamento": {a2},
		"?email=%20ANA@exemplo.com.br":   {a2, a1},
		"?email=ana@exemplo.com.br&situacao=recusado": nil,
	} {
		a := s.do("GET", payments1+query, "", asOperator)
		if got := idsOf(a); a.code != 200 || strings.Join(got, " ") != strings.Join(want, " ") || a.at("proximo") != "" || a.header.Get("Link") != "" {
			t.Errorf("%s: %d %v", query, a.code, got)
		}
	}
	first := s.do("GET", payments1+"?limite=2&email=", "", asOperator)
	next := first.header.Get("Link")
	if len(idsOf(first)) != 2 || !strings.Contains(next, `rel="next"`) || !strings.Contains(next, first.at("proximo")) {
		t.Fatalf("%s %v", first.body, first.header)
	}
	rest := s.do("GET", strings.Trim(strings.Split(next, ";")[0], "<>"), "", asOperator)
	if got := idsOf(rest); len(got) != 1 || got[0] != a1 {
		t.Errorf("second page: %v", got)
	}
	for query, want := range map[string]string{"?limite=0": "?limite intervalo", "?limite=101": "?limite intervalo", "?cursor=x": "?cursor cursor", "?situacao=x": "?situacao valor"} {
		if a := s.do("GET", payments1+query, "", asOperator); a.code != 422 || a.broken() != want {
			t.Errorf("%s: %d %q", query, a.code, a.broken())
		}
	}
}

func idsOf(a answer) []string {
	var out []string
	list, _ := a.json["itens"].([]any)
	for _, e := range list {
		out = append(out, e.(map[string]any)["id"].(string))
	}
	return out
}

// The acquirer taking another amount than ours is nothing that time heals.
func TestAnotherAmount(t *testing.T) {
	s := start(t)
	id := s.pay(ana())
	s.bank.charges[id] = &acquirerv1.ChargeResponse{ChargeId: "c", IdempotencyKey: id, AmountCents: 1, State: acquirerv1.ChargeState_CHARGE_STATE_APPROVED}
	if err := s.deliver(s.waiting()[0]); err == nil || fault.KindOf(err) != fault.Internal {
		t.Errorf("%v", err)
	}
	if a := s.get(id); a.at("situacao") != "em_analise" {
		t.Errorf("%s", a.body)
	}
}

func TestEventsThatCannotBeRead(t *testing.T) {
	s := start(t)
	for _, typ := range []string{events.TypePagamentoRecebido, events.TypeEstornoSolicitado, events.TypeMatriculaConfirmada} {
		if err := s.deliver(bus.Event{ID: "x", Type: typ, Data: json.RawMessage(`[`)}); fault.As(err).Kind != fault.Malformed {
			t.Errorf("%s: %v", typ, err)
		}
		if err := s.deliver(bus.Event{ID: "y", Type: typ, Data: json.RawMessage(`{"pagamentoId":"none"}`)}); fault.As(err).Kind != fault.NotFound {
			t.Errorf("%s of no payment: %v", typ, err)
		}
	}
	if err := s.deliver(bus.Event{ID: "z", Type: events.TypeMatriculaConfirmada, Data: json.RawMessage(`{}`)}); err != nil {
		t.Errorf("an enrolment without a payment: %v", err)
	}
}
