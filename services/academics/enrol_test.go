package academics_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/fault"
)

func types(all []bus.Event) []string {
	out := []string{}
	for _, e := range all {
		out = append(out, strings.Split(e.Type, ".")[3])
	}
	return out
}

func TestPaymentMakesStudentAndEnrolment(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		p := s.payment(cpf(1), "Ana@Exemplo.com.br", courseID(1))
		s.approve(t, p)

		all := s.published(t)
		if got := types(all); !slices.Equal(got, []string{"AlunoCriado", "MatriculaConfirmada"}) {
			t.Fatalf("published %v", got)
		}
		created := data[events.AlunoCriado](t, all, events.TypeAlunoCriado)[0]
		confirmed := data[events.MatriculaConfirmada](t, all, events.TypeMatriculaConfirmada)[0]
		want := events.MatriculaConfirmada{MatriculaID: p.Referencia.ID, AlunoID: created.AlunoID, AlunoNovo: true,
			PagamentoID: p.PagamentoID, Curso: p.Curso, Pessoa: events.Pessoa{Nome: "Ana Souza", Email: "ana@exemplo.com.br"}}
		if confirmed != want || created.Pessoa != want.Pessoa || created.Curso != p.Curso {
			t.Errorf("AlunoCriado %+v\nMatriculaConfirmada %+v\nwant %+v", created, confirmed, want)
		}
		for _, e := range all {
			if e.Subject != created.AlunoID {
				t.Errorf("%s is about %q, want the student", e.Type, e.Subject)
			}
		}

		got := s.do("GET", "/v1/academico/alunos/"+created.AlunoID, "")
		if got.status != 200 || got.body["email"] != "ana@exemplo.com.br" || got.body["telefone"] != "+5511987654321" {
			t.Errorf("GET aluno: %d %s", got.status, got.raw)
		}
		list := s.do("GET", "/v1/academico/alunos/"+created.AlunoID+"/matriculas", "")
		if list.status != 200 {
			t.Fatalf("GET matriculas: %d %s", list.status, list.raw)
		}
		items := list.body["itens"].([]any)
		first := items[0].(map[string]any)
		if len(items) != 1 || first["id"] != p.Referencia.ID || first["situacao"] != "ativa" || first["pagamentoId"] != p.PagamentoID ||
			first["curso"].(map[string]any)["titulo"] != p.Curso.Titulo {
			t.Errorf("matriculas: %s", list.raw)
		}
	})
}

func TestSecondCourseOfTheSamePersonIsOnlyAnEnrolment(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		s.approve(t, s.payment(cpf(1), "ana@exemplo.com.br", courseID(1)))
		second := s.payment(cpf(1), "ana@exemplo.com.br", courseID(2))
		s.approve(t, second)

		all := s.published(t)
		if got := types(all); !slices.Equal(got, []string{"AlunoCriado", "MatriculaConfirmada", "MatriculaConfirmada"}) {
			t.Fatalf("published %v", got)
		}
		confirmed := data[events.MatriculaConfirmada](t, all, events.TypeMatriculaConfirmada)
		if confirmed[1].AlunoNovo || confirmed[1].AlunoID != confirmed[0].AlunoID || confirmed[1].MatriculaID != second.Referencia.ID || confirmed[1].Contato != "" {
			t.Errorf("second enrolment: %+v", confirmed[1])
		}
		if n := s.count(t, "student"); n != 1 {
			t.Errorf("%d students, want 1", n)
		}
	})
}

// Paying with somebody's CPF and another address, name and telephone must not
// take that student's account over.
func TestPaymentDoesNotChangeAKnownStudent(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		s.approve(t, s.payment(cpf(1), "ana@exemplo.com.br", courseID(1)))
		other := s.payment(cpf(1), "Mallory@exemplo.com", courseID(2))
		other.Aluno.Nome, other.Aluno.Telefone = "Mallory", "+5521912345678"
		s.approve(t, other)

		confirmed := data[events.MatriculaConfirmada](t, s.published(t), events.TypeMatriculaConfirmada)[1]
		if confirmed.Pessoa != (events.Pessoa{Nome: "Ana Souza", Email: "ana@exemplo.com.br"}) || confirmed.Contato != "mallory@exemplo.com" {
			t.Errorf("confirmed to %+v, contact %q", confirmed.Pessoa, confirmed.Contato)
		}
		got := s.do("GET", "/v1/academico/alunos/"+confirmed.AlunoID, "")
		if got.body["email"] != "ana@exemplo.com.br" || got.body["nome"] != "Ana Souza" || got.body["telefone"] != "+5511987654321" {
			t.Errorf("the student changed: %s", got.raw)
		}
	})
}

func TestRepeatedEventsHaveOneEffect(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		p := s.payment(cpf(1), "ana@exemplo.com.br", courseID(1))
		eventID := s.ids.New()
		for range 3 {
			if err := s.deliver(t.Context(), "academics.pagamentos", events.TypePagamentoProcessado, p, eventID); err != nil {
				t.Fatal(err)
			}
		}
		s.approve(t, p) // the same payment, told in another event
		refundID := s.ids.New()
		for range 3 {
			if err := s.deliver(t.Context(), "academics.estornos", events.TypePagamentoEstornado, refundOf(p), refundID); err != nil {
				t.Fatal(err)
			}
		}
		s.refund(t, p)
		s.approve(t, p)
		if got := types(s.published(t)); !slices.Equal(got, []string{"AlunoCriado", "MatriculaConfirmada", "MatriculaCancelada"}) {
			t.Errorf("published %v", got)
		}
		if n := s.count(t, "enrolment"); n != 1 {
			t.Errorf("%d enrolments", n)
		}
	})
}

// Nobody is enrolled twice in a course. The second payment joins the enrolment,
// which lives until both went back.
func TestSecondPaymentForTheSameCourseJoinsTheEnrolment(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		first := s.payment(cpf(1), "ana@exemplo.com.br", courseID(1))
		second := s.payment(cpf(1), "ana@exemplo.com.br", courseID(1))
		s.approve(t, first)
		s.approve(t, second)
		confirmed := data[events.MatriculaConfirmada](t, s.published(t), events.TypeMatriculaConfirmada)
		if len(confirmed) != 2 || confirmed[1].MatriculaID != first.Referencia.ID || confirmed[1].PagamentoID != second.PagamentoID {
			t.Fatalf("confirmed %+v", confirmed)
		}
		state := func() string {
			list := s.do("GET", "/v1/academico/alunos/"+confirmed[0].AlunoID+"/matriculas", "")
			items := list.body["itens"].([]any)
			if len(items) != 1 {
				t.Fatalf("%d enrolments: %s", len(items), list.raw)
			}
			return items[0].(map[string]any)["situacao"].(string)
		}
		s.refund(t, first)
		s.refund(t, first) // told again in another event: the other payment still counts
		if got := state(); got != "ativa" {
			t.Errorf("one of two payments refunded: %s", got)
		}
		s.refund(t, second)
		if got := state(); got != "cancelada" {
			t.Errorf("both refunded: %s", got)
		}
		ended := data[events.MatriculaCancelada](t, s.published(t), events.TypeMatriculaCancelada)
		if len(ended) != 1 || ended[0].MatriculaID != first.Referencia.ID || ended[0].PagamentoID != second.PagamentoID || ended[0].Motivo != "estorno" {
			t.Errorf("cancelled %+v", ended)
		}

		// Bought again after all went back: a new enrolment.
		third := s.payment(cpf(1), "ana@exemplo.com.br", courseID(1))
		s.approve(t, third)
		again := data[events.MatriculaConfirmada](t, s.published(t), events.TypeMatriculaConfirmada)
		if got := again[len(again)-1].MatriculaID; got != third.Referencia.ID {
			t.Errorf("enrolment %s, want a new one", got)
		}
	})
}

// outcome is what remains of one payment and its refund, without ids.
func outcome(t *testing.T, s *school) string {
	t.Helper()
	all := s.published(t)
	list := s.do("GET", "/v1/academico/alunos/"+all[0].Subject+"/matriculas", "")
	item := list.body["itens"].([]any)[0].(map[string]any)
	_, dated := item["canceladaEm"]
	out, err := json.Marshal(map[string]any{"events": types(all), "state": item["situacao"], "dated": dated, "course": item["curso"]})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestRefundThatOvertakesTheApprovalEndsTheSame(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		p := s.payment(cpf(1), "ana@exemplo.com.br", courseID(1))
		s.refund(t, p)
		if n := len(s.published(t)); n != 0 {
			t.Errorf("a refund of an unknown payment published %d events", n)
		}
		s.approve(t, p)
		overtaken := outcome(t, s)

		inOrder := newSchool(t, openSQLite(t))
		inOrder.approve(t, p)
		inOrder.refund(t, p)
		if want := outcome(t, inOrder); overtaken != want || !strings.Contains(want, `"cancelada"`) {
			t.Errorf("overtaken %s\nin order  %s", overtaken, want)
		}
	})
}

func TestPaymentsForOtherThingsAreNotOurs(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		p := s.payment(cpf(1), "ana@exemplo.com.br", courseID(1))
		p.Referencia = events.Referencia{Tipo: "pedido", ID: s.ids.New()}
		s.approve(t, p)
		s.refund(t, p)
		if n := s.count(t, "student") + s.count(t, "payment") + len(s.published(t)); n != 0 {
			t.Errorf("an order's payment left %d rows and events", n)
		}
	})
}

func TestBrokenEventsAreRefusedForGood(t *testing.T) {
	s := newSchool(t, openSQLite(t))
	good := s.payment(cpf(1), "ana@exemplo.com.br", courseID(1))
	for name, c := range map[string]struct {
		edit func(*events.PagamentoProcessado)
		kind fault.Kind
	}{
		"payment id": {func(p *events.PagamentoProcessado) { p.PagamentoID = "x" }, fault.Malformed},
		"reference":  {func(p *events.PagamentoProcessado) { p.Referencia.ID = "" }, fault.Malformed},
		"course":     {func(p *events.PagamentoProcessado) { p.Curso.ID = "'; DROP TABLE student" }, fault.Malformed},
		"cpf":        {func(p *events.PagamentoProcessado) { p.Aluno.CPF = "11111111111" }, fault.Invalid},
		"email":      {func(p *events.PagamentoProcessado) { p.Aluno.Email = "a@b" }, fault.Invalid},
		"name":       {func(p *events.PagamentoProcessado) { p.Aluno.Nome = strings.Repeat("a", 300) }, fault.Invalid},
	} {
		p := good
		c.edit(&p)
		err := s.deliver(t.Context(), "academics.pagamentos", events.TypePagamentoProcessado, p, s.ids.New())
		if err == nil || fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
	for _, sub := range []string{"academics.pagamentos", "academics.estornos"} {
		err := s.subs[sub](t.Context(), bus.Event{ID: s.ids.New(), Data: json.RawMessage(`{"pagamentoId": 7}`)})
		if err == nil || fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s with broken data: %v", sub, err)
		}
	}
	if err := s.deliver(t.Context(), "academics.estornos", events.TypePagamentoEstornado,
		events.PagamentoEstornado{PagamentoID: "x", Referencia: events.Referencia{Tipo: "matricula"}}, s.ids.New()); fault.KindOf(err) != fault.Malformed {
		t.Errorf("refund without an id: %v", err)
	}
	if n := s.count(t, "student") + s.count(t, "payment") + s.count(t, "inbox"); n != 0 {
		t.Errorf("refused events left %d rows", n)
	}
}

// A reference that names somebody else's enrolment must not join it.
func TestReferenceOfAnotherStudentIsRefused(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		first := s.payment(cpf(1), "ana@exemplo.com.br", courseID(1))
		s.approve(t, first)
		forged := s.payment(cpf(2), "bia@exemplo.com.br", courseID(1))
		forged.Referencia.ID = first.Referencia.ID
		err := s.deliver(t.Context(), "academics.pagamentos", events.TypePagamentoProcessado, forged, s.ids.New())
		if err == nil || fault.KindOf(err) != fault.Conflict {
			t.Errorf("got %v", err)
		}
		if n := s.count(t, "student"); n != 1 {
			t.Errorf("%d students, want 1", n)
		}
	})
}

// together runs the tasks at the same time and fails on the first error.
func together(t *testing.T, tasks ...func(context.Context) error) {
	t.Helper()
	ctx := wait(t)
	var wg sync.WaitGroup
	start := make(chan struct{})
	failed := make([]error, len(tasks))
	for i, task := range tasks {
		wg.Go(func() { <-start; failed[i] = task(ctx) })
	}
	close(start)
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentPaymentsOfANewPersonMakeOneStudent(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		const courses = 8
		var tasks []func(context.Context) error
		for n := range courses {
			p := s.payment(cpf(1), "ana@exemplo.com.br", courseID(n+1))
			eventID := s.ids.New()
			for range 2 { // and each delivered twice
				tasks = append(tasks, func(ctx context.Context) error {
					return s.deliver(ctx, "academics.pagamentos", events.TypePagamentoProcessado, p, eventID)
				})
			}
		}
		together(t, tasks...)
		all := s.published(t)
		confirmed := data[events.MatriculaConfirmada](t, all, events.TypeMatriculaConfirmada)
		if n := len(data[events.AlunoCriado](t, all, events.TypeAlunoCriado)); n != 1 || s.count(t, "student") != 1 {
			t.Errorf("AlunoCriado %d times, %d students", n, s.count(t, "student"))
		}
		if len(confirmed) != courses || s.count(t, "enrolment") != courses {
			t.Errorf("%d confirmations, %d enrolments, want %d", len(confirmed), s.count(t, "enrolment"), courses)
		}
		if types(all)[0] != "AlunoCriado" || !confirmed[0].AlunoNovo {
			t.Errorf("the student is not announced first: %v", types(all))
		}
	})
}

func TestConcurrentPaymentsAndRefundsOfOneCourse(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		var paying, mixed []func(context.Context) error
		for n := range 6 {
			p := s.payment(cpf(1), "ana@exemplo.com.br", courseID(1))
			approval, refund := s.ids.New(), s.ids.New()
			pay := func(ctx context.Context) error {
				return s.deliver(ctx, "academics.pagamentos", events.TypePagamentoProcessado, p, approval)
			}
			goBack := func(ctx context.Context) error {
				return s.deliver(ctx, "academics.estornos", events.TypePagamentoEstornado, refundOf(p), refund)
			}
			mixed = append(mixed, goBack)
			if n%2 == 0 {
				paying = append(paying, pay)
			} else {
				mixed = append(mixed, pay) // approval and refund race
			}
		}
		together(t, paying...)
		if n := s.count(t, "enrolment"); n != 1 {
			t.Fatalf("%d enrolments of one person in one course", n)
		}
		together(t, mixed...)
		if n := s.count(t, "enrolment WHERE state <> 'cancelada' OR paid <> 0"); n != 0 {
			t.Errorf("%d enrolments live though every payment went back", n)
		}
		if n := s.count(t, "student"); n != 1 {
			t.Errorf("%d students", n)
		}
		all := s.published(t)
		ended := data[events.MatriculaCancelada](t, all, events.TypeMatriculaCancelada)
		if n := s.count(t, "enrolment"); len(ended) < n {
			t.Errorf("%d cancellations of %d enrolments", len(ended), n)
		}
		if n := len(data[events.MatriculaConfirmada](t, all, events.TypeMatriculaConfirmada)); n != 6 {
			t.Errorf("%d confirmations of 6 payments", n)
		}
	})
}
