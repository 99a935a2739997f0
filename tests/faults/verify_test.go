package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"trama/tests/harness"
)

// verify waits until everything accepted has reached its end, and counts: one
// effect for each business key, and nothing parked beyond the poison that was
// put in. It gives the counts in words.
func (x *trial) verify() string {
	t := x.t
	t.Helper()
	x.AwaitReady()
	for location, p := range x.payments {
		done := harness.Enrolled
		if p.refunded {
			done = func(p harness.Payment) bool { return p.Situacao == "estornado" && p.Matricula != nil }
		}
		x.student(p, x.await(location, done))
	}
	x.quiet()
	payments, leads := len(x.payments), len(x.leads)
	for path, want := range map[string]int{
		"/v1/financeiro/pagamentos": payments,
		"/v1/marketing/leads":       leads,
		"/v1/academico/alunos":      payments,
		"/v1/simulador/cobrancas":   payments,
	} {
		if got := x.count(path); got != want {
			t.Errorf("%s has %d items, want %d", path, got, want)
		}
	}
	mails := x.mails()
	if got := x.parked(); len(got) != len(x.poisons) {
		t.Errorf("%d letters are parked, for %d poisoned events: %v", len(got), len(x.poisons), got)
	}
	return fmt.Sprintf("%s, %d students, %d charges, %s: none lost, none twice", x, payments, payments, mails)
}

// mails checks who was written to, and gives the count in words.
func (x *trial) mails() string {
	owed := map[string]bool{}
	for _, p := range x.payments {
		owed[p.Email] = true
	}
	var welcomes, reminders map[string]int
	harness.Eventually(x.t, patience, "a mail for everybody", func() bool {
		welcomes, reminders = x.letters()
		for email := range owed {
			if welcomes[email] == 0 {
				return false
			}
		}
		for email := range x.leads {
			if !owed[email] && reminders[email] == 0 { // who never paid is reminded
				return false
			}
		}
		return true
	})
	duplicates := 0
	for _, kind := range []map[string]int{welcomes, reminders} {
		for address, n := range kind {
			duplicates += n - 1
			if n > 2 {
				x.t.Errorf("%d mails of one kind to %s", n, address)
			}
		}
	}
	if dead := x.deaths["notifications.sent"]; duplicates > dead {
		x.t.Errorf("%d duplicate mails for %d deaths between sending and recording", duplicates, dead)
	}
	text := fmt.Sprintf("%d welcome mails", len(welcomes))
	if duplicates > 0 {
		text += fmt.Sprintf(" (%d mails twice: death between sending and recording)", duplicates)
	}
	return text
}

// letters counts welcome mails and first reminders by address.
func (x *trial) letters() (welcomes, reminders map[string]int) {
	welcomes, reminders = map[string]int{}, map[string]int{}
	x.each("/v1/notificacoes/mensagens", func(raw json.RawMessage) {
		var m struct{ Para, Assunto string }
		if err := json.Unmarshal(raw, &m); err != nil {
			x.t.Error(err)
		}
		switch {
		case strings.HasPrefix(m.Assunto, "Boas-vindas"):
			welcomes[m.Para]++
		case strings.HasPrefix(m.Assunto, "Ainda "):
			reminders[m.Para]++
		}
	})
	return welcomes, reminders
}

// quiet waits until no subscription has anything to do; of those modules, when
// some are named.
func (x *trial) quiet(modules ...string) {
	harness.Eventually(x.t, patience, "every subscription to be done", func() bool {
		var list struct {
			Itens []struct {
				Nome, Servico      string
				NaFila, Aguardando int
				Parada             bool
			}
			SemResposta []string
		}
		x.ask("/v1/operacao/assinaturas", &list, x.Bearer()...)
		for _, s := range list.Itens {
			if len(modules) > 0 && !slices.Contains(modules, s.Servico+".worker") {
				continue
			}
			if s.NaFila > 0 || s.Aguardando > 0 || s.Parada {
				return false
			}
		}
		return len(list.Itens) > 0 && len(list.SemResposta) == 0
	})
}

// letter is what the tests read of a parked event.
type letter struct{ Assinatura, ID, Assunto, Situacao, Falha, Codigo, Erro string }

// parked gives everything that is parked.
func (x *trial) parked() (out []letter) {
	x.each("/v1/operacao/mensagens-mortas?situacao=todas", func(raw json.RawMessage) {
		var l letter
		if err := json.Unmarshal(raw, &l); err != nil {
			x.t.Error(err)
		}
		out = append(out, l)
	}, x.Bearer()...)
	return out
}

// ask reads a resource of the running system; a part of it may still be coming up.
func (x *trial) ask(path string, out any, header ...string) {
	harness.Eventually(x.t, patience, "an answer from "+path, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		a, err := x.Do(ctx, http.MethodGet, path, nil, header...)
		return err == nil && a.Status == 200 && json.Unmarshal(a.Body, out) == nil
	})
}

// student checks that a payment has one student, one enrolment and one charge, in
// the state that belongs to it.
func (x *trial) student(p promise, paid harness.Payment) {
	t := x.t
	enrolment, charge := "ativa", "aprovada"
	if p.refunded {
		enrolment, charge = "cancelada", "estornada"
	}
	x.enrolled(p.Person, enrolment)
	var taken struct {
		Situacao    string
		PagamentoID string `json:"pagamentoId"`
	}
	x.ask("/v1/simulador/cobrancas/"+paid.ID, &taken)
	if taken.PagamentoID != paid.ID || taken.Situacao != charge {
		t.Errorf("%s: the acquirer's ledger has %+v, want %s", p.Email, taken, charge)
	}
}

// enrolled checks that a person is one student with one enrolment in that state.
func (x *trial) enrolled(p harness.Person, state string) {
	var students struct{ Itens []struct{ ID string } }
	harness.Eventually(x.t, patience, p.Email+" to be a student", func() bool {
		x.ask("/v1/academico/alunos?cpf="+p.CPF, &students, x.Bearer()...)
		return len(students.Itens) > 0
	})
	if len(students.Itens) != 1 {
		x.t.Fatalf("%s: students %v", p.Email, students.Itens)
	}
	var page struct{ Itens []struct{ Situacao string } }
	harness.Eventually(x.t, patience, "the enrolment of "+p.Email+" to be "+state, func() bool {
		x.ask("/v1/academico/alunos/"+students.Itens[0].ID+"/matriculas", &page)
		return len(page.Itens) == 1 && page.Itens[0].Situacao == state
	})
}

// each gives every item of a paged list.
func (x *trial) each(path string, item func(json.RawMessage), header ...string) {
	sep, cursor := "?", ""
	if strings.Contains(path, "?") {
		sep = "&"
	}
	for {
		var page struct {
			Itens   []json.RawMessage
			Proximo string
		}
		x.ask(path+sep+"limite=100"+cursor, &page, header...)
		for _, i := range page.Itens {
			item(i)
		}
		if page.Proximo == "" {
			return
		}
		cursor = "&cursor=" + url.QueryEscape(page.Proximo)
	}
}

func (x *trial) count(path string) (n int) {
	x.each(path, func(json.RawMessage) { n++ }, x.Bearer()...)
	return n
}
