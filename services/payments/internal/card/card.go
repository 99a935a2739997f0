// Package card owns what a card may be: a number with a right check digit, a
// month that is not over, a code of the right length. A Card
// lives in memory for the length of one request. It cannot be printed, logged or
// encoded: every way to turn it into text gives brand and last four digits.
package card

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"trama/platform/fault"
)

// Input is a card as somebody typed it, with the JSON pointer of its object.
type Input struct {
	Pointer string // "/cartao"
	Holder  string // already checked
	Number  string // 12 to 19 digits, spaces or hyphens between them allowed
	Expiry  string // MM/AA
	CVV     string
}

// Card is a card that may be charged.
type Card struct {
	holder string
	number string // digits only
	cvv    string
	month  time.Month
	year   int
	brand  Brand
}

// Parse gives the card, or every rule that it breaks. now decides whether it is
// expired; its zone does not matter.
func Parse(in Input, now time.Time) (Card, []fault.Field) {
	var broken []fault.Field
	bad := func(field, rule, pt, en string) {
		broken = append(broken, fault.Field{Pointer: in.Pointer + "/" + field, Rule: rule, Text: fault.Text{PT: pt, EN: en}})
	}
	c := Card{holder: in.Holder}
	c.number = compact(in.Number)
	switch n := len(c.number); {
	case n == 0:
		bad("numero", "obrigatorio", "Informe o número do cartão.", "The card number is required.")
	case !digits(c.number) || n < 12 || n > 19:
		bad("numero", "tamanho", "O número do cartão tem de 12 a 19 dígitos.", "A card number has 12 to 19 digits.")
	case !luhn(c.number):
		bad("numero", "luhn", "O número do cartão não confere; confira os dígitos.", "The card number is not right; check its digits.")
	default:
		if c.brand = BrandOf(c.number); c.brand == "" {
			c.brand = Other
		}
	}
	month, year, err := parseExpiry(in.Expiry)
	c.month, c.year = month, year
	switch {
	case strings.TrimSpace(in.Expiry) == "":
		bad("validade", "obrigatorio", "Informe a validade do cartão.", "The expiry date is required.")
	case err != nil:
		bad("validade", "validade", "Informe a validade como MM/AA, por exemplo 09/29.", "Give the expiry date as MM/YY, for example 09/29.")
	case c.expired(now):
		bad("validade", "vencido", "Este cartão está vencido.", "This card has expired.")
	}
	c.cvv = strings.TrimSpace(in.CVV)
	switch want := c.brand.cvvLength(); {
	case c.cvv == "":
		bad("cvv", "obrigatorio", "Informe o código de segurança.", "The security code is required.")
	case !digits(c.cvv) || (want != 0 && len(c.cvv) != want) || len(c.cvv) < 3 || len(c.cvv) > 4:
		bad("cvv", "cvv", "O código de segurança tem três dígitos (quatro em American Express).",
			"The security code has three digits (four on American Express).")
	}
	if len(broken) > 0 {
		return Card{}, broken
	}
	return c, nil
}

// Holder gives the name on the card.
func (c Card) Holder() string { return c.holder }

// Brand gives the brand.
func (c Card) Brand() Brand { return c.brand }

// LastFour gives the last four digits.
func (c Card) LastFour() string {
	if len(c.number) < 4 {
		return ""
	}
	return c.number[len(c.number)-4:]
}

// Country gives the issuer's country as far as the BIN table knows it.
func (c Card) Country() string { return CountryOf(c.number) }

// Expiry gives the last month in which the card is valid.
func (c Card) Expiry() (time.Month, int) { return c.month, c.year }

// Reveal gives what must never be stored or logged, to the one who exchanges it
// for a token.
func (c Card) Reveal() (number, cvv string) { return c.number, c.cvv }

// String hides the number.
func (c Card) String() string { return string(c.brand) + " ****" + c.LastFour() }

// Format hides the number from every verb of fmt, also %+v and %#v.
func (c Card) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// MarshalJSON refuses: a card is not sent anywhere as JSON, nor logged as such.
func (c Card) MarshalJSON() ([]byte, error) {
	return nil, errors.New("card: a card must not be encoded")
}

// MarshalText refuses, as MarshalJSON does.
func (c Card) MarshalText() ([]byte, error) {
	return nil, errors.New("card: a card must not be encoded")
}

// brasilia is where a month ends for a card. Brazil has had no daylight saving
// time since Decree 9.772 of 2019; a fixed zone needs no zone database.
var brasilia = time.FixedZone("America/Sao_Paulo", -3*60*60)

// expired says whether the month of the card is over in Brasília: a card is
// valid until the end of the month printed on it.
func (c Card) expired(now time.Time) bool {
	return !now.Before(time.Date(c.year, c.month+1, 1, 0, 0, 0, 0, brasilia))
}

func parseExpiry(s string) (time.Month, int, error) {
	s = strings.ReplaceAll(s, " ", "")
	if len(s) != 5 || s[2] != '/' || !digits(s[:2]) || !digits(s[3:]) {
		return 0, 0, errors.New("not MM/YY")
	}
	month := int(s[0]-'0')*10 + int(s[1]-'0')
	if month < 1 || month > 12 {
		return 0, 0, errors.New("no such month")
	}
	return time.Month(month), 2000 + int(s[3]-'0')*10 + int(s[4]-'0'), nil
}

// compact drops what people put between groups of digits.
func compact(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\u00a0' {
			return -1
		}
		return r
	}, s)
}

func digits(s string) bool {
	for _, b := range []byte(s) {
		if b < '0' || b > '9' {
			return false
		}
	}
	return true
}

// luhn checks the last digit (ISO/IEC 7812-1 annex B). Zeros alone are no card.
func luhn(number string) bool {
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum > 0 && sum%10 == 0
}
