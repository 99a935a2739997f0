package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/id"
	"trama/tests/harness"

	"crypto/rand"
)

// received makes an event that says that a payment was received.
func received(subject, data string) bus.Event {
	return bus.Event{
		SpecVersion: "1.0", ID: id.New(clock.System{}, rand.Reader).New(), Source: "/teste", Type: events.TypePagamentoRecebido, Subject: subject,
		Time: time.Now().UTC(), DataContentType: "application/json", Data: json.RawMessage(data),
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
}

type parked struct {
	Assinatura, ID, Assunto, Situacao, Falha, Codigo, Erro, TraceID, EstacionadaPor string
	Tentativas, Atras                                                               int
}

func (w *world) parked(t *testing.T, query string) []parked {
	t.Helper()
	var page struct{ Itens []parked }
	w.Must(t, 200, &page, "GET", "/v1/operacao/mensagens-mortas"+query, nil, w.Bearer()...)
	return page.Itens
}

// awaitParked waits for a letter of a subject in a state.
func (w *world) awaitParked(t *testing.T, subject, state string) parked {
	t.Helper()
	var found []parked
	harness.Eventually(t, patience, "letter of "+subject, func() bool {
		found = w.parked(t, "?situacao="+state+"&assunto="+subject)
		return len(found) > 0
	})
	return found[0]
}

// An event that cannot be handled is seen, corrected, retried and dropped, over the
// API and by commands, while everything else goes on.
func deadLetters(t *testing.T, w *world) {
	ids := id.New(clock.System{}, rand.Reader)
	subject := ids.New()
	poison := received(subject, `{"pagamentoId": 5}`) // no id: it cannot be read
	next := received(subject, fmt.Sprintf(`{"pagamentoId": %q}`, ids.New()))
	w.Publish(t, poison, next)

	l := w.awaitParked(t, subject, "morta")
	if l.ID != poison.ID || l.Assinatura != "payments.analise" || l.Falha != "malformed" || l.Tentativas != 1 || l.EstacionadaPor == "" ||
		l.TraceID != "0af7651916cd43dd8448eb211c80319c" || l.Erro == "" {
		t.Errorf("the dead letter is %+v", l)
	}
	if behind := w.awaitParked(t, subject, "atras"); behind.ID != next.ID {
		t.Errorf("behind it is %+v, want the next event of the subject", behind)
	}
	payOne(t, w) // others flow

	if out := w.MustCommand(t, "deadletter", "list", "--subject", subject); !strings.Contains(out, poison.ID) {
		t.Errorf("trama deadletter list does not show it:\n%s", out)
	}
	if out := w.MustCommand(t, "deadletter", "causes"); !strings.Contains(out, "evento-ilegivel") {
		t.Errorf("trama deadletter causes does not show its cause:\n%s", out)
	}
	out := w.MustCommand(t, "deadletter", "show", "payments.analise", poison.ID)
	for _, part := range []string{"try 1", "malformed", subject, `"pagamentoId": 5`, "1 behind it"} {
		if !strings.Contains(out, part) {
			t.Errorf("trama deadletter show has no %q:\n%s", part, out)
		}
	}
	// Tried again as it is, it dies again, with one more try in its history.
	w.MustCommand(t, "deadletter", "retry", "payments.analise", poison.ID)
	harness.Eventually(t, patience, "a second try", func() bool {
		out := w.MustCommand(t, "deadletter", "show", "payments.analise", poison.ID)
		return strings.Contains(out, "try 2") && strings.Contains(out, "dead")
	})
	edit(t, w, poison, next)
	w.awaitParked(t, subject, "morta") // the payment does not exist: the next one is dead now, too
	dropAndExport(t, w, subject)

	// From elsewhere, by address and token.
	audit := w.MustCommand(t, "--data", t.TempDir(), "deadletter", "audit", "--subscription", "payments.analise", "--api", w.URL, "--token", w.Token)
	for _, act := range []string{"nova-tentativa", "edicao", "descarte", "exportacao"} {
		if !strings.Contains(audit, act) {
			t.Errorf("the audit has no %s:\n%s", act, audit)
		}
	}
}

// edit corrects the poison event so that it says what the next one says: it then
// fails as that one does, and is dropped.
func edit(t *testing.T, w *world, poison, next bus.Event) {
	t.Helper()
	corrected := poison
	corrected.Data = next.Data
	text, err := json.Marshal(corrected)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "evento.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the same edit twice is one
		w.MustCommand(t, "deadletter", "edit", "payments.analise", poison.ID, "--file", file, "--reason", "teste")
	}
	harness.Eventually(t, patience, "the corrected event to fail otherwise", func() bool {
		return strings.Contains(w.MustCommand(t, "deadletter", "show", "payments.analise", poison.ID), "not_found")
	})
	other := received(poison.Subject, `{"pagamentoId": "x"}`)
	text, _ = json.Marshal(other)
	var raw map[string]json.RawMessage
	_ = json.Unmarshal(text, &raw)
	w.Must(t, 422, nil, "POST", "/v1/operacao/mensagens-mortas/payments.analise/"+poison.ID+"/correcoes",
		map[string]any{"evento": raw}, w.Bearer()...) // another event may not take its place
	if out, err := w.Command(t, "deadletter", "drop", "payments.analise", poison.ID); err == nil {
		t.Errorf("dropped without a reason:\n%s", out)
	}
	w.MustCommand(t, "deadletter", "drop", "payments.analise", poison.ID, "--reason", "teste")
}

func dropAndExport(t *testing.T, w *world, subject string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mortas.ndjson")
	w.MustCommand(t, "deadletter", "export", "--subscription", "payments.analise", "--subject", subject, "-o", file)
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), subject) {
		t.Errorf("exported %q, %v; want one line", text, err)
	}
	w.MustCommand(t, "deadletter", "drop", "--subject", subject, "--reason", "teste")
	harness.Eventually(t, patience, "nothing of the subject to be parked", func() bool {
		return len(w.parked(t, "?situacao=todas&assunto="+subject)) == 0
	})
}

// The event log tells what happened and can be handed to a subscription again
// without a second effect.
func eventLog(t *testing.T, w *world) {
	p := payOne(t, w)
	out := w.MustCommand(t, "events", "tail", "--once", "--since", "10m", "--subject", p.ID)
	if !strings.Contains(out, "PagamentoRecebido") || !strings.Contains(out, "PagamentoProcessado") {
		t.Errorf("the log of the payment is:\n%s", out)
	}
	fields := strings.Fields(out)
	i := slices.IndexFunc(fields, func(f string) bool { return len(f) == 36 && f != p.ID })
	if i < 0 {
		t.Fatal("no event id")
	}
	if out := w.MustCommand(t, "events", "show", fields[i]); !strings.Contains(out, p.ID) {
		t.Errorf("trama events show:\n%s", out)
	}
	if out, err := w.Command(t, "events", "show", "01980a52-0000-7000-8000-000000000000"); err == nil {
		t.Errorf("an event that is not there was shown:\n%s", out)
	}
	if out := w.MustCommand(t, "events", "replay", "--to", "academics.pagamentos", "--from", "1h"); !strings.Contains(out, "events handed over") {
		t.Errorf("trama events replay:\n%s", out)
	}
	if out, err := w.Command(t, "events", "replay", "--to", "academics.pagamentos", "--from", "1h", "--rebuild"); err == nil {
		t.Errorf("a subscription with effects was rebuilt:\n%s", out)
	}
	harness.Eventually(t, patience, "the replay to be handled", func() bool {
		return len(w.parked(t, "?situacao=todas&assinatura=academics.pagamentos")) == 0
	})
	var enrolments struct{ Itens []any }
	w.Must(t, 200, &enrolments, "GET", "/v1/academico/alunos/"+p.Matricula.AlunoID+"/matriculas", nil, w.Bearer()...)
	if len(enrolments.Itens) != 1 {
		t.Errorf("after the replay there are %d enrolments", len(enrolments.Itens))
	}
}

// Tasks show what they did and run when asked.
func tasks(t *testing.T, w *world) {
	const name = "payments.idempotency"
	runs := func() int {
		var list struct {
			Itens []struct {
				Nome, Resultado string
				Execucoes       int
			}
		}
		w.Must(t, 200, &list, "GET", "/v1/operacao/tarefas", nil, w.Bearer()...)
		for _, task := range list.Itens {
			if task.Nome == name && task.Resultado == "ok" {
				return task.Execucoes
			}
		}
		return -1
	}
	var before int
	harness.Eventually(t, patience, "the task to be known", func() bool {
		out := w.MustCommand(t, "tasks")
		before = max(runs(), 0)
		return strings.Contains(out, name) && strings.Contains(out, "marketing.")
	})
	w.MustCommand(t, "tasks", "run", name)
	harness.Eventually(t, patience, "the task to run", func() bool { return runs() > before })
	if out, err := w.Command(t, "tasks", "run", "payments.nada"); err == nil || !strings.Contains(out, "no task") {
		t.Errorf("an unknown task: %v\n%s", err, out)
	}
}

// One trace goes from the request through the bus to the welcome mail.
func trace(t *testing.T, w *world) {
	person := w.next()
	answer := w.Must(t, 202, nil, "POST", "/v1/financeiro/pagamentos", harness.CardPayment(person, w.courses[0].ID, harness.Card(w.card())),
		"traceparent", "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	w.AwaitPayment(t, answer.Header.Get("Location"), patience, harness.Enrolled)
	var out string
	harness.Eventually(t, patience, "the whole trace", func() bool {
		out, _ = w.Command(t, "trace", "1af7651916cd43dd8448eb211c80319c")
		for _, part := range []string{"POST /v1/financeiro/pagamentos", "payments.analise", "academics.pagamentos", "identity.alunos", "notifications.boas-vindas"} {
			if !strings.Contains(out, part) {
				return false
			}
		}
		return true
	})
	t.Logf("\n%s", out)
}

// payOne enrols somebody and gives the payment.
func payOne(t *testing.T, w *world) harness.Payment {
	t.Helper()
	answer := w.Must(t, 202, nil, "POST", "/v1/financeiro/pagamentos", harness.CardPayment(w.next(), w.courses[0].ID, harness.Card(w.card())))
	return w.AwaitPayment(t, answer.Header.Get("Location"), patience, harness.Enrolled)
}

// card gives a number that no other payment of the run uses.
func (w *world) card() int {
	w.cards++
	return w.cards
}
