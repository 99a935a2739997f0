package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	letterID = "01980a52-7c4f-7d3a-9b1e-5f2c8a6d4e01"
	deadOne  = `{"assinatura": "payments.analise", "id": "` + letterID + `", "assunto": "p-1", "tipo": "br.trama.financeiro.PagamentoRecebido.v1",
		"situacao": "morta", "tentativas": 8, "estacionadaEm": "2026-11-20T14:03:07Z", "estacionadaPor": "escola:4711", "traceId": "4bf92f",
		"falha": "internal", "codigo": "erro-interno", "erro": "panic: a \u001b[31mred\tand very long story that goes on and on until it is cut\nsecond line", "atras": 2}`
	waitingOne = `{"assinatura": "academics.pagamentos", "id": "a-very-long-identifier-of-what-was-no-event-0123456789-0123456789-0123456789", "assunto": "m",
		"tipo": "x", "situacao": "aguardando", "tentativas": 1, "estacionadaEm": "2026-11-20T01:00:00Z", "proximaTentativa": "2026-11-20T01:00:09Z",
		"falha": "unavailable", "codigo": "c", "erro": "down", "atras": 0}`
	behindOne = `{"assinatura": "payments.analise", "id": "b", "assunto": "p-1", "tipo": "br.trama.x.Y.v1", "situacao": "atras", "tentativas": 0,
		"estacionadaEm": "2026-11-20T14:03:07Z", "atras": 0}`
	eventOne = `{"specversion": "1.0", "id": "` + letterID + `", "source": "/financeiro", "type": "br.trama.financeiro.PagamentoRecebido.v1", "subject": "p-1",
		"time": "2026-11-20T14:03:05Z", "datacontenttype": "application/json", "data": {"valor": 12.30}}`
)

func TestDeadletterList(t *testing.T) {
	f := newFake(t, map[string][]string{"GET mensagens-mortas": {
		`{"itens": [` + deadOne + `, ` + waitingOne + `], "proximo": "c1"}`, `{"itens": [` + behindOne + `]}`,
	}})
	all := slices.Clone(f.answers["GET mensagens-mortas"])
	golden(t, "testdata/out/deadletter-list.golden", f.works(t, "deadletter", "list", "--subscription", "payments.analise", "--subject", "p-1", "--type", "t",
		"--kind", "k", "--code", "c", "--error", "e", "--since", "2026-11-20T14:00:00Z", "--state", "any", "--limit", "3"))
	want := "GET mensagens-mortas?assinatura=payments.analise&assunto=p-1&codigo=c&desde=2026-11-20T14%3A00%3A00Z&erro=e&falha=k&limite=3&situacao=todas&tipo=t"
	if got := f.asked(); len(got) != 2 || got[0] != want || !strings.Contains(got[1], "cursor=c1") || !strings.Contains(got[1], "limite=1&") {
		t.Errorf("asked %q", got)
	}
	f.answers["GET mensagens-mortas"] = slices.Clone(all)
	lines := strings.Split(strings.TrimSpace(f.works(t, "deadletter", "list", "--json")), "\n")
	for _, l := range lines {
		var x struct{ ID string }
		if err := json.Unmarshal([]byte(l), &x); err != nil || x.ID == "" {
			t.Errorf("%v: %s", err, l)
		}
	}
	if len(lines) != 3 || !strings.Contains(f.asked()[0], "situacao=morta") {
		t.Errorf("%d lines", len(lines))
	}
	f.answers["GET mensagens-mortas"] = []string{`{"itens": [], "semResposta": ["academics", "payments"]}`}
	status, out, errout := f.call("deadletter", "list")
	if status != 0 || out != "Nothing is parked.\n" || errout != "trama: no answer from academics, payments\n" {
		t.Errorf("nothing: %d %q %q", status, out, errout)
	}
	if _, out, _ := f.call("deadletter", "list", "--json"); out != "" {
		t.Errorf("nothing as JSON: %q", out)
	}
	f.answers["GET mensagens-mortas"] = []string{`{"itens": 1}`}
	if status, _, errout := f.call("deadletter", "list"); status != 1 || !strings.Contains(errout, "answered what cannot be read") {
		t.Errorf("nonsense: %d %q", status, errout)
	}
}

func TestDeadletterTables(t *testing.T) {
	f := newFake(t, map[string][]string{
		"GET mensagens-mortas/causas": {`{"itens": [{"assinatura": "payments.analise", "tipo": "br.trama.financeiro.PagamentoRecebido.v1", "falha": "internal",
			"codigo": "erro-interno", "erro": "panic: # and a long story that must not be cut since somebody will want to give it to --error as it stands here", "quantas": 12,
			"primeira": "2026-11-20T14:03:07Z", "ultima": "2026-11-20T15:00:00Z", "exemplo": "x"}]}`, `{"itens": []}`},
		"GET mensagens-mortas/payments.analise/" + letterID: {`{"mensagem": ` + deadOne + `, "evento": ` + eventOne + `, "historico": [
			{"em": "2026-11-20T14:03:06Z", "duracaoMs": 1.5, "falha": "internal", "codigo": "erro-interno", "erro": "panic: boom\u001b[2J"}]}`},
		"GET mensagens-mortas/payments.analise/texto": {`{"mensagem": ` + waitingOne + `, "texto": "no \u001b[31mjson", "historico": []}`},
		"GET mensagens-mortas/auditoria": {
			`{"itens": [{"id": "1", "em": "2026-11-20T15:03:07Z", "quem": "operador", "ato": "nova-tentativa", "assinatura": "payments.analise", "mensagem": "` + letterID + `"}], "proximo": "c"}`,
			`{"itens": [{"id": "2", "em": "2026-11-20T15:04:07Z", "quem": "operador", "ato": "exportacao", "assinatura": "", "detalhe": "everything"}]}`},
	})
	golden(t, "testdata/out/deadletter-causes.golden", f.works(t, "deadletter", "causes", "--since", "1d"))
	if out := f.works(t, "deadletter", "causes"); out != "There are no dead letters.\n" {
		t.Errorf("none: %q", out)
	}
	golden(t, "testdata/out/deadletter-show.golden", f.works(t, "deadletter", "show", "payments.analise", letterID))
	golden(t, "testdata/out/deadletter-show-text.golden", f.works(t, "deadletter", "show", "payments.analise", "texto"))
	golden(t, "testdata/out/deadletter-audit.golden", f.works(t, "deadletter", "audit", "--subscription", "payments.analise"))
	status, _, errout := f.call("deadletter", "show", "payments.analise", "a/../b?c")
	if asked := f.asked(); status != 1 || errout != "trama: There is nothing here (404, trace ab)\n" || !strings.Contains(asked[len(asked)-1], "a/../b?c") {
		t.Errorf("%d %q %v", status, errout, asked)
	}
}

func TestDeadletterActs(t *testing.T) {
	f := newFake(t, map[string][]string{
		"POST mensagens-mortas/novas-tentativas":                                 {`{"feitas": 200, "restantes": 50}`, `{"feitas": 50, "restantes": 0}`},
		"POST mensagens-mortas/descartes":                                        {`{"feitas": 200, "restantes": 50}`, `503 {"title": "x", "detail": "Down.", "status": 503}`},
		"POST mensagens-mortas/payments.analise/" + letterID + "/nova-tentativa": {`{"feitas": 1, "restantes": 0}`, `{"feitas": 0, "restantes": 0}`},
		"DELETE mensagens-mortas/payments.analise/" + letterID:                   {`204 `},
	})
	status, out, errout := f.call("deadletter", "retry", "--code", "c")
	if status != 0 || out != "retried 250\n" || errout != "retried 200, 50 left\n" {
		t.Errorf("a filter: %d %q %q", status, out, errout)
	}
	asked := f.asked()
	var bodies [2]map[string]any
	for i := range bodies {
		_, body, _ := strings.Cut(asked[i], "tentativas ")
		if err := json.Unmarshal([]byte(body), &bodies[i]); err != nil {
			t.Fatal(err)
		}
	}
	if b := bodies[0]; b["codigo"] != "c" || b["limite"] != 200.0 || b["iniciadoEm"] == nil || b["iniciadoEm"] != bodies[1]["iniciadoEm"] || len(b) != 3 {
		t.Errorf("asked %v", asked)
	}
	for _, want := range []string{"retried 1\n", "retried 0: it is due already, or waits behind another of its subject\n"} {
		if out := f.works(t, "deadletter", "retry", "payments.analise", letterID); out != want {
			t.Errorf("one: %q, want %q", out, want)
		}
	}
	if out := f.works(t, "deadletter", "drop", "payments.analise", letterID, "--reason", "a b"); out != "dropped 1\n" {
		t.Errorf("one: %q", out)
	}
	if asked := f.asked(); asked[2] != "DELETE mensagens-mortas/payments.analise/"+letterID+"?motivo=a+b" {
		t.Errorf("asked %q", asked)
	}
	status, out, errout = f.call("deadletter", "drop", "--all", "--reason", "x")
	if status != 1 || out != "" || errout != "dropped 200, 50 left\ntrama: dropped 200 before it broke off\ntrama: Down (503)\n" {
		t.Errorf("broken off: %d %q %q", status, out, errout)
	}
	if status, _, errout := f.call("deadletter", "retry", "payments.analise", "gone"); status != 1 || !strings.Contains(errout, "There is nothing here") {
		t.Errorf("a letter that is gone: %d %q", status, errout)
	}
}

func TestDeadletterEdit(t *testing.T) {
	dir := elsewhere(t)
	t.Setenv("TMPDIR", dir)
	path := "mensagens-mortas/payments.analise/" + letterID
	whole := `{"mensagem": ` + deadOne + `, "evento": ` + eventOne + `, "historico": []}`
	f := newFake(t, map[string][]string{"GET " + path: {whole}, "POST " + path + "/correcoes": {whole}})
	edit := func(more ...string) (int, string, string) {
		return f.call(append([]string{"deadletter", "edit", "payments.analise", letterID}, more...)...)
	}
	left := func() (names []string) {
		names, err := filepath.Glob(filepath.Join(dir, "trama-*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	t.Setenv("EDITOR", "")
	if status, _, errout := edit(); status != 1 || errout != "trama: $EDITOR is not set; give --file FILE\n" {
		t.Errorf("no editor: %d %q", status, errout)
	}
	t.Setenv("EDITOR", "sed -i -e s/12.30/45.60/")
	status, out, errout := edit("--reason", "valor")
	if status != 0 || out != "corrected; it is tried again now\n" || errout != "" || len(left()) != 0 {
		t.Errorf("edited: %d %q %q, left %v", status, out, errout, left())
	}
	asked := f.asked()
	_, body, _ := strings.Cut(asked[len(asked)-1], "correcoes ")
	var sent struct {
		Motivo string
		Evento struct {
			ID   string
			Data json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(body), &sent); err != nil || sent.Motivo != "valor" || sent.Evento.ID != letterID || string(sent.Evento.Data) != `{"valor":45.60}` {
		t.Errorf("sent %s, %v", body, err)
	}
	for editor, want := range map[string]string{
		"true":             "nothing was changed; use trama deadletter retry to try it as it is\n",
		"sh -c 'exit 3' #": ": exit status 3\n",
	} {
		t.Setenv("EDITOR", editor)
		if status, _, errout := edit(); status != 1 || !strings.HasSuffix(errout, want) || len(left()) != 0 {
			t.Errorf("%s: %d %q, left %v", editor, status, errout, left())
		}
	}
	t.Setenv("EDITOR", "sed -i 1d")
	status, _, errout = edit()
	if kept := left(); status != 1 || len(kept) != 1 || !strings.HasSuffix(errout, "; what you wrote is in "+kept[0]+", use it with --file\n") {
		t.Errorf("broken JSON: %d %q, left %v", status, errout, kept)
	}
	if err := os.WriteFile("e.json", []byte(eventOne), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if status, out, errout := edit("--file", "e.json"); status != 0 || out != "corrected; it is tried again now\n" {
			t.Errorf("a file: %d %q %q", status, out, errout)
		}
	}
	for content, want := range map[string]string{"null": "is no JSON object: it is null", "[]": "is no JSON object", "": "is no JSON object"} {
		if err := os.WriteFile("e.json", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, _, errout := edit("--file", "e.json"); status != 1 || !strings.Contains(errout, want) {
			t.Errorf("%q: %d %q", content, status, errout)
		}
	}
	if status, _, errout := edit("--file", "none.json"); status != 1 || !strings.Contains(errout, "none.json: no such file") {
		t.Errorf("no file: %d %q", status, errout)
	}
}

func TestDeadletterExport(t *testing.T) {
	dir := elsewhere(t)
	f := newFake(t, map[string][]string{"GET mensagens-mortas/exportacao": {"{\"a\": 1}\n{\"b\": 2}\n"}})
	if out := f.works(t, "deadletter", "export", "--state", "waiting"); out != "{\"a\": 1}\n{\"b\": 2}\n" {
		t.Errorf("to the standard output: %q", out)
	}
	file := filepath.Join(dir, "x.ndjson")
	if out := f.works(t, "deadletter", "export", "-o", file); out != "" {
		t.Errorf("said %q", out)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 18 {
		t.Errorf("the file is %v, %v", info, err)
	}
	if asked := f.asked(); asked[0] != "GET mensagens-mortas/exportacao?situacao=aguardando" {
		t.Errorf("asked %q", asked)
	}
	if status, _, errout := f.call("deadletter", "export", "-o", filepath.Join(dir, "none", "x")); status != 1 || !strings.Contains(errout, "no such file or directory") {
		t.Errorf("%d %q", status, errout)
	}
}
