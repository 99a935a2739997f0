package marketing_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"trama/contracts/events"
)

const day = 24 * time.Hour

func TestRemindersAfterOneThreeAndSevenDays(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		id := s.register(t, "ana@exemplo.com.br", courseGo)
		for i, wait := range []struct {
			jump time.Duration
			want int
		}{{0, 0}, {day - time.Minute, 0}, {time.Minute, 1}, {0, 1}, {2*day - time.Minute, 1}, {time.Minute, 2}, {4 * day, 3}, {30 * day, 3}} {
			s.clock.Jump(wait.jump)
			s.pass(t)
			if n := len(s.reminders(t)); n != wait.want {
				t.Fatalf("step %d: %d reminders, want %d", i, n, wait.want)
			}
		}
		for i, r := range s.reminders(t) {
			limit, err := time.Parse(time.RFC3339, r.Limite)
			if r.LeadID != id || r.Passo != i+1 || r.Passos != 3 || r.Pessoa.Email != "ana@exemplo.com.br" || r.Pessoa.Nome != "Ana Souza" ||
				r.Curso == nil || r.Curso.Titulo != "Go para serviços" || r.Token == "" || err != nil || limit.Before(s.clock.Now().Add(-40*day)) {
				t.Errorf("reminder %d: %+v", i+1, r)
			}
		}
	})
}

func TestTheLoopSleepsUntilTheNextReminder(t *testing.T) {
	s := newService(t, openSQLite(t), 10*time.Second, time.Hour)
	if pause := s.pass(t); pause != 10*time.Second {
		t.Errorf("without leads it sleeps %v; a lead of another process may be due after 10s", pause)
	}
	s.register(t, "ana@exemplo.com.br", "")
	s.clock.Jump(7 * time.Second)
	if pause := s.pass(t); pause > 3*time.Second || pause < 2*time.Second {
		t.Errorf("3s before the reminder it sleeps %v", pause)
	}
	s.clock.Jump(4 * time.Second)
	if pause := s.pass(t); pause != 10*time.Second || len(s.reminders(t)) != 1 {
		t.Errorf("after %d reminders it sleeps %v", len(s.reminders(t)), pause)
	}
}

// In a synctest bubble the clock of the machine jumps whenever everybody sleeps:
// seven days take no time, and nothing but sleeping makes them pass.
func TestThreeInstancesGiveEachReminderOnce(t *testing.T) {
	for name, plan := range map[string][]time.Duration{"days": {day, 3 * day, 7 * day}, "seconds": {2 * time.Second, 5 * time.Second, 9 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, openSQLite(t), plan...)
				s.clock.real = true
				ids := []string{s.register(t, "ana@exemplo.com.br", courseGo), s.register(t, "bia@exemplo.com.br", "")}
				ctx, cancel := context.WithCancel(t.Context())
				var loops sync.WaitGroup
				for range 3 {
					loops.Go(func() {
						if err := s.loop(ctx); err != nil {
							t.Error(err)
						}
					})
				}
				start := time.Now()
				for i, after := range plan {
					time.Sleep(time.Until(start.Add(after - 100*time.Millisecond)))
					synctest.Wait()
					want(t, "reminders before their time", len(s.reminders(t)), i*len(ids))
					time.Sleep(time.Until(start.Add(after + 100*time.Millisecond)))
					synctest.Wait()
					want(t, "reminders at their time", len(s.reminders(t)), (i+1)*len(ids))
				}
				cancel()
				loops.Wait()
				for _, id := range ids {
					var steps []int
					for _, r := range s.reminders(t) {
						if r.LeadID == id {
							steps = append(steps, r.Passo)
						}
					}
					want(t, "steps", steps, []int{1, 2, 3})
				}
				if err := s.close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestATitleThatAcademicsCouldNotTellIsAskedForAgain(t *testing.T) {
	s := newService(t, openSQLite(t))
	s.academics.down = true
	s.register(t, "ana@exemplo.com.br", courseGo)
	s.clock.Jump(day)
	s.pass(t)
	s.academics.down = false
	s.clock.Jump(3 * day)
	s.pass(t)
	got := s.reminders(t)
	if len(got) != 2 || got[0].Curso != nil || got[1].Curso == nil || got[1].Curso.Titulo != "Go para serviços" {
		t.Errorf("%+v", got)
	}
}

func TestEnrolmentEndsTheReminders(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		mine, school := s.register(t, "ana@exemplo.com.br", courseGo), s.register(t, "ana@exemplo.com.br", "")
		contact := s.register(t, "ana.antiga@exemplo.com.br", courseGo)
		other := s.register(t, "bia@exemplo.com.br", courseGo)
		e := confirmed(s.ids.New(), courseGo, "Ana.Antiga@exemplo.com.br", "ANA@exemplo.com.br")
		for range 3 {
			if err := s.handler(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		for id, state := range map[string]string{mine: "matriculado", school: "matriculado", contact: "matriculado", other: "ativo"} {
			want(t, "state", s.state(t, id), state)
		}
		s.clock.Jump(8 * day)
		s.pass(t)
		if got := s.reminders(t); len(got) != 1 || got[0].LeadID != other {
			t.Errorf("%+v", got)
		}
	})
}

func TestWhoIsEnrolledAlreadyIsNotReminded(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		if err := s.handler(t.Context(), confirmed(s.ids.New(), courseGo, "ana@exemplo.com.br", "")); err != nil {
			t.Fatal(err)
		}
		want(t, "same course", s.state(t, s.register(t, "ana@exemplo.com.br", courseGo)), "matriculado")
		want(t, "the school", s.state(t, s.register(t, "ana@exemplo.com.br", "")), "matriculado")
		want(t, "somebody else", s.state(t, s.register(t, "bia@exemplo.com.br", courseGo)), "ativo")
		s.clock.Jump(2 * day)
		s.pass(t)
		want(t, "reminders", len(s.reminders(t)), 1)
	})
}

func TestAnEventThatCannotBeReadIsMalformed(t *testing.T) {
	s := newService(t, openSQLite(t))
	e := confirmed("e", courseGo, "ana@exemplo.com.br", "")
	e.Data = json.RawMessage(`{"pessoa": 7}`)
	if err := s.handler(t.Context(), e); err == nil || !strings.Contains(err.Error(), "evento-ilegivel") {
		t.Errorf("%v", err)
	}
}

const unsubscribe = "/v1/marketing/descadastro?token="

func TestOneClickUnsubscribes(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		one, two := s.register(t, "ana@exemplo.com.br", courseGo), s.register(t, "ana@exemplo.com.br", "")
		other := s.register(t, "bia@exemplo.com.br", courseGo)
		s.clock.Jump(day)
		s.pass(t)
		all := s.reminders(t)
		token := all[slices.IndexFunc(all, func(r events.LembreteDevido) bool { return r.LeadID == one })].Token
		click := s.send("POST", unsubscribe+token, "List-Unsubscribe=One-Click", "Content-Type: application/x-www-form-urlencoded")
		want(t, "click", click.status, http.StatusOK)
		want(t, "descadastrado", click.field(t, "descadastrado"), true)
		want(t, "masked", click.field(t, "email"), "a**@exemplo.com.br")
		s.clock.Jump(time.Hour)
		for _, method := range []string{"POST", "GET"} {
			want(t, method+" again", s.send(method, unsubscribe+token, "").text, click.text)
		}
		for id, state := range map[string]string{one: "descadastrado", two: "descadastrado", other: "ativo"} {
			want(t, "state", s.state(t, id), state)
		}
		want(t, "events", len(s.published(t, events.TypeLeadDescadastrado)), 2)
		s.clock.Jump(8 * day)
		s.pass(t)
		want(t, "reminders", len(s.reminders(t)), 3+1)
	})
}

func TestAFalseTokenIsNotFound(t *testing.T) {
	s := newService(t, openSQLite(t))
	id := s.register(t, "ana@exemplo.com.br", courseGo)
	s.clock.Jump(day)
	s.pass(t)
	token := s.reminders(t)[0].Token
	forged := "A" + token[1:]
	if forged == token {
		forged = "B" + token[1:]
	}
	for _, bad := range []string{"x", forged, token + "x", strings.Repeat("a", 1000), "%3Cscript%3E"} {
		want(t, bad, s.send("POST", unsubscribe+bad, "").status, http.StatusNotFound)
		want(t, bad, s.send("GET", unsubscribe+bad, "").status, http.StatusNotFound)
	}
	want(t, "no token", s.send("GET", "/v1/marketing/descadastro", "").status, http.StatusUnprocessableEntity)
	want(t, "state", s.state(t, id), "ativo")
	want(t, "erase", s.send("DELETE", leads+"/"+id, "", staff).status, http.StatusNoContent)
	want(t, "token of the erased", s.send("GET", unsubscribe+token, "").status, http.StatusNotFound)
}

func TestARepetitionDoesNotUndoAnUnsubscription(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		id := s.register(t, "ana@exemplo.com.br", courseGo)
		s.clock.Jump(day)
		s.pass(t)
		want(t, "click", s.send("POST", unsubscribe+s.reminders(t)[0].Token, "").status, http.StatusOK)
		want(t, "repetition", s.send("POST", leads, newLead("ana@exemplo.com.br", courseGo)).status, http.StatusOK)
		want(t, "state", s.state(t, id), "descadastrado")
		s.clock.Jump(8 * day)
		s.pass(t)
		want(t, "reminders", len(s.reminders(t)), 1)
		fresh := s.register(t, "ana@exemplo.com.br", "") // another interest, another consent
		want(t, "state of a new interest", s.state(t, fresh), "ativo")
	})
}

func TestExpiredKeysAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, openSQLite(t))
		s.clock.real = true
		want(t, "status", s.send("POST", leads, newLead("ana@exemplo.com.br", ""), "Idempotency-Key: k").status, http.StatusCreated)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.purge(ctx) }()
		time.Sleep(23*time.Hour + time.Minute)
		synctest.Wait()
		want(t, "keys after 23 hours", s.keys(t), 1)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		want(t, "keys after 25 hours", s.keys(t), 0)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
}
