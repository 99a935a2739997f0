package simulation

import (
	"encoding/json"
	"net/url"
	"slices"
	"sync"
	"time"

	"trama/contracts/events"
	"trama/tests/harness"
)

// people are the clients of a run and what they were promised.
type people struct {
	w       *world
	courses []harness.Course
	all     sync.WaitGroup

	mu       sync.Mutex
	accepted map[string]string // payment → id
	leads    map[string]string // lead → id
	refunds  map[string]bool   // payments whose refund was accepted
	left     map[string]bool   // leads that want no more mail
}

func newPeople(w *world, courses []harness.Course) *people {
	return &people{w: w, courses: courses, accepted: map[string]string{}, leads: map[string]string{}, refunds: map[string]bool{}, left: map[string]bool{}}
}

// act begins everything that people do in the first phase.
func (p *people) act() {
	for _, x := range p.w.plan.work.payments {
		p.all.Go(func() {
			time.Sleep(x.at)
			p.pay(x)
		})
	}
	for _, x := range p.w.plan.work.leads {
		p.all.Go(func() {
			time.Sleep(x.at)
			p.register(x)
		})
	}
}

// disturb is what happens besides: the clock jumps, an operator replays.
func (p *people) disturb() {
	plan := p.w.plan
	if plan.jump != 0 {
		p.all.Go(func() {
			time.Sleep(plan.jumpAt)
			p.w.shift(plan.jump)
		})
	}
	if plan.replay != "" {
		p.all.Go(func() {
			time.Sleep(plan.replayAt)
			p.replay(plan.replay)
		})
	}
}

// replay gives a subscription the whole log again, in small parts. What it has
// handled has no effect again.
func (p *people) replay(subscription string) {
	body := map[string]any{"desde": "1999-01-01T00:00:00Z", "limite": 2}
	for n := 0; ; n++ {
		status, answer := p.w.ask("replay", "POST", "/v1/operacao/assinaturas/"+subscription+"/reprocessamentos", body)
		var got struct {
			ID, Cursor string
			Fim        bool
		}
		if status != 200 || json.Unmarshal(answer, &got) != nil || n > 500 {
			p.w.fail("replay of %s, part %d: %d %s", subscription, n, status, answer)
			return
		}
		if got.Fim {
			return
		}
		body["id"], body["cursor"] = got.ID, got.Cursor
	}
}

// mend has the handler mended, and its event tried again, as it is or edited.
func (p *people) mend(q *queue, path string) {
	q.heal()
	if p.w.plan.dice(2, "mend", q.name) == 0 {
		p.gone("retry "+q.name, "POST", path+"/nova-tentativa", nil)
		return
	}
	status, answer := p.w.ask("look at a letter of "+q.name, "GET", path, nil)
	var got struct{ Evento json.RawMessage }
	if status == 404 { // an earlier act had its effect
		return
	}
	if status != 200 || json.Unmarshal(answer, &got) != nil {
		p.w.fail("letter of %s: %d %s", q.name, status, answer)
		return
	}
	p.gone("edit "+q.name, "POST", path+"/correcoes", map[string]any{"evento": got.Evento, "motivo": "consertado"})
}

// promise notes an id that was given for a name; a repeated command must get the
// same.
func (p *people) promise(where map[string]string, name, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if was := where[name]; was != "" && was != id {
		p.w.fail("%s: one command, two results: %s and %s", name, was, id)
	}
	where[name] = id
}

func (p *people) pay(x payment) {
	p.order(x)
	if x.twice {
		p.order(x) // some time later, the same again
	}
	id := p.of(x.name)
	if id == "" {
		return
	}
	if x.pay > 0 && p.await(x, "aguardando_pagamento") {
		time.Sleep(x.pay)
		status, answer := p.w.ask("paying "+x.name, "POST", "/v1/simulador/cobrancas/"+id+"/pagar", nil)
		if status != 200 && status != 409 { // 409: its time is over
			p.w.fail("paying %s: %d %s", x.name, status, answer)
		}
	}
	if x.refund > 0 && p.await(x, "aprovado") {
		time.Sleep(x.refund)
		status, answer := p.w.ask("refund of "+x.name, "POST", "/v1/financeiro/pagamentos/"+id+"/estorno", map[string]any{"motivo": "desistiu"},
			"Idempotency-Key", "refund-"+x.name)
		if status != 202 {
			p.w.fail("refund of %s: %d %s", x.name, status, answer)
		}
		p.mu.Lock()
		p.refunds[x.name] = true
		p.mu.Unlock()
	}
}

// order sends a wish to pay; where it is sent twice at once, both get one answer.
func (p *people) order(x payment) {
	body := map[string]any{
		"aluno":   map[string]any{"nome": "Aluna Teste", "email": x.email(), "cpf": harness.CPF(x.person)},
		"cursoId": p.courses[x.course].ID, "metodo": x.method,
	}
	if x.method == "cartao" {
		number := x.card
		if number == goodCard {
			number = harness.Card(x.person)
		}
		body["cartao"] = map[string]any{"titular": "Aluna Teste", "numero": number, "validade": "12/39", "cvv": "123"}
	}
	once := func(name string) {
		status, answer := p.w.ask(name, "POST", "/v1/financeiro/pagamento", body, "Idempotency-Key", "pay-"+x.name)
		var got harness.Payment
		if status != 202 || json.Unmarshal(answer, &got) != nil {
			p.w.fail("%s: %d %s", name, status, answer)
			return
		}
		p.w.happened("payments accepted, repetitions included")
		p.promise(p.accepted, x.name, got.ID)
	}
	var both sync.WaitGroup
	if x.twice {
		both.Go(func() { once("order again " + x.name) })
	}
	once("order " + x.name)
	both.Wait()
}

// await waits until a payment is in a state, or in one that ends it.
func (p *people) await(x payment, state string) bool {
	for n := range 200 {
		time.Sleep(time.Duration(100+n*20) * time.Millisecond)
		switch got := p.payment(x.name).Situacao; got {
		case state:
			return true
		case "recusado", "estornado":
			return false
		}
	}
	return false
}

// of gives the id that a payment was given.
func (p *people) of(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted[name]
}

func (p *people) payment(name string) (got harness.Payment) {
	id := p.of(name)
	status, answer := p.w.ask("look at "+name, "GET", "/v1/financeiro/pagamentos/"+id, nil)
	if status != 200 || json.Unmarshal(answer, &got) != nil {
		p.w.fail("payment %s was accepted and is not found: %d %s", name, status, answer)
	}
	return got
}

func (p *people) register(x lead) {
	status, answer := p.w.ask("register "+x.name, "POST", "/v1/marketing/leads", map[string]any{
		"nome": "Interessada Teste", "email": x.email, "cursoId": p.courses[x.course].ID, "origem": x.name, "consentimento": true,
	}, "Idempotency-Key", "lead-"+x.name)
	var got struct{ ID string }
	if status != 201 && status != 200 || json.Unmarshal(answer, &got) != nil {
		p.w.fail("register %s: %d %s", x.name, status, answer)
		return
	}
	p.promise(p.leads, x.name, got.ID)
}

// leave follows the links in the reminders that came, for those who want no more.
func (p *people) leave() {
	for _, e := range p.w.broker.events() {
		if e.Type != events.TypeLembreteDevido {
			continue
		}
		var r events.LembreteDevido
		_ = json.Unmarshal(e.Data, &r) // ours
		for _, l := range p.w.plan.work.leads {
			if !l.leaves || p.left[l.name] || p.leads[l.name] != r.LeadID {
				continue
			}
			p.left[l.name] = true
			if status, answer := p.w.ask("leave "+l.name, "POST", "/v1/marketing/descadastro?token="+url.QueryEscape(r.Token), nil); status != 200 {
				p.w.fail("leave %s: %d %s", l.name, status, answer)
			}
		}
	}
}

// operate does what operators do: dead letters are looked at, mended, tried again
// or dropped. It says whether there were any.
func (p *people) operate() bool {
	status, answer := p.w.ask("dead letters", "GET", "/v1/operacao/mensagens-mortas?limite=100", nil)
	var page struct {
		Itens       []struct{ Assinatura, ID, Erro string }
		SemResposta []string
	}
	if status != 200 || json.Unmarshal(answer, &page) != nil {
		p.w.fail("dead letters: %d %s", status, answer)
	}
	again := len(page.SemResposta) > 0
	for _, l := range page.Itens {
		again = true
		q := p.w.broker.subs[l.Assinatura]
		path := "/v1/operacao/mensagens-mortas/" + l.Assinatura + "/" + l.ID
		p.w.happened("dead letters seen by operators")
		switch {
		case q.name == p.w.plan.garbage && len(l.ID) > 9 && l.ID[:9] == "mensagem-":
			p.gone("drop garbage", "DELETE", path+"?motivo=lixo", nil)
		case q.name == p.w.plan.poison && slices.Contains(q.poisons(), l.ID):
			p.mend(q, path)
		default:
			p.w.fail("a dead letter that nobody provoked: %s %s: %s", l.Assinatura, l.ID, l.Erro)
		}
	}
	return again
}

// gone is an act on a letter, which an earlier try may have ended already.
func (p *people) gone(name, method, path string, body any) {
	if status, answer := p.w.ask(name, method, path, body); status != 200 && status != 204 && status != 404 {
		p.w.fail("%s: %d %s", name, status, answer)
	}
}
