// Package fraud decides whether a payment is suspect. It is pure: what is known of
// the past comes in as Facts, the verdict goes out with every rule that spoke, so
// that staff can see why. A verdict is recorded once; it does not change when
// later payments change the facts.
//
// Each rule gives points; a payment with Threshold points or more is suspect. The
// velocity rules give enough alone, the hints only together. A limit of zero
// switches its rule off.
package fraud

import (
	"slices"
	"time"

	"trama/platform/money"
)

// Rule is the stable slug of a rule.
type Rule string

// The rules.
const (
	CardVelocity   Rule = "velocidade-do-cartao"
	EmailVelocity  Rule = "velocidade-do-email"
	CPFVelocity    Rule = "velocidade-do-cpf"
	Refusals       Rule = "recusas-repetidas"
	SharedCard     Rule = "cartao-de-muitas-pessoas"
	ManyCards      Rule = "muitos-cartoes-da-pessoa"
	RefusedCountry Rule = "pais-do-cartao-recusado"
	ForeignCard    Rule = "cartao-de-outro-pais"
	LargeAmount    Rule = "valor-alto"
	AmountJump     Rule = "valor-acima-do-historico"
)

// Points of the rules.
const (
	certain = 100 // alone enough with the default threshold
	strong  = 60
	medium  = 40
	weak    = 30
)

// Limits are the thresholds of the rules.
type Limits struct {
	Window           time.Duration // of the velocity rules and of refusals
	PerCard          int           // payments with one card in Window, this one included
	PerEmail         int
	PerCPF           int
	RefusalsMax      int           // refusals by the issuer of one card or CPF in Window, before this payment
	PeopleWindow     time.Duration // of the two rules below
	PeoplePerCard    int           // people with one card
	CardsPerPerson   int           // cards of one person
	Large            money.Cents   // an amount from which on LargeAmount speaks
	Jump             int           // times the largest amount that the person has paid before
	HomeCountry      string        // cards known to be from elsewhere are foreign
	RefusedCountries []string      // ISO 3166-1 alpha-2
	Threshold        int           // points from which on a payment is suspect
}

// Depth is how many payments of one card, address or person are worth looking at.
func (l Limits) Depth() int {
	return max(l.PerCard, l.PerEmail, l.PerCPF, l.RefusalsMax, l.PeoplePerCard, l.CardsPerPerson) + 1
}

// Facts is what is known about a payment and what came before it.
type Facts struct {
	Amount  money.Cents
	Card    bool   // paid by card
	Country string // of the card's issuer; empty when not known

	ByCard, ByEmail, ByCPF  int // earlier payments in Window
	RefusedCard, RefusedCPF int // of these, refused by the issuer
	OtherPeople             int // other people with this card in PeopleWindow
	OtherCards              int // other cards of this person in PeopleWindow
	LargestApproved         money.Cents
}

// Verdict is the outcome of an analysis.
type Verdict struct {
	Score   int
	Rules   []Rule // that spoke, the most telling first
	Suspect bool
}

// Findings gives the rules as text.
func (v Verdict) Findings() []string {
	var out []string
	for _, r := range v.Rules {
		out = append(out, string(r))
	}
	return out
}

// Assess judges a payment.
func (l Limits) Assess(f Facts) Verdict {
	var v Verdict
	rule := func(r Rule, points int, speaks bool) {
		if speaks {
			v.Score += points
			v.Rules = append(v.Rules, r)
		}
	}
	rule(CardVelocity, certain, f.Card && over(f.ByCard+1, l.PerCard))
	rule(EmailVelocity, certain, over(f.ByEmail+1, l.PerEmail))
	rule(CPFVelocity, certain, over(f.ByCPF+1, l.PerCPF))
	rule(Refusals, certain, over(max(f.RefusedCard, f.RefusedCPF), l.RefusalsMax))
	rule(RefusedCountry, certain, f.Country != "" && slices.Contains(l.RefusedCountries, f.Country))
	rule(SharedCard, strong, f.Card && over(f.OtherPeople+1, l.PeoplePerCard))
	rule(ManyCards, strong, f.Card && over(f.OtherCards+1, l.CardsPerPerson))
	rule(LargeAmount, medium, l.Large > 0 && f.Amount >= l.Large)
	rule(AmountJump, medium, l.Jump > 0 && f.LargestApproved > 0 && f.Amount > f.LargestApproved*money.Cents(l.Jump))
	rule(ForeignCard, weak, f.Country != "" && l.HomeCountry != "" && f.Country != l.HomeCountry)
	v.Suspect = v.Score >= l.Threshold
	return v
}

// over says whether n is more than a limit that is switched on.
func over(n, limit int) bool { return limit > 0 && n > limit }
