package card

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func good() Input {
	return Input{Pointer: "/cartao", Holder: "ANA SOUZA", Number: "4111 1111 1111 1111", Expiry: "12/30", CVV: "123"}
}

func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Input)
		want   string // "field rule" of each broken one
	}{
		"good":                      {func(*Input) {}, ""},
		"hyphens":                   {func(i *Input) { i.Number = "4111-1111-1111-1111" }, ""},
		"non-breaking spaces":       {func(i *Input) { i.Number = "4111\u00a01111\u00a01111\u00a01111" }, ""},
		"spaces in the expiry":      {func(i *Input) { i.Expiry = " 12 / 30 " }, ""},
		"wrong check digit":         {func(i *Input) { i.Number = "4111111111111112" }, "/cartao/numero luhn"},
		"two digits swapped":        {func(i *Input) { i.Number = "4111111111111171" }, "/cartao/numero luhn"},
		"zeros":                     {func(i *Input) { i.Number = "0000000000000000" }, "/cartao/numero luhn"},
		"eleven digits":             {func(i *Input) { i.Number = "41111111111" }, "/cartao/numero tamanho"},
		"twenty digits":             {func(i *Input) { i.Number = strings.Repeat("4", 20) }, "/cartao/numero tamanho"},
		"letters":                   {func(i *Input) { i.Number = "4111x11111111111" }, "/cartao/numero tamanho"},
		"digits of another script":  {func(i *Input) { i.Number = "٤١١١١١١١١١١١١١١١" }, "/cartao/numero tamanho"},
		"no number":                 {func(i *Input) { i.Number = " " }, "/cartao/numero obrigatorio"},
		"unknown brand":             {func(i *Input) { i.Number = "9000000000000001" }, ""},
		"thirteenth month":          {func(i *Input) { i.Expiry = "13/30" }, "/cartao/validade validade"},
		"month zero":                {func(i *Input) { i.Expiry = "00/30" }, "/cartao/validade validade"},
		"four-digit year":           {func(i *Input) { i.Expiry = "12/2030" }, "/cartao/validade validade"},
		"no expiry":                 {func(i *Input) { i.Expiry = "" }, "/cartao/validade obrigatorio"},
		"expired":                   {func(i *Input) { i.Expiry = "10/26" }, "/cartao/validade vencido"},
		"this month":                {func(i *Input) { i.Expiry = "11/26" }, ""},
		"two-digit code":            {func(i *Input) { i.CVV = "12" }, "/cartao/cvv cvv"},
		"four digits on a visa":     {func(i *Input) { i.CVV = "1234" }, "/cartao/cvv cvv"},
		"letters in the code":       {func(i *Input) { i.CVV = "12a" }, "/cartao/cvv cvv"},
		"no code":                   {func(i *Input) { i.CVV = "" }, "/cartao/cvv obrigatorio"},
		"amex":                      {func(i *Input) { i.Number, i.CVV = "378282246310005", "1234" }, ""},
		"amex with three digits":    {func(i *Input) { i.Number = "378282246310005" }, "/cartao/cvv cvv"},
		"everything wrong at once":  {func(i *Input) { i.Number, i.Expiry, i.CVV = "4", "4", "4" }, "/cartao/numero tamanho, /cartao/validade validade, /cartao/cvv cvv"},
		"mastercard of the 2 range": {func(i *Input) { i.Number = "2223003122003222" }, ""},
	} {
		in := good()
		c.change(&in)
		card, broken := Parse(in, now)
		var got []string
		for _, f := range broken {
			got = append(got, f.Pointer+" "+f.Rule)
			if f.Text.PT == "" || f.Text.EN == "" {
				t.Errorf("%s: %s has no text", name, f.Rule)
			}
			if len(in.Number) > 4 && (strings.Contains(f.Text.PT, in.Number) || strings.Contains(f.Text.EN, in.Number)) {
				t.Errorf("%s: the message repeats the number", name)
			}
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: broke %q, want %q", name, s, c.want)
		}
		if (len(broken) == 0) != (card.Brand() != "") {
			t.Errorf("%s: card %v with %d broken rules", name, card, len(broken))
		}
	}
}

// A card is valid until the end of its month in Brasília, whatever the zone of
// the clock.
func TestExpiryAtTheEndOfAMonth(t *testing.T) {
	last := time.Date(2026, 12, 1, 2, 59, 59, 999e6, time.UTC) // 30 November 23:59:59.999 in Brasília
	over := time.Date(2026, 12, 1, 3, 0, 0, 0, time.UTC)
	zones := []*time.Location{time.UTC, time.FixedZone("Kiritimati", 14*3600), time.FixedZone("Baker", -12*3600), brasilia}
	for _, zone := range zones {
		for expiry, want := range map[string][2]bool{"11/26": {true, false}, "12/26": {true, true}, "10/26": {false, false}} {
			in := good()
			in.Expiry = expiry
			for i, at := range []time.Time{last, over} {
				_, broken := Parse(in, at.In(zone))
				if ok := len(broken) == 0; ok != want[i] {
					t.Errorf("%s at %s: accepted %v", expiry, at.In(zone), ok)
				}
			}
		}
	}
	in := good()
	in.Expiry = "12/26" // the year turns with the month
	if _, broken := Parse(in, time.Date(2027, 1, 1, 2, 59, 0, 0, time.UTC)); len(broken) > 0 {
		t.Error("12/26 ended before the year did")
	}
	if _, broken := Parse(in, time.Date(2027, 1, 1, 3, 0, 0, 0, time.UTC)); len(broken) == 0 {
		t.Error("12/26 outlived the year")
	}
}

func TestBrandsAndCountries(t *testing.T) {
	for number, want := range map[string]struct {
		brand   Brand
		country string
	}{
		"4111111111111111": {Visa, ""}, "5555555555554444": {Mastercard, ""}, "2221000000000009": {Mastercard, ""},
		"2720990000000000": {Mastercard, ""}, "2721000000000000": {"", ""}, "378282246310005": {Amex, ""},
		"30569309025904": {Diners, ""}, "6011111111111117": {Discover, ""}, "3530111333300000": {JCB, ""},
		"6062826786276634": {Hipercard, "BR"}, "6362970000457013": {Elo, "BR"}, "4389351648020055": {Elo, "BR"},
		"6200000000000005": {UnionPay, ""}, "5018000000000009": {Maestro, ""}, "4000000760000002": {Visa, "BR"},
		"4000008260000000": {Visa, "GB"}, "4000004080000000": {Visa, "KP"}, "4000000000000002": {Visa, ""}, "4": {Visa, ""}, "": {"", ""},
	} {
		if b, c := BrandOf(number), CountryOf(number); b != want.brand || c != want.country {
			t.Errorf("%s: %q %q, want %+v", number, b, c, want)
		}
	}
}

func TestACardCannotBeWritten(t *testing.T) {
	c, broken := Parse(good(), now)
	if len(broken) > 0 {
		t.Fatal(broken)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "card", c, "in", []any{c, &c})
	holder := struct{ C Card }{c}
	texts := []string{
		fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s %q %x %d", c, c, c, c, c, c, c), fmt.Sprintf("%+v %#v", holder, holder),
		fmt.Sprintf("%+v", &holder), log.String(),
	}
	for _, s := range texts {
		if strings.Contains(s, "411111") || strings.Contains(s, "123") {
			t.Errorf("the card shows: %s", s)
		}
	}
	if !strings.Contains(texts[0], "1111") {
		t.Errorf("no last four: %s", texts[0])
	}
	if b, err := json.Marshal(c); err == nil {
		t.Errorf("encoded: %s", b)
	}
	if number, cvv := c.Reveal(); number != "4111111111111111" || cvv != "123" {
		t.Error("Reveal does not give the card")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("4111 1111 1111 1111", "12/30", "123")
	f.Add("", "", "")
	f.Add("378282246310005", "00/00", "1234")
	f.Fuzz(func(t *testing.T, number, expiry, cvv string) {
		c, broken := Parse(Input{Pointer: "/cartao", Number: number, Expiry: expiry, CVV: cvv}, now)
		if len(broken) > 0 {
			return
		}
		if n, code := c.Reveal(); len(n) < 12 || len(n) > 19 || !digits(n) || !luhn(n) || len(code) < 3 || len(code) > 4 {
			t.Errorf("accepted %q %q %q", number, expiry, cvv)
		}
	})
}
