package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"trama/contracts/events"
	"trama/platform/money"
)

// check looks at the world when everything is over.
func (w *world) check(p *people) {
	w.checkEnds(p)
	w.checkMoney()
	w.checkFacts()
	w.checkEffects(p)
	w.checkMails(p)
	w.checkSilence()
}

// checkEnds: what was accepted has come to an end, and it is the right one.
func (w *world) checkEnds(p *people) {
	for _, x := range w.plan.work.payments {
		if p.accepted[x.name] == "" {
			continue // told already
		}
		got := p.payment(x.name)
		switch got.Situacao {
		case "aprovado":
			if got.Matricula == nil {
				w.fail("%s is paid and enrols nobody", x.name)
			}
			if p.refunds[x.name] {
				w.fail("%s: a refund was accepted and never made", x.name)
			}
			if x.card == refusedCard || x.card == poorCard {
				w.fail("%s is approved by a card that refuses", x.name)
			}
		case "recusado", "estornado":
		default:
			w.fail("%s never ends: %s", x.name, got.Situacao)
		}
	}
	for _, l := range w.plan.work.leads {
		if id := p.leads[l.name]; id != "" && w.number("marketing", `SELECT COUNT(*) FROM lead WHERE id = $1`, id) != 1 {
			w.fail("lead %s was accepted and is not there", l.name)
		}
	}
}

// checkMoney: what the acquirer holds is the price of what people are enrolled in.
func (w *world) checkMoney() {
	held := w.number("acquirersim", `SELECT COALESCE(SUM(amount_cents), 0) FROM charge WHERE state = 'aprovada'`)
	counted := w.number("payments", `SELECT COALESCE(SUM(amount_cents), 0) FROM payment WHERE status = 'aprovado'`)
	enrolled := w.number("academics", `SELECT COALESCE(SUM(c.price_cents), 0) FROM enrolment e JOIN course c ON c.id = e.course_id WHERE e.state = 'ativa'`)
	if held != enrolled || held != counted {
		w.fail("money: the acquirer holds %s, payments count %s, the enrolments cost %s", money.Cents(held), money.Cents(counted), money.Cents(enrolled))
	}
}

// checkFacts: each fact was told once, and the numbers of a subject have no gap.
func (w *world) checkFacts() {
	told, numbers := map[string]int{}, map[string][]string{}
	for _, e := range w.broker.events() {
		told[e.Subject+" "+e.Type]++
		numbers[e.Subject] = append(numbers[e.Subject], e.Sequence)
		if n := told[e.Subject+" "+e.Type]; n > 1 && slices.Contains(onceEach, e.Type) {
			w.fail("%s is told %d times", w.broker.key(context.Background(), e), n)
		}
	}
	for subject, got := range numbers {
		for i, n := range got {
			if n != fmt.Sprint(i+1) {
				w.fail("the events of %s were published as %v", w.broker.names[subject], got)
				break
			}
		}
	}
	for name, q := range w.broker.subs {
		for id, x := range q.first {
			if !q.handled[id] {
				w.fail("%s never handled %s", name, x.key)
			}
		}
	}
}

// checkEffects: one student per person, one enrolment per payment, one account
// per student, however often it was told.
func (w *world) checkEffects(p *people) {
	students := w.number("academics", `SELECT COUNT(*) FROM student`)
	if n := w.number("academics", `SELECT COUNT(DISTINCT cpf) FROM student`); n != students || students > int64(w.plan.work.people) {
		w.fail("%d students for %d CPFs of %d people", students, n, w.plan.work.people)
	}
	confirmed := map[string]int{}
	for _, e := range w.broker.events() {
		if e.Type == events.TypeMatriculaConfirmada {
			var m events.MatriculaConfirmada
			_ = json.Unmarshal(e.Data, &m) // ours
			if confirmed[m.PagamentoID]++; confirmed[m.PagamentoID] > 1 {
				w.fail("%s has two enrolments", w.broker.names[m.PagamentoID])
			}
		}
	}
	paid := w.number("payments", `SELECT COUNT(*) FROM payment WHERE status IN ('aprovado', 'estornado')`)
	if int(paid) != len(confirmed) {
		w.fail("%d payments were approved, %d enrolments confirmed", paid, len(confirmed))
	}
	if n := w.number("payments", `SELECT COUNT(*) FROM payment`); int(n) != len(p.accepted) {
		w.fail("%d payments were accepted, %d exist", len(p.accepted), n)
	}
	if n := w.number("acquirersim", `SELECT COUNT(*) FROM charge WHERE key NOT IN (SELECT key FROM charge GROUP BY key HAVING COUNT(*) = 1)`); n != 0 {
		w.fail("%d charges share a key", n)
	}
	if n := w.number("identity", `SELECT COUNT(*) FROM account_student`); n != students {
		w.fail("%d students, %d of them with an account", students, n)
	}
}

// checkMails: everybody heard what concerns them, once.
func (w *world) checkMails(p *people) {
	if n := w.number("notifications", `SELECT COUNT(*) FROM message WHERE state = 'falhou' AND kind <> 'cobranca' AND kind <> 'lembrete'`); n != 0 {
		w.fail("%d mails were given up", n)
	}
	for kind, want := range map[string]int{
		"boas-vindas": w.told(events.TypeContaCriada), "recusa": w.told(events.TypePagamentoRecusado),
		"cobranca": w.told(events.TypeCobrancaEmitida), "estorno": w.told(events.TypePagamentoEstornado),
	} {
		if n := w.number("notifications", `SELECT COUNT(*) FROM message WHERE kind = $1`, kind); int(n) != want {
			w.fail("%d mails of kind %s for %d events", n, kind, want)
		}
	}
	if n, students := w.told(events.TypeContaCriada), w.number("academics", `SELECT COUNT(*) FROM student`); int64(n) != students {
		w.fail("%d welcomes for %d students", n, students)
	}
	steps := map[string]bool{}
	for _, e := range w.broker.events() {
		if e.Type != events.TypeLembreteDevido {
			continue
		}
		var r events.LembreteDevido
		_ = json.Unmarshal(e.Data, &r) // ours
		key := fmt.Sprint(w.broker.names[e.Subject], " step ", r.Passo)
		if steps[key] {
			w.fail("reminder %s is told twice", key)
		}
		steps[key] = true
	}
	for _, l := range w.plan.work.leads {
		if strings.HasPrefix(l.email, "l") && !p.left[l.name] && p.leads[l.name] != "" && !w.shared(l) {
			for step := 1; step <= 3; step++ {
				if key := fmt.Sprint("lead ", l.name, " step ", step); !steps[key] {
					w.fail("reminder %s never came", key)
				}
			}
		}
	}
}

// shared says whether another lead has the same address and course.
func (w *world) shared(l lead) bool {
	return slices.ContainsFunc(w.plan.work.leads, func(o lead) bool { return o.name != l.name && o.email == l.email && o.course == l.course })
}

// checkSilence: nothing lies anywhere.
func (w *world) checkSilence() {
	for _, s := range services {
		for what, query := range map[string]string{"events in the outbox": `SELECT COUNT(*) FROM outbox`, "letters": `SELECT COUNT(*) FROM letter`} {
			if n := w.number(s, query); n != 0 {
				w.fail("%s: %d %s are left", s, n, what)
			}
		}
	}
}

func (w *world) number(service, query string, args ...any) int64 {
	var n int64
	if err := w.rawStore(service).QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		w.fail("%s: %v", service, err)
	}
	return n
}
