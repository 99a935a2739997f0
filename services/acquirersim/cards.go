package acquirersim

import "trama/services/acquirersim/internal/card"

// TestCard is one documented test card.
type TestCard struct {
	Number   string // digits only
	Brand    string // as "visa"
	Behavior string // stable slug, as "sem-saldo"
	PT, EN   string // what happens when it is charged
}

// TestCards gives the documented test cards, for pages and docs. Any other number
// with a right check digit is approved.
func TestCards() []TestCard {
	var out []TestCard
	for _, t := range card.Tests() {
		out = append(out, TestCard{Number: t.Number, Brand: t.Brand, Behavior: string(t.Behaviour), PT: t.PT, EN: t.EN})
	}
	return out
}
