package gates

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const contracts = "../../contracts/rest"

// breaking compares two documents with oasdiff; a text when something breaks.
func breaking(released, present string) (string, error) {
	out, err := exec.Command("go", "tool", "oasdiff", "breaking", "--fail-on", "ERR", "--allow-external-refs=false", released, present).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case errors.As(err, &exit) && exit.ExitCode() == 1 && bytes.Contains(out, []byte("error")):
		return string(out), nil
	}
	return "", fmt.Errorf("oasdiff: %w: %s", err, out)
}

func TestNothingReleasedBreaks(t *testing.T) {
	released, err := filepath.Glob(filepath.Join(contracts, "released", "*.yaml"))
	if err != nil || len(released) == 0 {
		t.Fatalf("no released documents: %v", err)
	}
	for _, old := range released {
		found, err := breaking(old, filepath.Join(contracts, filepath.Base(old)))
		if err != nil {
			t.Fatal(err)
		}
		if found != "" {
			t.Errorf("%s breaks what was released; make it v2 beside v1 instead:\n%s", filepath.Base(old), found)
		}
	}
}

// TestTheGateSeesBreaks breaks copies of real documents.
func TestTheGateSeesBreaks(t *testing.T) {
	cases := []struct {
		name, file, old, new string
		breaks               bool
	}{
		{"an optional answer field", "financeiro.yaml",
			"        cupom: {type: string, description: O código aceito.}\n",
			"        cupom: {type: string, description: O código aceito.}\n        nome: {type: string}\n", false},
		{"an optional request field", "marketing.yaml",
			"        origem: {type: string, maxLength: 1000,",
			"        cidade: {type: string, maxLength: 100}\n        origem: {type: string, maxLength: 1000,", false},
		{"a path gone", "marketing.yaml", "  /v1/marketing/descadastro:", "  /v1/marketing/sair:", true},
		{"a request field newly required", "financeiro.yaml", "required: [aluno, cursoId, metodo]", "required: [aluno, cursoId, metodo, parcelas]", true},
		{"an answer field gone", "academico.yaml", "        criadaEm: {type: string, format: date-time, description: Quando foi feita (UTC).}\n", "", true},
		{"an answer field of another type", "financeiro.yaml", "        cupom: {type: string, description: O código aceito.}", "        cupom: {type: integer, description: O código aceito.}", true},
		{"a shorter limit", "financeiro.yaml", "desconto: {type: string, maxLength: 40,", "desconto: {type: string, maxLength: 10,", true},
		{"a value no longer accepted", "financeiro.yaml", "enum: [cartao, pix, boleto]", "enum: [cartao, pix]", true},
		{"a status gone", "marketing.yaml", "        '204': {description: Apagado.}", "        '202': {description: Apagado.}", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(contracts, "released", c.file))
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(text), c.old, c.new, 1)
			if changed == string(text) {
				t.Fatalf("%s does not contain %q", c.file, c.old)
			}
			copied := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(copied, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			found, err := breaking(filepath.Join(contracts, "released", c.file), copied)
			if err != nil {
				t.Fatal(err)
			}
			if (found != "") != c.breaks {
				t.Errorf("breaking %v, want %v: %s", found != "", c.breaks, found)
			}
		})
	}
}

// TestGeneratedPackagesAreFresh generates every package again elsewhere.
func TestGeneratedPackagesAreFresh(t *testing.T) {
	documents, err := filepath.Glob(filepath.Join(contracts, "*.yaml"))
	if err != nil || len(documents) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, document := range documents {
		name := strings.TrimSuffix(filepath.Base(document), ".yaml")
		if name == "simulador" {
			continue // served by hand: nothing is generated from it
		}
		fresh := t.TempDir()
		out, err := exec.Command("go", "run", "../restgen", "-spec", document, "-target", fresh, "-package", name).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		want, committed := sources(t, fresh), sources(t, filepath.Join(contracts, name))
		for file, text := range want {
			if !bytes.Equal(text, committed[file]) {
				t.Errorf("%s/%s is stale: run go generate ./contracts/rest/...", name, file)
			}
			delete(committed, file)
		}
		for file := range committed {
			t.Errorf("%s/%s is no longer generated", name, file)
		}
	}
}

func sources(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(file)] = text
	}
	return all
}
