package card

import "testing"

func TestEveryTestCardIsValidAndDocumented(t *testing.T) {
	seen := map[string]bool{}
	kinds := map[Behaviour]bool{}
	for _, c := range Tests() {
		if !Valid(c.Number) {
			t.Errorf("%s fails Luhn", c.Number)
		}
		if seen[c.Number] {
			t.Errorf("%s is listed twice", c.Number)
		}
		if !c.Behaviour.Valid() || c.PT == "" || c.EN == "" || c.Brand == "" {
			t.Errorf("%s is not documented: %+v", c.Number, c)
		}
		if got := BehaviourOf(c.Number); got != c.Behaviour {
			t.Errorf("%s behaves as %s, listed as %s", c.Number, got, c.Behaviour)
		}
		seen[c.Number], kinds[c.Behaviour] = true, true
	}
	for _, b := range []Behaviour{Approve, Refuse, NoFunds, Blocked, Expired, WrongCVV, TimeoutThenApprove, TimeoutThenUnknown} {
		if !kinds[b] {
			t.Errorf("no test card for %s", b)
		}
	}
	if got := BehaviourOf("4242424242424242"); got != Approve {
		t.Errorf("any other number must approve, not %s", got)
	}
}

func TestValid(t *testing.T) {
	for number, want := range map[string]bool{
		"4111111111111111": true, "4111111111111112": false, "411111111111": false, "": false,
		"0000000000000000": false, "411111111111111a": false, "41111111111111111111": false,
		"4222222222222": true,
	} {
		if got := Valid(number); got != want {
			t.Errorf("Valid(%q) = %v", number, got)
		}
	}
}
