package site

import (
	"strconv"

	"trama/platform/money"
)

// maxInstallments is how many parts a card payment may have (contracts/rest/financeiro.yaml).
const maxInstallments = 12

// installment is one way to split a price.
type installment struct {
	Count int
	Label string // "3x de R$ 433,00"
}

// installments gives the ways to split a price, none of which adds interest. The
// first part carries the cents that do not divide, and the label says so.
func installments(price money.Cents) []installment {
	ways := make([]installment, maxInstallments)
	for i := range ways {
		n := money.Cents(i + 1)
		part, rest := price/n, price%n
		label := strconv.Itoa(i+1) + "x de" + nbsp + reais(part)
		if rest > 0 {
			label += " (a primeira, " + reais(part+rest) + ")"
		}
		if i == 0 {
			label = "À vista, " + reais(price)
		}
		ways[i] = installment{Count: i + 1, Label: label}
	}
	return ways
}
