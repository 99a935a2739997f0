package payment

import (
	"fmt"
	"strconv"
	"strings"

	"trama/platform/money"
)

// Coupon is a discount that people may claim by its code.
type Coupon struct {
	Code    string // upper case
	Percent int    // 1 to 99
}

// ParseCoupon reads "BEMVINDO10:10%".
func ParseCoupon(s string) (Coupon, error) {
	code, percent, ok := strings.Cut(strings.TrimSpace(s), ":")
	n, err := strconv.Atoi(strings.TrimSuffix(percent, "%"))
	code = NormalCoupon(code)
	if !ok || err != nil || n < 1 || n > 99 || code == "" || len(code) > 40 {
		return Coupon{}, fmt.Errorf("payment: %q is not a coupon like BEMVINDO10:10%%", s)
	}
	return Coupon{Code: code, Percent: n}, nil
}

// NormalCoupon gives the form in which codes are compared: case does not matter.
func NormalCoupon(code string) string { return strings.ToUpper(strings.TrimSpace(code)) }

// Off gives the price less the discount, rounded to the payer's advantage, and at
// least one cent.
func (c Coupon) Off(price money.Cents) money.Cents {
	return max(price*money.Cents(100-c.Percent)/100, 1)
}
