// Package money owns amounts: whole cents of one currency, never a float.
package money

import (
	"fmt"
	"strconv"
	"strings"
)

// BRL is the only currency so far.
const BRL = "BRL"

// Max is the largest amount accepted at the wall, in cents (R$ 1 million).
const Max Cents = 100_000_000

// Cents is an amount in hundredths of a real.
type Cents int64

// String gives the decimal form of the wire: "1299.00".
func (c Cents) String() string {
	sign := ""
	if c < 0 {
		sign, c = "-", -c
	}
	return fmt.Sprintf("%s%d.%02d", sign, int64(c)/100, int64(c)%100)
}

// Real gives the form people in Brazil read: "R$ 1.299,00".
func (c Cents) Real() string {
	whole, cents, _ := strings.Cut(c.String(), ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "." + whole[i:]
	}
	return sign + "R$ " + whole + "," + cents
}

// Parse reads a decimal string with one or two decimals or none: "10", "10.5",
// "10.50". No sign, no exponent, no thousands separator, at most Max.
func Parse(s string) (Cents, error) {
	whole, frac, dotted := strings.Cut(s, ".")
	if len(whole) == 0 || len(whole) > 9 || (dotted && (len(frac) == 0 || len(frac) > 2)) {
		return 0, fmt.Errorf("money: %q is not a decimal amount like 1299.00", s)
	}
	for len(frac) < 2 {
		frac += "0"
	}
	for _, c := range whole + frac {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("money: %q is not a decimal amount like 1299.00", s)
		}
	}
	n, err := strconv.ParseInt(whole+frac, 10, 64)
	if err != nil || Cents(n) > Max {
		return 0, fmt.Errorf("money: %q is more than %s", s, Max)
	}
	return Cents(n), nil
}
