package site

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"trama/platform/money"
)

// The example of the banks' own manual: line and bar code of one boleto.
const (
	manualLine = "00190.50095 40144.816069 06809.350314 3 37370000000100"
	manualCode = "00193373700000001000500940144816060680935031"
)

func TestBoletoBarsSayWhatTheLineSays(t *testing.T) {
	for _, typed := range []string{manualLine, "00190500954014481606906809350314337370000000100"} {
		printed, svg, ok := boleto(typed)
		if !ok || printed != manualLine {
			t.Fatalf("%q is printed as %q, %v", typed, printed, ok)
		}
		if got := scan(t, svg); got != manualCode {
			t.Errorf("bars say %s, want %s", got, manualCode)
		}
	}
	for _, other := range []string{"", "123", manualLine + "1", strings.Replace(manualLine, "0", "x", 1), "<b>"} {
		if _, _, ok := boleto(other); ok {
			t.Errorf("%q is taken for a boleto", other)
		}
	}
}

var bar = regexp.MustCompile(`M(\d+) 0h(\d+)v50`)

// scan reads an interleaved 2 of 5 code from its bars, as a scanner would.
func scan(t *testing.T, svg string) string {
	t.Helper()
	type element struct{ x, width int }
	var blacks []element
	for _, m := range bar.FindAllStringSubmatch(svg, -1)[1:] { // the first is the ground
		var e element
		_, _ = fmt.Sscan(m[1]+" "+m[2], &e.x, &e.width)
		blacks = append(blacks, e)
	}
	var elements []int // widths, black and white in turn
	for i, e := range blacks {
		if i > 0 {
			elements = append(elements, e.x-blacks[i-1].x-blacks[i-1].width)
		}
		elements = append(elements, e.width)
	}
	if fmt.Sprint(elements[:4]) != "[1 1 1 1]" || fmt.Sprint(elements[len(elements)-3:]) != "[3 1 1]" {
		t.Fatalf("guards are wrong: %v", elements)
	}
	if blacks[0].x < 10 {
		t.Error("no quiet zone")
	}
	// Weights of the five elements of a digit: 1, 2, 4, 7, parity (ISO/IEC 16390).
	digit := func(at int) byte {
		sum := 0
		for k, weight := range []int{1, 2, 4, 7, 0} {
			if elements[at+2*k] == 3 {
				sum += weight
			}
		}
		return '0' + byte(sum%11)
	}
	var code []byte
	for at := 4; at < len(elements)-3; at += 10 {
		code = append(code, digit(at), digit(at+1))
	}
	return string(code)
}

func TestInstallmentsAddUp(t *testing.T) {
	for _, price := range []money.Cents{1, 99, 34990, 129900, 100_000_000} {
		for i, way := range installments(price) {
			if way.Count != i+1 {
				t.Errorf("way %d has %d parts", i+1, way.Count)
			}
		}
	}
	ways := installments(100_00)
	if len(ways) != 12 || ways[2].Label != "3x de\u00a0R$\u00a033,33 (a primeira, R$\u00a033,34)" || ways[3].Label != "4x de\u00a0R$\u00a025,00" {
		t.Errorf("labels %q, %q", ways[2].Label, ways[3].Label)
	}
}

func TestTexts(t *testing.T) {
	at := time.Date(2026, 12, 1, 1, 5, 0, 0, time.UTC) // the evening before in Brasília
	for got, want := range map[string]string{
		day(at):                       "30\u00a0de novembro de\u00a02026",
		moment(at):                    "30/11/2026, 22h05",
		hour(at):                      "22h05",
		lasts(45):                     "45\u00a0min",
		lasts(60):                     "1\u00a0h",
		lasts(135):                    "2\u00a0h 15\u00a0min",
		count(1, "aula", "aulas"):     "1\u00a0aula",
		count(0, "aula", "aulas"):     "0\u00a0aulas",
		moneyText("1299.00"):          "R$\u00a01.299,00",
		moneyText("?"):                "?",
		initial("  Célia D’Ávila "):   "Célia",
		level("avancado"):             "Avançado",
		level("mestre"):               "mestre",
		cut("ação", 2):                "aç",
		groups("4111111111111111", 4): "4111 1111 1111 1111",
		cardBrand("amex"):             "American Express",
		cardBrand("visa"):             "Visa",
		cardBrand(""):                 "Cartão",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
