package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
)

const (
	eventPage  = `{"itens": [{"posicao": "41", "evento": ` + eventOne + `}], "proximo": "41"}`
	subsAnswer = `{"itens": [{"nome": "payments.analise", "servico": "payments", "tipos": ["t"], "naFila": 3, "aguardando": 1, "atras": 2, "mortas": 1,
		"maisAntiga": "2026-11-20T14:03:07Z", "proximaTentativa": "2026-11-20T14:05:00Z", "parada": true, "reconstruivel": false},
		{"nome": "insights.alunos", "servico": "insights", "tipos": ["t"], "aguardando": 0, "atras": 0, "mortas": 0, "parada": false, "reconstruivel": true}]}`
	tasksAnswer = `{"itens": [{"nome": "payments.expiry", "servico": "payments", "sobre": "Vence pix", "agenda": "a cada 30s", "proxima": "2026-11-20T14:03:30Z",
		"ultimoInicio": "2026-11-20T14:03:00Z", "duracaoMs": 2.5, "resultado": "ok", "nota": "0 vencidos", "execucoes": 120, "falhas": 0},
		{"nome": "payments.nova", "servico": "payments", "sobre": "x", "agenda": "0 3 * * *", "resultado": "nunca", "execucoes": 0, "falhas": 0},
		{"nome": "payments.ruim", "servico": "payments", "sobre": "x", "agenda": "a cada 1h", "resultado": "falhou", "execucoes": 3, "falhas": 3, "erro": "store\u001b[1m down"}]}`
)

func TestEventsTailOnce(t *testing.T) {
	f := newFake(t, map[string][]string{"GET eventos": {eventPage}})
	golden(t, "testdata/out/events-tail.golden", f.works(t, "events", "tail", "--once", "--type", "a", "--type", "b", "--subject", "p-1"))
	if got := f.asked(); len(got) != 1 || got[0] != "GET eventos?assunto=p-1&limite=100&tipo=a&tipo=b" {
		t.Errorf("asked %q", got)
	}
	out := f.works(t, "events", "tail", "--once", "--json", "--since", "2026-11-20T14:00:00Z")
	if !strings.Contains(out, `"data":{"valor":12.30}`) || strings.Count(out, "\n") != 1 || !strings.Contains(f.asked()[0], "desde=2026-11-20T14%3A00%3A00Z") {
		t.Errorf("as JSON: %q", out)
	}
	full := `{"itens": [` + strings.Repeat(`{"posicao": "1", "evento": `+eventOne+`}, `, 99) + `{"posicao": "100", "evento": ` + eventOne + `}], "proximo": "100"}`
	f.answers["GET eventos"] = []string{full, `{"itens": [], "proximo": "100"}`}
	if out := f.works(t, "events", "tail", "--once"); strings.Count(out, "\n") != 100 {
		t.Errorf("two pages: %d lines", strings.Count(out, "\n"))
	}
	if got := f.asked(); len(got) != 2 || !strings.Contains(got[1], "cursor=100") {
		t.Errorf("asked %q", got)
	}
}

// Ctrl-C is how one stops following the log, also while a request waits.
func TestEventsTailEndsWithCtrlC(t *testing.T) {
	elsewhere(t)
	waiting := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") == "" {
			_, _ = w.Write([]byte(eventPage))
			return
		}
		close(waiting)
		<-r.Context().Done()
	}))
	defer web.Close()
	p := launch(t, "events", "tail", "--api", web.URL, "--token", "x")
	p.says(letterID)
	<-waiting
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-p.done
	if p.result != nil || p.err.String() != "" {
		t.Errorf("%v %q", p.result, p.err)
	}
}

func TestEventsShowAndReplay(t *testing.T) {
	f := newFake(t, map[string][]string{
		"GET eventos/" + letterID: {`{"posicao": "41", "evento": ` + eventOne + `}`},
		"POST assinaturas/insights.alunos/reprocessamentos": {
			`{"id": "r1", "assinatura": "insights.alunos", "entregues": 1000, "cursor": "1000", "fim": false}`,
			`{"id": "r1", "assinatura": "insights.alunos", "entregues": 7, "cursor": "1007", "fim": true}`},
		"POST assinaturas/a.b/reprocessamentos": {`{"id": "r2", "assinatura": "a.b", "entregues": 1000, "cursor": "1000", "fim": false}`,
			`503 {"title": "x", "detail": "Busy.", "status": 503, "traceId": "t"}`},
	})
	golden(t, "testdata/out/events-show.golden", f.works(t, "events", "show", letterID))
	f.asked()
	status, out, errout := f.call("events", "replay", "--to", "insights.alunos", "--from", "2026-01-01T00:00:00Z", "--rebuild")
	if status != 0 || errout != "1000 events\n" || !strings.HasPrefix(out, "1007 events handed over to insights.alunos;") {
		t.Errorf("%d %q %q", status, out, errout)
	}
	want := []string{
		`POST assinaturas/insights.alunos/reprocessamentos {"desde":"2026-01-01T00:00:00Z","limite":1000,"reconstruir":true}`,
		`POST assinaturas/insights.alunos/reprocessamentos {"cursor":"1000","desde":"2026-01-01T00:00:00Z","id":"r1","limite":1000,"reconstruir":true}`,
	}
	if got := f.asked(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("asked %q", got)
	}
	status, out, errout = f.call("events", "replay", "--to", "a.b", "--from", "3d")
	if status != 1 || out != "" || errout != "1000 events\ntrama: 1000 events were handed over before it broke off; run it again\ntrama: Busy (503, trace t)\n" {
		t.Errorf("broken off: %d %q %q", status, out, errout)
	}
}

func TestSubscriptionsTasksAndTraces(t *testing.T) {
	f := newFake(t, map[string][]string{
		"GET assinaturas": {subsAnswer}, "GET tarefas": {tasksAnswer}, "POST tarefas/payments.expiry/execucoes": {"202 "},
		"GET rastros/4bf92f3577b34da6a3ce929d0e0e4736": {`{"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "trechos": []}`},
	})
	golden(t, "testdata/out/subscriptions.golden", f.works(t, "subscriptions"))
	golden(t, "testdata/out/tasks.golden", f.works(t, "tasks"))
	if out := f.works(t, "tasks", "run", "payments.expiry"); out != "asked for; trama tasks shows the result\n" {
		t.Errorf("%q", out)
	}
	f.works(t, "trace", "4bf92f3577b34da6a3ce929d0e0e4736")
	if status, _, errout := f.call("trace", "ff"); status != 1 || errout != "trama: There is nothing here (404, trace ab)\n" {
		t.Errorf("%d %q", status, errout)
	}
}
