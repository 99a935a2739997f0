package site

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"trama/platform/money"
)

// brasilia is the time of the capital, by which pages tell the hour. Brazil has
// had no summer time since 2019.
var brasilia = time.FixedZone("BRT", -3*60*60)

const nbsp = "\u00a0"

// reais gives "R$ 1.299,00" with a space that does not break.
func reais(c money.Cents) string { return strings.ReplaceAll(c.Real(), " ", nbsp) }

// moneyText reads the API's decimal; one that cannot be read is shown as it came.
func moneyText(value string) string {
	c, err := money.Parse(value)
	if err != nil {
		return value
	}
	return reais(c)
}

func level(l string) string {
	switch l {
	case "iniciante":
		return "Iniciante"
	case "intermediario":
		return "Intermediário"
	case "avancado":
		return "Avançado"
	}
	return l
}

func iso(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func hour(t time.Time) string { return t.In(brasilia).Format("15h04") }

var months = [...]string{"janeiro", "fevereiro", "março", "abril", "maio", "junho",
	"julho", "agosto", "setembro", "outubro", "novembro", "dezembro"}

// day gives "21 de novembro de 2026".
func day(t time.Time) string {
	t = t.In(brasilia)
	return strconv.Itoa(t.Day()) + nbsp + "de " + months[t.Month()-1] + " de" + nbsp + strconv.Itoa(t.Year())
}

// moment gives "21/11/2026, 15h04".
func moment(t time.Time) string { return t.In(brasilia).Format("02/01/2006, 15h04") }

// lasts gives minutes as people say them: "45 min", "1 h 20 min".
func lasts(minutes int) string {
	h, m := minutes/60, minutes%60
	switch {
	case h == 0:
		return strconv.Itoa(m) + nbsp + "min"
	case m == 0:
		return strconv.Itoa(h) + nbsp + "h"
	}
	return strconv.Itoa(h) + nbsp + "h " + strconv.Itoa(m) + nbsp + "min"
}

// count gives "1 aula", "12 aulas".
func count(n int, one, many string) string {
	if n == 1 {
		return "1" + nbsp + one
	}
	return strconv.Itoa(n) + nbsp + many
}

// initial gives the first name.
func initial(name string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(name), " ")
	return first
}

// sentences splits a text into its paragraphs.
func sentences(text string) []string {
	var out []string
	for _, p := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// cut shortens a text to n characters, for values that are only repeated.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}

// groups puts a space after every n characters: "0019 0500 …".
func groups(s string, n int) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%n == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cardBrand writes a card brand's slug as people know it.
func cardBrand(slug string) string {
	switch slug {
	case "amex":
		return "American Express"
	case "":
		return "Cartão"
	}
	return strings.ToUpper(slug[:1]) + slug[1:]
}
