package rule_test

import (
	"strings"
	"testing"

	"trama/platform/fault"
	"trama/platform/rule"
)

func broken(f func(c *rule.Checker)) string {
	var c rule.Checker
	f(&c)
	if c.Err() == nil {
		return ""
	}
	return fault.As(c.Err()).Fields[0].Rule
}

func TestName(t *testing.T) {
	for in, want := range map[string]string{
		"Ana Souza": "", "  José   da Silva ": "", "D'Ávila-Gonçalves": "", "李小龍": "", "Zoë 🎓 Lima": "",
		"": "obrigatorio", "   ": "obrigatorio", "A": "nome", "🎓🎓": "nome", "Ana\x00Lima": "caracteres", "Ana\r\nBcc: x": "",
		"a\u202eb": "caracteres", strings.Repeat("ab", 150): "tamanho", strings.Repeat("é", 120): "",
		"Robert'); DROP TABLE alunos;--": "", "<script>alert(1)</script>": "",
	} {
		if got := broken(func(c *rule.Checker) { c.Name("/nome", in) }); got != want {
			t.Errorf("%q: rule %q, want %q", in, got, want)
		}
	}
	var c rule.Checker
	if got := c.Name("/nome", "  Jose\u0301  da\tSilva\n"); got != "José da Silva" {
		t.Errorf("normal form %q", got)
	}
}

func TestEmail(t *testing.T) {
	for in, want := range map[string]string{
		"ana@example.com": "", " Ana.Souza+x@Sub.Example.COM.br ": "",
		"": "obrigatorio", "a@b": "email", "a b@example.com": "email", "Ana <ana@example.com>": "email", "ana@example..com": "email",
		"ana@-x.com": "email", "@example.com": "email", "ana@": "email", "ana@example.com\r\nBcc: x@y.z": "email",
		strings.Repeat("a", 65) + "@example.com": "email", "ana@" + strings.Repeat("a", 64) + ".com": "email", "ana@@example.com": "email",
		"ana@example.com,b@example.com": "email", `"x y"@example.com`: "email", "ana@exa_mple.com": "email",
	} {
		if got := broken(func(c *rule.Checker) { c.Email("/email", in) }); got != want {
			t.Errorf("%q: rule %q, want %q", in, got, want)
		}
	}
}

func TestCPF(t *testing.T) {
	for in, want := range map[string]string{
		"529.982.247-25": "", "52998224725": "", "111.444.777-35": "",
		"": "obrigatorio", "529.982.247-26": "cpf", "529.982.247-15": "cpf", "11111111111": "cpf", "00000000000": "cpf",
		"5299822472": "cpf", "529982247255": "cpf", "abcdefghijk": "cpf", "529 982 247 25": "", "５２９９８２２４７２５": "cpf",
	} {
		if got := broken(func(c *rule.Checker) { c.CPF("/cpf", in) }); got != want {
			t.Errorf("%q: rule %q, want %q", in, got, want)
		}
	}
	if got := rule.MaskCPF("52998224725"); got != "***.***.***-25" {
		t.Error(got)
	}
}

func TestPhone(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "(11) 91234-5678": "+5511912345678", "+55 11 91234-5678": "+5511912345678", "1132345678": "+551132345678", "5511912345678": "+5511912345678",
	} {
		var c rule.Checker
		if got := c.Phone("/telefone", in); got != want || !c.Clean() {
			t.Errorf("%q: %q, %v", in, got, c.Err())
		}
	}
	for _, in := range []string{"123", "91234-5678", "(01) 91234-5678", "(11) 81234-56789", "+1 212 555 0100", "abcdefghij"} {
		if got := broken(func(c *rule.Checker) { c.Phone("/telefone", in) }); got != "telefone" {
			t.Errorf("%q: rule %q", in, got)
		}
	}
}
