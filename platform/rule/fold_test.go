package rule_test

import (
	"testing"

	"trama/platform/rule"
)

func TestFoldForgetsAccentsCaseAndPunctuation(t *testing.T) {
	for in, want := range map[string]string{
		"Pão & Confeitaria: básico": "pao confeitaria basico",
		"  AÇÃO,   já! ":            "acao ja",
		"violão":                    "violao", // decomposed accent
		"Módulo Ⅳ, parte ²":         "modulo iv parte 2",
		"日本語 🎉":                     "日本語",
		"🎉!?":                       "",
		"":                          "",
	} {
		if got := rule.Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSlugIsASCIIAndBounded(t *testing.T) {
	for _, c := range []struct {
		in   string
		max  int
		want string
	}{
		{"Go para serviços", 80, "go-para-servicos"},
		{"C++ e C#: do zero", 80, "c-e-c-do-zero"},
		{"um dois três", 8, "um-dois"},
		{"inconstitucionalissimamente", 6, "incons"},
		{"日本語", 80, ""},
	} {
		if got := rule.Slug(c.in, c.max); got != c.want {
			t.Errorf("Slug(%q, %d) = %q, want %q", c.in, c.max, got, c.want)
		}
	}
}
