// Package rule owns the rules of fields that several services receive from
// people in Brazil: names, e-mail addresses, CPF, telephone numbers. Each rule
// takes what was typed and gives its normal form, or the broken rule as a
// fault.Field that names the field by its JSON pointer. Rules do no I/O and
// never repeat the value in a message.
package rule

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"trama/platform/fault"
)

// MaxName is the longest name accepted, in characters.
const MaxName = 120

// Checker collects the broken rules of one request.
type Checker struct{ fields []fault.Field }

// Add notes a broken rule.
func (c *Checker) Add(pointer, rule, pt, en string) {
	c.fields = append(c.fields, fault.Field{Pointer: pointer, Rule: rule, Text: fault.Text{PT: pt, EN: en}})
}

// Err gives the fault for all broken rules; nil when there are none.
func (c *Checker) Err() error { return fault.Fields(c.fields) }

// Clean says whether nothing was noted so far.
func (c *Checker) Clean() bool { return len(c.fields) == 0 }

// Name checks a person's name: 2 to MaxName characters, at least two letters,
// no control characters. The result is NFC with single spaces. Letters of any
// script, apostrophes, hyphens and what else people have in names are welcome,
// emoji too: a name is text, and is escaped where it is shown.
func (c *Checker) Name(pointer, s string) string {
	s = strings.Join(strings.Fields(norm.NFC.String(s)), " ")
	letters := 0
	for _, r := range s {
		if unicode.IsControl(r) || r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r) {
			c.Add(pointer, "caracteres", "O nome tem caracteres que não podem ser aceitos.", "The name has characters that cannot be accepted.")
			return s
		}
		if unicode.IsLetter(r) {
			letters++
		}
	}
	switch n := utf8.RuneCountInString(s); {
	case n == 0:
		c.Add(pointer, "obrigatorio", "Informe o nome.", "The name is required.")
	case letters < 2:
		c.Add(pointer, "nome", "O nome precisa de ao menos duas letras.", "The name needs at least two letters.")
	case n > MaxName:
		c.Add(pointer, "tamanho", "O nome pode ter até 120 caracteres.", "The name may have up to 120 characters.")
	}
	return s
}

// Email checks an address: one @, a host with a dot, at most 254 bytes, plain
// (no display name, no comment). The result is in lower case.
func (c *Checker) Email(pointer, s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" {
		c.Add(pointer, "obrigatorio", "Informe o e-mail.", "The e-mail address is required.")
		return s
	}
	if !validEmail(s) {
		c.Add(pointer, "email", "Informe um e-mail válido, como nome@exemplo.com.br.", "Give a valid e-mail address, like name@example.com.")
	}
	return s
}

func validEmail(s string) bool {
	if len(s) > 254 {
		return false
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || a.Name != "" {
		return false
	}
	local, host, _ := strings.Cut(s, "@")
	if len(local) > 64 || strings.ContainsAny(local, `" `) || !strings.Contains(host, ".") {
		return false
	}
	for _, label := range strings.Split(host, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
		for _, r := range label {
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' {
				return false
			}
		}
	}
	return true
}

// CPF checks the eleven digits and their two check digits (Receita Federal,
// modulo 11). Dots and hyphen are accepted; the result is digits only.
func (c *Checker) CPF(pointer, s string) string {
	if strings.TrimSpace(s) == "" {
		c.Add(pointer, "obrigatorio", "Informe o CPF.", "The CPF is required.")
		return ""
	}
	digits := strings.NewReplacer(".", "", "-", "", " ", "").Replace(s)
	if !ValidCPF(digits) {
		c.Add(pointer, "cpf", "Este CPF não é válido; confira os dígitos.", "This CPF is not valid; check its digits.")
	}
	return digits
}

// ValidCPF says whether s is eleven digits with right check digits.
func ValidCPF(s string) bool {
	if len(s) != 11 || strings.Count(s, s[:1]) == 11 {
		return false
	}
	for _, n := range []int{9, 10} {
		sum := 0
		for i := range n {
			if s[i] < '0' || s[i] > '9' {
				return false
			}
			sum += int(s[i]-'0') * (n + 1 - i)
		}
		if byte(sum*10%11%10)+'0' != s[n] {
			return false
		}
	}
	return true
}

// MaskCPF hides all but the last two digits of a valid CPF: "***.***.***-09".
func MaskCPF(digits string) string {
	if len(digits) != 11 {
		return "***"
	}
	return "***.***.***-" + digits[9:]
}

// Phone checks a Brazilian telephone number: area code and 8 or 9 digits, with
// or without +55 and punctuation. Empty is fine. The result is "+55" and digits.
func (c *Checker) Phone(pointer, s string) string {
	if strings.TrimSpace(s) == "" {
		return ""
	}
	digits := strings.NewReplacer("(", "", ")", "", "-", "", " ", "", ".", "").Replace(s)
	digits = strings.TrimPrefix(digits, "+55")
	if len(digits) > 11 {
		digits = strings.TrimPrefix(digits, "55")
	}
	ok := (len(digits) == 10 || len(digits) == 11) && digits[0] != '0' && digits[1] != '0'
	for _, r := range digits {
		ok = ok && r >= '0' && r <= '9'
	}
	if len(digits) == 11 && ok {
		ok = digits[2] == '9'
	}
	if !ok {
		c.Add(pointer, "telefone", "Informe o telefone com DDD, como (11) 91234-5678.", "Give the telephone number with its area code, like (11) 91234-5678.")
		return s
	}
	return "+55" + digits
}
