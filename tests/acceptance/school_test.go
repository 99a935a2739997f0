package acceptance

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"trama/tests/harness"
)

const patience = 30 * time.Second

// mail is one message of the mailbox.
type mail struct {
	ID      string `json:"id"`
	Para    string `json:"para"`
	Assunto string `json:"assunto"`
	Texto   string `json:"texto"`
	HTML    string `json:"html"`
}

// mailTo gives the messages to an address, newest first, with their texts.
func (w *world) mailTo(t *testing.T, address string) []mail {
	t.Helper()
	var out []mail
	cursor := ""
	for {
		var page struct {
			Itens   []mail
			Proximo string
		}
		w.Must(t, 200, &page, "GET", "/v1/notificacoes/mensagens?limite=100"+cursor, nil)
		for _, m := range page.Itens {
			if m.Para == address {
				var full mail
				w.Must(t, 200, &full, "GET", "/v1/notificacoes/mensagens/"+m.ID, nil)
				out = append(out, full)
			}
		}
		if page.Proximo == "" {
			return out
		}
		cursor = "&cursor=" + url.QueryEscape(page.Proximo)
	}
}

// awaitMail waits for a message whose subject contains a word.
func (w *world) awaitMail(t *testing.T, address, word string) mail {
	t.Helper()
	var found mail
	harness.Eventually(t, patience, "mail about "+word+" to "+address, func() bool {
		for _, m := range w.mailTo(t, address) {
			if strings.Contains(strings.ToLower(m.Assunto), word) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// pay sends a payment and gives its location.
func (w *world) pay(t *testing.T, body any, header ...string) string {
	t.Helper()
	a := w.Must(t, 202, nil, "POST", "/financeiro/pagamento", body, header...)
	location := a.Header.Get("Location")
	if location == "" {
		t.Fatal("202 without Location")
	}
	return location
}

func (w *world) enroll(t *testing.T, p harness.Person, course harness.Course) (location string, paid harness.Payment) {
	t.Helper()
	w.cards++
	location = w.pay(t, harness.CardPayment(p, course.ID, harness.Card(w.cards)))
	return location, w.AwaitPayment(t, location, patience, harness.Enrolled)
}

// enrollments gives the states of a student's enrolments by course.
func (w *world) enrollments(t *testing.T, student string) map[string]string {
	t.Helper()
	var page struct {
		Itens []struct {
			CursoID  string `json:"cursoId"`
			Situacao string `json:"situacao"`
		}
	}
	w.Must(t, 200, &page, "GET", "/academico/alunos/"+student+"/matriculas", nil)
	out := map[string]string{}
	for _, e := range page.Itens {
		out[e.CursoID] = e.Situacao
	}
	return out
}

var passwordLine = regexp.MustCompile(`(?i)senha[^\n]*:\s*(\S+)`)

func leadBecomesStudent(t *testing.T, w *world) {
	p, course := w.next(), w.courses[0]
	lead := w.Must(t, 201, nil, "POST", "/marketing/leads", map[string]any{"nome": p.Nome, "email": p.Email, "cursoId": course.ID, "consentimento": true})
	if !strings.HasPrefix(lead.Header.Get("Location"), "/v1/marketing/leads/") {
		t.Errorf("Location %q", lead.Header.Get("Location"))
	}
	_, paid := w.enroll(t, p, course)
	var student struct{ ID, Nome, Email, CPF string }
	w.Must(t, 200, &student, "GET", "/academico/alunos/"+paid.Matricula.AlunoID, nil)
	if student.Nome != p.Nome || student.Email != p.Email || strings.Contains(student.CPF, p.CPF[:9]) {
		t.Errorf("the student reads %+v", student)
	}
	w.Must(t, 200, &student, "GET", "/academico/alunos/"+paid.Matricula.AlunoID, nil, w.Bearer()...)
	if student.CPF != p.CPF {
		t.Errorf("staff reads CPF %q", student.CPF)
	}
	if got := w.enrollments(t, student.ID); got[course.ID] != "ativa" || len(got) != 1 {
		t.Errorf("enrolments %v", got)
	}
	welcome := w.awaitMail(t, p.Email, "boas-vindas")
	if !passwordLine.MatchString(welcome.Texto) || !strings.Contains(welcome.HTML, "<html") || !strings.Contains(welcome.Texto, course.Titulo) {
		t.Errorf("the welcome mail: %q", welcome.Texto)
	}
	var state struct{ Situacao string }
	harness.Eventually(t, patience, "the lead is known as enrolled", func() bool {
		w.Must(t, 200, &state, "GET", lead.Header.Get("Location"), nil, w.Bearer()...)
		return state.Situacao == "matriculado"
	})
}

func secondCourse(t *testing.T, w *world) {
	p := w.next()
	_, first := w.enroll(t, p, w.courses[0])
	_, second := w.enroll(t, p, w.courses[1])
	if first.Matricula.AlunoID != second.Matricula.AlunoID {
		t.Fatalf("two students for one person: %s and %s", first.Matricula.AlunoID, second.Matricula.AlunoID)
	}
	if got := w.enrollments(t, first.Matricula.AlunoID); len(got) != 2 {
		t.Errorf("enrolments %v", got)
	}
	w.awaitMail(t, p.Email, "boas-vindas")
	w.awaitMail(t, p.Email, "matrícula confirmada")
	welcomes := 0
	for _, m := range w.mailTo(t, p.Email) {
		if strings.Contains(strings.ToLower(m.Assunto), "boas-vindas") {
			welcomes++
		}
	}
	if welcomes != 1 {
		t.Errorf("%d welcome mails", welcomes)
	}
}

func leadOnce(t *testing.T, w *world) {
	p := w.next()
	body := map[string]any{"nome": p.Nome, "email": p.Email, "cursoId": w.courses[2].ID, "consentimento": true}
	first := w.Must(t, 201, nil, "POST", "/v1/marketing/leads", body)
	again := w.Must(t, 200, nil, "POST", "/marketing/leads", body)
	if first.Header.Get("Location") != again.Header.Get("Location") {
		t.Errorf("another lead: %s and %s", first.Header.Get("Location"), again.Header.Get("Location"))
	}
	reminder := w.awaitMail(t, p.Email, "")
	link := regexp.MustCompile(`/descadastro\?token=([^\s"]+)`).FindStringSubmatch(reminder.Texto)
	if link == nil {
		t.Fatalf("no unsubscribe link in %q", reminder.Texto)
	}
	for range 2 { // one click, and again
		w.Must(t, 200, nil, "POST", "/v1/marketing/descadastro?token="+link[1], nil)
	}
	w.Must(t, 404, nil, "POST", "/v1/marketing/descadastro?token=nope", nil)
	w.Must(t, 204, nil, "DELETE", first.Header.Get("Location"), nil, w.Bearer()...)
	w.Must(t, 404, nil, "GET", first.Header.Get("Location"), nil, w.Bearer()...)
}

func reminders(t *testing.T, w *world) {
	stays, enrolls := w.next(), w.next()
	for _, p := range []harness.Person{stays, enrolls} {
		w.Must(t, 201, nil, "POST", "/marketing/leads", map[string]any{"nome": p.Nome, "email": p.Email, "consentimento": true})
	}
	w.enroll(t, enrolls, w.courses[3])
	harness.Eventually(t, patience, "two reminders for who has not enrolled", func() bool { return len(w.mailTo(t, stays.Email)) == 2 })
	due := 0 // one may have been due before the enrolment was known; a second may not
	for _, m := range w.mailTo(t, enrolls.Email) {
		if strings.Contains(m.Texto, "/descadastro") {
			due++
		}
	}
	if due > 1 {
		t.Errorf("%d reminders to somebody who had enrolled", due)
	}
}

func refusedCard(t *testing.T, w *world) {
	for number, reason := range map[string]string{"4000000000009995": "saldo-insuficiente", "4000000000000002": ""} {
		p := w.next()
		location := w.pay(t, harness.CardPayment(p, w.courses[0].ID, number))
		paid := w.AwaitPayment(t, location, patience, func(p harness.Payment) bool { return p.Situacao == "recusado" })
		if paid.Motivo == "" || reason != "" && paid.Motivo != reason {
			t.Errorf("%s: reason %q", number, paid.Motivo)
		}
		m := w.awaitMail(t, p.Email, "pagamento")
		if !strings.Contains(m.Texto, "/cursos/"+w.courses[0].ID) {
			t.Errorf("no way back in %q", m.Texto)
		}
	}
}

// ledger gives the state of a payment's charge at the simulator, where one key is
// one charge for ever.
func (w *world) ledger(t *testing.T, payment string) string {
	t.Helper()
	var charge struct{ Situacao string }
	w.Must(t, 200, &charge, "GET", "/v1/simulador/cobrancas/"+payment, nil)
	return charge.Situacao
}

func lostAnswers(t *testing.T, w *world) {
	for _, number := range []string{"4000000000000119", "4000000000000341"} {
		location := w.pay(t, harness.CardPayment(w.next(), w.courses[1].ID, number))
		paid := w.AwaitPayment(t, location, 60*time.Second, harness.Enrolled)
		if got := w.ledger(t, paid.ID); got != "aprovada" {
			t.Errorf("%s: the acquirer's ledger has %s", number, got)
		}
	}
}

func pixAndBoleto(t *testing.T, w *world) {
	for _, method := range []string{"pix", "boleto"} {
		p := w.next()
		body := map[string]any{"aluno": map[string]any{"nome": p.Nome, "email": p.Email, "cpf": p.CPF}, "cursoId": w.courses[4].ID, "metodo": method}
		location := w.pay(t, body)
		waiting := w.AwaitPayment(t, location, patience, func(p harness.Payment) bool { return p.Situacao == "aguardando_pagamento" })
		w.awaitMail(t, p.Email, method)
		w.Must(t, 200, nil, "POST", "/v1/simulador/cobrancas/"+waiting.ID+"/pagar", nil)
		w.AwaitPayment(t, location, patience, harness.Enrolled)
		w.awaitMail(t, p.Email, "boas-vindas")
	}
}

func forgedCallback(t *testing.T, w *world) {
	p := w.next()
	body := map[string]any{"aluno": map[string]any{"nome": p.Nome, "email": p.Email, "cpf": p.CPF}, "cursoId": w.courses[4].ID, "metodo": "pix"}
	location := w.pay(t, body)
	waiting := w.AwaitPayment(t, location, patience, func(p harness.Payment) bool { return p.Situacao == "aguardando_pagamento" })
	notice := map[string]any{"id": "n1", "pagamentoId": waiting.ID, "situacao": "aprovada", "em": time.Now().UTC().Format(time.RFC3339)}
	w.Must(t, 401, nil, "POST", "/v1/financeiro/retornos", notice)
	w.Must(t, 401, nil, "POST", "/v1/financeiro/retornos", notice, "Trama-Assinatura", fmt.Sprintf("t=%d,v1=%s", time.Now().Unix(), strings.Repeat("ab", 32)))
	var after harness.Payment
	w.Must(t, 200, &after, "GET", location, nil)
	if after.Situacao != "aguardando_pagamento" {
		t.Errorf("a forged notice made it %s", after.Situacao)
	}
}

func refund(t *testing.T, w *world) {
	p, course := w.next(), w.courses[5]
	location, paid := w.enroll(t, p, course)
	w.awaitMail(t, p.Email, "boas-vindas")
	w.Must(t, 401, nil, "POST", location+"/estorno", nil)
	w.Must(t, 202, nil, "POST", location+"/estorno", map[string]any{"motivo": "Desistência em sete dias"}, w.Bearer()...)
	w.AwaitPayment(t, location, patience, func(p harness.Payment) bool { return p.Situacao == "estornado" })
	harness.Eventually(t, patience, "the enrolment is cancelled", func() bool {
		return w.enrollments(t, paid.Matricula.AlunoID)[course.ID] == "cancelada"
	})
	if got := w.ledger(t, paid.ID); got != "estornada" {
		t.Errorf("the acquirer's ledger has %s", got)
	}
	w.awaitMail(t, p.Email, "devolvemos")
	w.Must(t, 409, nil, "POST", location+"/estorno", nil, w.Bearer()...)
}
