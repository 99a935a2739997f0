package money_test

import (
	"testing"

	"trama/platform/money"
)

func TestParseAndString(t *testing.T) {
	for in, want := range map[string]string{"10": "10.00", "10.5": "10.50", "1299.00": "1299.00", "0.01": "0.01", "0": "0.00", "1000000": "1000000.00"} {
		if got, err := money.Parse(in); err != nil || got.String() != want {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"", ".", "1.", ".5", "1.234", "-1", "+1", "1e3", "1,00", "1 000", "1000000.01", "99999999999", "NaN", "١٢"} {
		if got, err := money.Parse(in); err == nil {
			t.Errorf("%q was read as %s", in, got)
		}
	}
}

func TestReal(t *testing.T) {
	for in, want := range map[money.Cents]string{0: "R$ 0,00", 4990: "R$ 49,90", 129900: "R$ 1.299,00", 100_000_000: "R$ 1.000.000,00", -5: "-R$ 0,05"} {
		if got := in.Real(); got != want {
			t.Errorf("%d: %q, want %q", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1299.00")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := money.Parse(s)
		if err != nil {
			return
		}
		if again, err := money.Parse(c.String()); err != nil || again != c {
			t.Errorf("%q is %s is %s, %v", s, c, again, err)
		}
	})
}
