package fraud

import (
	"slices"
	"testing"
)

func limits() Limits {
	return Limits{
		PerCard: 10, PerEmail: 8, PerCPF: 6, RefusalsMax: 5, PeoplePerCard: 4, CardsPerPerson: 3, Large: 1_000_000, Jump: 10,
		HomeCountry: "BR", RefusedCountries: []string{"KP"}, Threshold: 100,
	}
}

func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		facts   Facts
		suspect bool
		rules   []Rule
	}{
		"a stranger's first":           {Facts{Amount: 129900, Card: true}, false, nil},
		"the fourth course":            {Facts{Amount: 129900, Card: true, ByCard: 3, ByEmail: 3, ByCPF: 3, LargestApproved: 99900}, false, nil},
		"the last one of a card":       {Facts{Card: true, ByCard: 9}, false, nil},
		"one too many of a card":       {Facts{Card: true, ByCard: 10}, true, []Rule{CardVelocity}},
		"no card, no card velocity":    {Facts{ByCard: 10}, false, nil},
		"the last one of an address":   {Facts{ByEmail: 7}, false, nil},
		"one too many of an address":   {Facts{ByEmail: 8}, true, []Rule{EmailVelocity}},
		"the last one of a person":     {Facts{ByCPF: 5}, false, nil},
		"one too many of a person":     {Facts{ByCPF: 6}, true, []Rule{CPFVelocity}},
		"five refusals":                {Facts{Card: true, RefusedCard: 5, RefusedCPF: 5}, false, nil},
		"six refusals of a card":       {Facts{Card: true, RefusedCard: 6}, true, []Rule{Refusals}},
		"six refusals of a person":     {Facts{Card: true, RefusedCPF: 6}, true, []Rule{Refusals}},
		"a country we do not serve":    {Facts{Card: true, Country: "KP"}, true, []Rule{RefusedCountry, ForeignCard}},
		"a foreign card":               {Facts{Card: true, Country: "PT"}, false, []Rule{ForeignCard}},
		"a card from home":             {Facts{Card: true, Country: "BR"}, false, nil},
		"a family's card":              {Facts{Card: true, OtherPeople: 3}, false, nil},
		"a card of many":               {Facts{Card: true, OtherPeople: 4}, false, []Rule{SharedCard}},
		"a person of many cards":       {Facts{Card: true, OtherCards: 3}, false, []Rule{ManyCards}},
		"many people and many cards":   {Facts{Card: true, OtherPeople: 4, OtherCards: 3}, true, []Rule{SharedCard, ManyCards}},
		"a large amount":               {Facts{Amount: 1_000_000}, false, []Rule{LargeAmount}},
		"ten times the largest":        {Facts{Amount: 100_000, LargestApproved: 10_000}, false, nil},
		"more than ten times":          {Facts{Amount: 100_001, LargestApproved: 10_000}, false, []Rule{AmountJump}},
		"large, sudden and foreign":    {Facts{Amount: 2_000_000, LargestApproved: 10_000, Card: true, Country: "GB"}, true, []Rule{LargeAmount, AmountJump, ForeignCard}},
		"large and shared: just there": {Facts{Amount: 1_000_000, Card: true, OtherPeople: 4}, true, []Rule{SharedCard, LargeAmount}},
	} {
		v := limits().Assess(c.facts)
		if v.Suspect != c.suspect || !slices.Equal(v.Rules, c.rules) {
			t.Errorf("%s: %+v", name, v)
		}
		if (v.Score >= 100) != v.Suspect || len(v.Findings()) != len(v.Rules) {
			t.Errorf("%s: score %d, findings %v", name, v.Score, v.Findings())
		}
	}
}

func TestZeroSwitchesOff(t *testing.T) {
	all := Facts{Amount: 1 << 40, Card: true, Country: "KP", ByCard: 99, ByEmail: 99, ByCPF: 99, RefusedCard: 99, RefusedCPF: 99,
		OtherPeople: 99, OtherCards: 99, LargestApproved: 1}
	if v := (Limits{Threshold: 100}).Assess(all); v.Suspect || len(v.Rules) > 0 {
		t.Errorf("switched off, and yet %+v", v)
	}
	if v := limits().Assess(all); len(v.Rules) != 10 {
		t.Errorf("only %v spoke", v.Rules)
	}
}

func TestDepth(t *testing.T) {
	if d := limits().Depth(); d != 11 {
		t.Errorf("depth %d: one more than the largest limit is enough to see it broken", d)
	}
}
