package letter

import (
	"strings"
	"time"
	"unicode"
)

// The longest texts taken over from a person or an event, in characters.
const (
	maxText = 400
	maxCode = 1000 // a pix code has at most 512
)

// plain makes one line of a text: control and formatting characters become
// spaces, spaces are single, what is too long is cut.
func plain(s string) string {
	return cut(strings.Join(strings.Fields(printable(s)), " "), maxText)
}

// code keeps a code that somebody will copy as it is, but on one line: a pix code
// has a check sum over its spaces too.
func code(s string) string {
	return cut(strings.TrimSpace(printable(s)), maxCode)
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == '\ufeff' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
}

func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// firstName gives how to address somebody; the whole name where the first word
// has no letter.
func firstName(name string) string {
	first, _, _ := strings.Cut(name, " ")
	if !strings.ContainsFunc(first, unicode.IsLetter) {
		return name
	}
	return first
}

// brasilia is the time most readers live by. Brazil has had no summer time since
// 2019, so that no time zone database is needed.
var brasilia = time.FixedZone("horário de Brasília", -3*60*60)

// moment gives a time as people in Brazil write it.
func moment(t time.Time) string {
	return t.In(brasilia).Format("02/01/2006 às 15h04") + " (horário de Brasília)"
}

// why explains a refusal to the payer. What our own analysis found is not told:
// it would teach whoever probes it.
func why(reason string) string {
	switch reason {
	case "saldo-insuficiente":
		return "O banco informou que não há saldo ou limite suficiente."
	case "cartao-bloqueado":
		return "O banco informou que este cartão está bloqueado."
	case "cartao-vencido":
		return "O banco informou que este cartão está vencido."
	case "cvv-incorreto":
		return "O código de segurança do cartão não confere."
	case "suspeita-de-fraude":
		return "Por segurança, não foi possível aprovar esta compra."
	case "expirado":
		return "O prazo terminou antes de recebermos o pagamento."
	case "curso-ja-pago":
		return "Este curso já foi pago com outro pagamento seu."
	default:
		return "A compra não foi autorizada pelo banco ou pela operadora."
	}
}
