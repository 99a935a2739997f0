package charge

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"trama/platform/money"
)

// bank is the issuer in a boleto's first three digits. No bank has this code, so
// none can pay a simulated boleto by mistake.
const bank = "999"

// brasilia is the zone in which a boleto is due. Brazil has had no daylight
// saving time since Decree 9.772 of 2019; a fixed zone needs no zone database.
var brasilia = time.FixedZone("America/Sao_Paulo", -3*60*60)

// BoletoLine gives the 47 digits by which a boleto is paid (FEBRABAN): three
// fields with a check digit each (modulo 10), the general check digit of the bar
// code (modulo 11), due date factor and amount.
func BoletoLine(id string, amount money.Cents, due time.Time) string {
	return line(bank, fmt.Sprintf("%04d%010d", dueFactor(due), int64(amount)), freeField(id))
}

// line arranges the parts of the bar code: issuer, due factor with amount, and
// the issuer's 25 free digits. 9 is the currency (BRL).
func line(bank, tail, free string) string {
	general := mod11(bank + "9" + tail + free)
	first, second, third := bank+"9"+free[:5], free[5:15], free[15:]
	return first + mod10(first) + second + mod10(second) + third + mod10(third) + general + tail
}

// freeField gives the 25 digits that are the issuer's own, from the charge's id.
func freeField(id string) string {
	n, ok := new(big.Int).SetString(strings.ReplaceAll(id, "-", ""), 16)
	if !ok {
		n = new(big.Int).SetBytes([]byte(id))
	}
	n.Mod(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(25), nil))
	return fmt.Sprintf("%025s", n.String())
}

// dueFactor counts days since 1997-10-07; after 9999 (2025-02-21) it goes on
// with 1000.
func dueFactor(due time.Time) int {
	y, m, d := due.In(brasilia).Date()
	day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	days := int(day.Sub(time.Date(1997, 10, 7, 0, 0, 0, 0, time.UTC)) / (24 * time.Hour))
	if days < 1000 {
		return days
	}
	return (days-1000)%9000 + 1000
}

// mod10 is the check digit of a field: weights 2, 1, 2, … from the right, digits
// of products added.
func mod10(s string) string {
	sum, weight := 0, 2
	for i := len(s) - 1; i >= 0; i-- {
		p := int(s[i]-'0') * weight
		sum += p/10 + p%10
		weight = 3 - weight
	}
	return string(rune('0' + (10-sum%10)%10))
}

// mod11 is the general check digit: weights 2 to 9 from the right; 0, 10 and 11
// become 1.
func mod11(s string) string {
	sum, weight := 0, 2
	for i := len(s) - 1; i >= 0; i-- {
		sum += int(s[i]-'0') * weight
		if weight++; weight > 9 {
			weight = 2
		}
	}
	d := 11 - sum%11
	if d == 10 || d == 11 {
		d = 1
	}
	return string(rune('0' + d))
}
