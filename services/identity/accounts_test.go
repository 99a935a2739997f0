package identity_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/fault"
)

func TestNewStudentGetsAnAccount(t *testing.T) {
	engines(t, func(t *testing.T, o *office) {
		p := o.student("Ana@Exemplo.com.br")
		if err := o.deliver(t.Context(), p, o.ids.New()); err != nil {
			t.Fatal(err)
		}
		got := o.created(t)
		want := events.ContaCriada{AlunoID: p.AlunoID, Pessoa: events.Pessoa{Nome: "Ana Souza", Email: "ana@exemplo.com.br"}, Curso: p.Curso, Nova: true}
		if len(got) != 1 || got[0].ContaID == "" {
			t.Fatalf("published %+v", got)
		}
		want.ContaID = got[0].ContaID
		if got[0] != want {
			t.Errorf("published %+v\nwant %+v", got[0], want)
		}
	})
}

func TestOneAddressIsOneAccount(t *testing.T) {
	engines(t, func(t *testing.T, o *office) {
		first := o.open(t, "familia@exemplo.com.br")
		second := o.student("FAMILIA@exemplo.com.br")
		second.Pessoa.Nome = "Bia Souza"
		if err := o.deliver(t.Context(), second, o.ids.New()); err != nil {
			t.Fatal(err)
		}
		got := o.created(t)[1]
		if got.ContaID != first || got.Nova || got.AlunoID != second.AlunoID || got.Pessoa.Nome != "Bia Souza" {
			t.Errorf("second student: %+v", got)
		}
		if o.count(t, "account") != 1 || o.count(t, "account_student") != 2 {
			t.Errorf("%d accounts, %d links", o.count(t, "account"), o.count(t, "account_student"))
		}
	})
}

func TestRepeatedEventsHaveOneEffect(t *testing.T) {
	engines(t, func(t *testing.T, o *office) {
		p, eventID := o.student("ana@exemplo.com.br"), o.ids.New()
		for range 3 {
			if err := o.deliver(t.Context(), p, eventID); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.deliver(t.Context(), p, o.ids.New()); err != nil { // told again in another event
			t.Fatal(err)
		}
		if n := len(o.created(t)); n != 1 || o.count(t, "account") != 1 {
			t.Errorf("%d events, %d accounts, want one of each", n, o.count(t, "account"))
		}
	})
}

func TestConcurrentStudentsOfOneAddress(t *testing.T) {
	engines(t, func(t *testing.T, o *office) {
		const n = 8
		var wg sync.WaitGroup
		failed := make([]error, 2*n)
		ctx := wait(t)
		for i := range n {
			p, eventID := o.student("familia@exemplo.com.br"), o.ids.New()
			for twice := range 2 {
				wg.Go(func() { failed[2*i+twice] = o.deliver(ctx, p, eventID) })
			}
		}
		wg.Wait()
		if err := errors.Join(failed...); err != nil {
			t.Fatal(err)
		}
		fresh := 0
		for _, e := range o.created(t) {
			if e.Nova {
				fresh++
			}
		}
		if fresh != 1 || len(o.created(t)) != n || o.count(t, "account") != 1 || o.count(t, "account_student") != n {
			t.Errorf("%d new of %d events, %d accounts, %d links", fresh, len(o.created(t)), o.count(t, "account"), o.count(t, "account_student"))
		}
	})
}

func TestBrokenEventsAreRefusedForGood(t *testing.T) {
	engines(t, func(t *testing.T, o *office) {
		for name, c := range map[string]struct {
			edit func(*events.AlunoCriado)
			kind fault.Kind
		}{
			"student": {func(p *events.AlunoCriado) { p.AlunoID = "x" }, fault.Malformed},
			"address": {func(p *events.AlunoCriado) { p.Pessoa.Email = "a@b" }, fault.Invalid},
			"name":    {func(p *events.AlunoCriado) { p.Pessoa.Nome = "" }, fault.Invalid},
		} {
			p := o.student("ana@exemplo.com.br")
			c.edit(&p)
			if err := o.deliver(t.Context(), p, o.ids.New()); err == nil || fault.KindOf(err) != c.kind {
				t.Errorf("%s: %v, want %v", name, err, c.kind)
			}
		}
		err := o.students(context.Background(), bus.Event{ID: o.ids.New(), Data: json.RawMessage(`{"alunoId":1}`)})
		if err == nil || fault.KindOf(err) != fault.Malformed {
			t.Errorf("broken data: %v", err)
		}
		if n := o.count(t, "account") + o.count(t, "inbox"); n != 0 {
			t.Errorf("refused events left %d rows", n)
		}
	})
}
