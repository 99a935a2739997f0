package rest_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"trama/contracts/rest/operacao"
	"trama/platform/bus"
	"trama/platform/parking"
)

func (r *rig) export(query string) (lines []string, err error) {
	r.t.Helper()
	answer := r.do("GET", letters+"/exportacao"+query, nil)
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "application/x-ndjson" {
		r.t.Fatalf("%d %s", answer.StatusCode, answer.Header.Get("Content-Type"))
	}
	text, err := io.ReadAll(answer.Body)
	for line := range strings.Lines(string(text)) {
		lines = append(lines, line)
	}
	return lines, err
}

// brokenExport gives what comes before the connection breaks.
func (r *rig) brokenExport() (lines []string, err error) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), "GET", r.web.URL+"/v1/operacao/"+letters+"/exportacao", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(req)
	if err != nil { // before anything was sent
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	for line := range strings.Lines(string(text)) {
		lines = append(lines, line)
	}
	return lines, err
}

// An export is one letter a line, whatever the body is, and stands in the audit.
func TestExport(t *testing.T) {
	r := newRig(t)
	if lines, err := r.export(""); err != nil || len(lines) != 0 {
		t.Errorf("nothing to export: %v %v", lines, err)
	}
	r.dead("alfa.um", 1)
	r.dead("gama.um", 120) // more than a page
	bodies := map[string]string{"a": "no\njson", "b": "null", "c": "[1,\n2]", "d": "\xff\x00", "e": "{\"x\": {\n\"y\": 1}}"}
	for id, body := range bodies {
		r.park("beta", "beta.um", bus.Letter{ID: id, Subject: id, Body: []byte(body)})
	}
	lines, err := r.export("?falha=invalid")
	if err != nil || len(lines) != 121+len(bodies) {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	for _, line := range lines {
		var l operacao.MensagemMortaCompleta
		if err := l.UnmarshalJSON([]byte(line)); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		body, isText := bodies[l.Mensagem.ID]
		switch {
		case l.Mensagem.ID == "e":
			if string(l.Evento.Value["x"]) != `{"y":1}` {
				t.Errorf("an object: %s", line)
			}
		case isText && (l.Evento.Set || l.Texto.Value != strings.ToValidUTF8(body, "\uFFFD")):
			t.Errorf("%q is %q", body, l.Texto.Value)
		case !isText && (l.Texto.Set || len(l.Evento.Value) == 0 || len(l.Historico) != 1):
			t.Errorf("an event: %s", line)
		}
	}
	acts, _, err := r.lots["alfa"].Audit(t.Context(), parking.Filter{}, "", 10)
	if err != nil || len(acts) != 2 || acts[1].Act != parking.ActExport || acts[1].Who != "operador" || acts[1].Detail != "kind=invalid, state=dead" {
		t.Errorf("the audit is %+v, %v", acts, err)
	}
}

// An export that fails half-way must not look whole; one that fails at once is a
// problem like another.
func TestExportThatFails(t *testing.T) {
	r := newRig(t)
	r.dead("alfa.um", 60)
	for _, good := range []int64{1, 50} {
		r.letters.Store(good)
		lines, err := r.brokenExport()
		if err == nil {
			t.Errorf("after %d letters the answer ends as if it were whole, with %d lines", good, len(lines))
		}
		for _, l := range lines {
			if strings.Contains(l, `"status":5`) {
				t.Errorf("a problem stands in the middle of the lines: %s", l)
			}
		}
	}
	r.letters.Store(0)
	r.refused(504, "tempo-esgotado", "GET", letters+"/exportacao", nil)
}

// A caller who leaves ends the export.
func TestExportIsLeft(t *testing.T) {
	r := newRig(t)
	r.dead("alfa.um", 300)
	answer := r.do("GET", letters+"/exportacao", nil)
	if _, err := bufio.NewReader(answer.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	r.web.Close() // waits for the handlers
}
