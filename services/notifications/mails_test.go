package notifications_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"trama/contracts/events"
	"trama/platform/fault"
)

func TestTheWelcomeCarriesTheOnlyCopyOfThePassword(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		e := s.event(t, "notifications.boas-vindas", events.TypeContaCriada, accountCreated())
		s.deliver(t, "notifications.boas-vindas", e) // again
		s.start(t)
		got := s.await(t)
		s.deliver(t, "notifications.boas-vindas", e) // and after it was sent
		if len(got) != 1 || got[0].Para != "ana@exemplo.com.br" || got[0].Situacao != "enviada" ||
			got[0].Assunto != "Boas-vindas, Ana! Sua matrícula em Go para serviços está confirmada" {
			t.Fatalf("%+v", got)
		}
		want(t, "passwords issued", len(s.identity.issued), 1)
		text, html := s.content(t, got[0].ID)
		password := s.identity.issued[0]
		if !strings.Contains(text, password) || !strings.Contains(html, password) {
			t.Errorf("the mail has no password:\n%s", text)
		}
		for _, column := range []string{"name", "facts", "topic", "subject", "reason", "trace", "email"} {
			var value string
			if err := s.db.QueryRow(t.Context(), `SELECT `+column+` FROM message`).Scan(&value); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(value, password) {
				t.Errorf("the password is in column %s", column)
			}
			if (column == "name" || column == "facts" || column == "topic") && value != "" {
				t.Errorf("%s is kept after sending: %q", column, value)
			}
		}
		if log := s.log.String(); strings.Contains(log, password) || strings.Contains(log, "ana@") {
			t.Errorf("personal data in the log:\n%s", log)
		}
	})
}

func TestEachFactHasItsMail(t *testing.T) {
	s := newService(t, openSQLite(t, t.TempDir()), nil)
	money, soon := events.Dinheiro{Valor: "1299.00", Moeda: "BRL"}, time.Now().Add(time.Hour)
	for _, fact := range []struct {
		subscription, eventType string
		data                    any
	}{
		{"notifications.matriculas", events.TypeMatriculaConfirmada, events.MatriculaConfirmada{Curso: golang, Pessoa: ana}},
		{"notifications.matriculas", events.TypeMatriculaConfirmada, events.MatriculaConfirmada{Curso: golang, Pessoa: ana, AlunoNovo: true}},
		{"notifications.cancelamentos", events.TypeMatriculaCancelada, events.MatriculaCancelada{PagamentoID: "p9", Curso: golang, Pessoa: ana, Motivo: "estorno"}},
		{"notifications.recusas", events.TypePagamentoRecusado, events.PagamentoRecusado{PagamentoID: payment, Pagador: ana, Curso: golang, Valor: money, Motivo: "saldo-insuficiente"}},
		{"notifications.cobrancas", events.TypeCobrancaEmitida, events.CobrancaEmitida{PagamentoID: payment, Pagador: ana, Curso: golang, Valor: money, Metodo: "boleto", Codigo: "34191.79001", ExpiraEm: soon}},
		{"notifications.estornos", events.TypePagamentoEstornado, events.PagamentoEstornado{PagamentoID: payment, Pagador: ana, Curso: golang, Valor: money, Referencia: events.Referencia{Tipo: "matricula"}}},
		{"notifications.lembretes", events.TypeLembreteDevido, events.LembreteDevido{LeadID: lead, Pessoa: ana, Curso: &golang, Passo: 1, Passos: 3, Token: "tok", Limite: soon.Format(time.RFC3339)}},
	} {
		e := s.event(t, fact.subscription, fact.eventType, fact.data)
		s.deliver(t, fact.subscription, e)
	}
	s.start(t)
	got := s.await(t)
	var subjects []string
	for _, m := range got {
		subjects = append(subjects, m.Assunto)
		want(t, m.Assunto, m.Situacao+" "+m.Para, "enviada ana@exemplo.com.br")
	}
	slices.Sort(subjects)
	wanted := []string{"Ainda pensando em Go para serviços?", "Devolvemos o seu pagamento: Go para serviços", "Matrícula cancelada: Go para serviços",
		"Matrícula confirmada: Go para serviços", "Pagamento não aprovado: Go para serviços", "Seu boleto para concluir a matrícula: Go para serviços"}
	want(t, "subjects", strings.Join(subjects, "\n"), strings.Join(wanted, "\n"))

	refusal := got[slices.IndexFunc(got, func(m item) bool { return strings.HasPrefix(m.Assunto, "Pagamento não") })]
	if text, _ := s.content(t, refusal.ID); !strings.Contains(text, "https://escola.example/cursos/"+course+"/matricula") {
		t.Errorf("the refusal shows no way back:\n%s", text)
	}
	reminder := s.header(t, got[slices.IndexFunc(got, func(m item) bool { return strings.HasPrefix(m.Assunto, "Ainda") })].ID)
	want(t, "List-Unsubscribe", reminder.Get("List-Unsubscribe"), "<https://escola.example/v1/marketing/descadastro?token=tok>")
	want(t, "List-Unsubscribe-Post", reminder.Get("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click")
	want(t, "of a refusal", s.header(t, refusal.ID).Get("List-Unsubscribe"), "")
}

func cancelled(to events.Pessoa) events.MatriculaCancelada {
	return events.MatriculaCancelada{PagamentoID: payment, Curso: golang, Pessoa: to, Motivo: "estorno"}
}

func refunded() events.PagamentoEstornado {
	return events.PagamentoEstornado{PagamentoID: payment, Pagador: ana, Curso: golang, Valor: events.Dinheiro{Valor: "10.00", Moeda: "BRL"}, Referencia: events.Referencia{Tipo: "matricula"}}
}

func TestARefundAndTheCancellationItCausesAreOneMail(t *testing.T) {
	mother := events.Pessoa{Nome: "Lia Souza", Email: "lia@exemplo.com.br"}
	cancel := func(t *testing.T, s *service, to events.Pessoa) {
		s.event(t, "notifications.cancelamentos", events.TypeMatriculaCancelada, cancelled(to))
	}
	refund := func(t *testing.T, s *service) {
		s.event(t, "notifications.estornos", events.TypePagamentoEstornado, refunded())
	}
	for name, test := range map[string]struct {
		run  func(t *testing.T, s *service)
		want string
	}{
		"refund first":           {func(t *testing.T, s *service) { refund(t, s); cancel(t, s, ana) }, "Devolvemos"},
		"cancellation first":     {func(t *testing.T, s *service) { cancel(t, s, ana); refund(t, s) }, "Devolvemos"},
		"refund told already":    {func(t *testing.T, s *service) { refund(t, s); s.start(t); s.await(t); cancel(t, s, ana) }, "Devolvemos"},
		"cancelled told already": {func(t *testing.T, s *service) { cancel(t, s, ana); s.start(t); s.await(t); refund(t, s) }, "Devolvemos Matrícula"},
		"two addresses":          {func(t *testing.T, s *service) { refund(t, s); cancel(t, s, mother) }, "Devolvemos Matrícula"},
		"two addresses, inverse": {func(t *testing.T, s *service) { cancel(t, s, mother); refund(t, s) }, "Devolvemos Matrícula"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, openSQLite(t, t.TempDir()), nil)
			test.run(t, s)
			if s.stop == nil {
				s.start(t)
			}
			var got []string
			for _, m := range s.await(t) {
				first, _, _ := strings.Cut(m.Assunto, " ")
				got = append(got, first)
			}
			slices.Sort(got)
			want(t, "mails", strings.Join(got, " "), test.want)
		})
	}
}

func reminder(leadID string, c *events.Curso, limit time.Time) events.LembreteDevido {
	return events.LembreteDevido{LeadID: leadID, Pessoa: ana, Curso: c, Passo: 1, Passos: 3, Token: "tok", Limite: limit.Format(time.RFC3339)}
}

func TestAReminderThatWaitsIsDropped(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		limit := time.Now().Add(time.Hour)
		remind := func(leadID string, c *events.Curso) {
			s.event(t, "notifications.lembretes", events.TypeLembreteDevido, reminder(leadID, c, limit))
		}
		remind("l1", &golang)
		remind("l2", nil)
		remind("l3", &events.Curso{ID: otherCourse, Titulo: "Rust"})
		remind("l4", &events.Curso{ID: otherCourse, Titulo: "Zig"})
		s.event(t, "notifications.lembretes", events.TypeLeadDescadastrado, events.LeadDescadastrado{LeadID: "l4"})
		s.event(t, "notifications.matriculas", events.TypeMatriculaConfirmada,
			events.MatriculaConfirmada{Curso: golang, Pessoa: events.Pessoa{Nome: "A", Email: "outra@exemplo.com.br"}, Contato: "ANA@exemplo.com.br", AlunoNovo: true})
		s.start(t)
		got := s.await(t)
		if len(got) != 1 || got[0].Assunto != "Ainda pensando em Rust?" {
			t.Errorf("%+v", got)
		}
	})
}

func TestWhatExpiredIsNotSent(t *testing.T) {
	s := newService(t, openSQLite(t, t.TempDir()), nil)
	s.event(t, "notifications.lembretes", events.TypeLembreteDevido, reminder(lead, &golang, time.Now().Add(time.Hour)))
	s.event(t, "notifications.cobrancas", events.TypeCobrancaEmitida, events.CobrancaEmitida{PagamentoID: payment, Pagador: ana, Curso: golang, ExpiraEm: time.Now().Add(time.Hour)})
	s.clock.Jump(2 * time.Hour)
	s.start(t)
	for _, m := range s.await(t) {
		want(t, m.Assunto, m.Situacao, "falhou")
		if text, _ := s.content(t, m.ID); !strings.Contains(text, "vencida") {
			t.Errorf("%s", text)
		}
	}
	want(t, "messages", len(s.list(t)), 2)
}

func TestIdentityDecidesAboutThePassword(t *testing.T) {
	conflict := fault.New(fault.Conflict, "senha-ja-escolhida", fault.Text{PT: "Já.", EN: "Done."})
	unknown := fault.New(fault.NotFound, "conta-inexistente", fault.Text{PT: "Não há.", EN: "None."})
	for name, test := range map[string]struct {
		fail   []error
		issued int
		text   string
	}{
		"chosen already":       {[]error{conflict}, 0, "a senha que você já escolheu"},
		"not yet known there":  {[]error{unknown, unknown, unknown}, 1, "Senha inicial"},
		"down for a while":     {[]error{errOut, errOut}, 1, "Senha inicial"},
		"a bug over there":     {[]error{fmt.Errorf("boom")}, 1, "Senha inicial"},
		"refuses the argument": {[]error{fault.New(fault.Invalid, "campos-invalidos", fault.Text{})}, 1, "Senha inicial"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, openSQLite(t, t.TempDir()), nil)
			s.identity.fail = test.fail
			s.event(t, "notifications.boas-vindas", events.TypeContaCriada, accountCreated())
			s.start(t)
			got := s.await(t)
			if len(got) != 1 || got[0].Situacao != "enviada" {
				t.Fatalf("%+v", got)
			}
			if text, _ := s.content(t, got[0].ID); !strings.Contains(text, test.text) {
				t.Errorf("%s", text)
			}
			want(t, "issued", len(s.identity.issued), test.issued)
		})
	}
}

func TestAnEventThatCannotBeReadIsMalformed(t *testing.T) {
	s := newService(t, openSQLite(t, t.TempDir()), nil)
	e := s.event(t, "notifications.lembretes", events.TypeLeadDescadastrado, events.LeadDescadastrado{LeadID: lead})
	for name, handle := range s.subs {
		e.ID, e.Data = s.ids.New(), json.RawMessage(`[]`)
		if err := handle(t.Context(), e); err == nil || fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamesCannotBreakAMail(t *testing.T) {
	s := newService(t, openSQLite(t, t.TempDir()), nil)
	d := accountCreated()
	d.Pessoa.Nome = "<script>alert(1)</script>\r\nBcc: x@y.br '; DROP TABLE message; --"
	d.Curso.Titulo = "C++ & <b>\r\nX-Evil: 1"
	s.event(t, "notifications.boas-vindas", events.TypeContaCriada, d)
	s.start(t)
	got := s.await(t)
	if len(got) != 1 || strings.ContainsAny(got[0].Assunto, "\r\n") {
		t.Fatalf("%+v", got)
	}
	h := s.header(t, got[0].ID)
	want(t, "smuggled", h.Get("Bcc")+h.Get("X-Evil"), "")
	if _, html := s.content(t, got[0].ID); strings.Contains(html, "<script") || strings.Contains(html, "<b>") {
		t.Errorf("%s", html)
	}
}

func TestTheMailboxIsForThisMachineAndTheOperator(t *testing.T) {
	s := newService(t, openSQLite(t, t.TempDir()), nil)
	s.event(t, "notifications.boas-vindas", events.TypeContaCriada, accountCreated())
	s.start(t)
	path := messages + "/" + s.await(t)[0].ID
	for _, p := range []string{messages, path} {
		for name, test := range map[string]struct {
			local  bool
			token  string
			status int
		}{"remote": {false, "", 401}, "wrong token": {true, "Bearer x", 401}, "local": {true, "", 200}, "operator": {false, "Bearer " + operatorToken, 200}} {
			var headers []string
			if test.token != "" {
				headers = append(headers, "Authorization: "+test.token)
			}
			status, _, h := s.get(p, test.local, headers...)
			want(t, name, status, test.status)
			want(t, "Cache-Control", h.Get("Cache-Control"), "no-store")
		}
	}
	for _, none := range []string{lead, "x"} {
		status, _, _ := s.get(messages+"/"+none, true)
		want(t, none, status, http.StatusNotFound)
	}
}

func TestPagesOfMessages(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		s.start(t)
		for i := range 5 {
			d := refunded()
			d.Curso.Titulo = fmt.Sprint(i)
			s.event(t, "notifications.estornos", events.TypePagamentoEstornado, d)
			s.await(t)
			s.clock.Jump(time.Second)
		}
		var got []string
		path := messages + "?limite=2"
		for path != "" {
			status, text, h := s.get(path, true)
			var page struct {
				Itens   []item
				Proximo string
			}
			if err := json.Unmarshal([]byte(text), &page); err != nil || status != 200 || len(page.Itens) > 2 {
				t.Fatalf("%d %s", status, text)
			}
			for _, m := range page.Itens {
				got = append(got, strings.TrimPrefix(m.Assunto, "Devolvemos o seu pagamento: "))
			}
			path, _, _ = strings.Cut(strings.TrimPrefix(h.Get("Link"), "<"), ">")
			want(t, "Link and proximo", path != "", page.Proximo != "")
		}
		want(t, "messages", got, []string{"4", "3", "2", "1", "0"})
		for query, status := range map[string]int{"?limite=0": 422, "?limite=101": 422, "?cursor=x": 422, "?cursor=MTIz": 422} {
			got, _, _ := s.get(messages+query, true)
			want(t, query, got, status)
		}
	})
}
