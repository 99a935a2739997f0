package gate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trama/contracts/events"
	"trama/contracts/events/internal/gate"
)

const released = "../../released"

// TestNothingReleasedBreaks is the gate: every schema of the last release against
// its present form.
func TestNothingReleasedBreaks(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(released, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no released schemas: %v", err)
	}
	for _, file := range files {
		old, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		eventType := strings.TrimSuffix(filepath.Base(file), ".json")
		present, ok := events.Schema(eventType)
		if eventType == "envelope" {
			present, ok = events.EnvelopeSchema(), true
		}
		if !ok {
			t.Errorf("%s was released and is gone", eventType)
			continue
		}
		breaks, err := gate.Breaks(old, present)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range breaks {
			t.Errorf("%s: %s: publish a new version beside it instead", eventType, b)
		}
	}
}

// TestTheGateSeesBreaks breaks a copy of a real schema in every way there is.
func TestTheGateSeesBreaks(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(released, events.TypePagamentoProcessado+".json"))
	if err != nil {
		t.Fatal(err)
	}
	whole := strings.Join(strings.Fields(string(text)), " ")
	cases := []struct{ name, old, new, want string }{
		{"same", "", "", ""},
		{"words for people", `The money is approved.`, `Money!`, ""},
		{"optional property", `"aprovadoEm": {`, `"extra": { "type": "string" }, "aprovadoEm": {`, ""},
		{"removed", `"aprovadoEm": {`, `"aprovadoAs": {`, "/aprovadoEm was removed"},
		{"removed below", `"moeda": {`, `"unidade": {`, "/valor/moeda was removed"},
		{"newly required", `"required": [ "nome", "email", "cpf" ]`, `"required": [ "nome", "email", "cpf", "telefone" ]`, "/aluno/telefone is newly required"},
		{"no longer required", `"required": [ "nome", "email", "cpf" ]`, `"required": [ "nome", "email" ]`, "/aluno/cpf was required, is not"},
		{"type", `"titulo": { "type": "string" }`, `"titulo": { "type": "integer" }`, "/curso/titulo type was string, is integer"},
		{"format", `"aprovadoEm": { "type": "string", "format": "date-time" }`, `"aprovadoEm": { "type": "string", "format": "date" }`, "/aprovadoEm format was date-time, is date"},
		{"values", `"cartao", "pix", "boleto"`, `"cartao", "pix"`, "/metodo enum was"},
		{"pattern", `^[0-9]{11}$`, `^[0-9]{14}$`, "/aluno/cpf pattern was"},
		{"closed", `"title": "PagamentoProcessado",`, `"additionalProperties": false,`, "/ additionalProperties was absent, is false"},
		{"structure", `"$ref": "#/$defs/Curso"`, `"type": "string"`, "/curso type was object, is string"},
	}
	for _, c := range cases {
		changed := strings.Replace(whole, c.old, c.new, 1)
		if c.old != "" && changed == whole {
			t.Errorf("%s: the schema does not contain %q", c.name, c.old)
			continue
		}
		breaks, err := gate.Breaks([]byte(whole), []byte(changed))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := strings.Join(breaks, "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if _, err := gate.Breaks([]byte(whole), []byte(strings.Replace(whole, `"#/$defs/Curso"`, `"#/$defs/Nada"`, 1))); err == nil {
		t.Error("a reference that leads nowhere passed")
	}
}
