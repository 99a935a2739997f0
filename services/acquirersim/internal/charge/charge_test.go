package charge

import (
	"errors"
	"strings"
	"testing"
	"time"

	"trama/services/acquirersim/internal/card"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestDecide(t *testing.T) {
	for _, c := range card.Tests() {
		ch := Charge{Method: Card, Behaviour: c.Behaviour}
		ch.Decide(noon)
		want := Approved
		if c.Behaviour.Reason() != "" {
			want = Refused
		}
		if ch.State != want || ch.Reason != c.Behaviour.Reason() {
			t.Errorf("%s: %s %q", c.Behaviour, ch.State, ch.Reason)
		}
	}
}

func TestPixAndBoletoLife(t *testing.T) {
	fresh := func() Charge {
		return Charge{Method: Pix, State: Pending, ExpiresAt: noon}
	}
	c := fresh()
	if c.Expire(noon.Add(-time.Millisecond)) {
		t.Error("expired before its time")
	}
	if changed, err := c.Pay(noon); err != nil || !changed {
		t.Fatalf("pay: %v %v", changed, err)
	}
	if changed, err := c.Pay(noon); err != nil || changed {
		t.Errorf("paying again: %v %v", changed, err)
	}
	if c.Expire(noon.Add(time.Hour)) {
		t.Error("a paid charge expired")
	}
	if changed, err := c.Refund(noon); err != nil || !changed {
		t.Errorf("refund: %v %v", changed, err)
	}
	if changed, err := c.Refund(noon); err != nil || changed {
		t.Errorf("refund again: %v %v", changed, err)
	}
	if _, err := c.Pay(noon); !errors.Is(err, ErrNotPayable) {
		t.Errorf("a refunded charge was paid: %v", err)
	}

	c = fresh()
	if !c.Expire(noon) || c.State != Expired {
		t.Error("did not expire on time")
	}
	if _, err := c.Pay(noon); !errors.Is(err, ErrNotPayable) {
		t.Errorf("an expired charge was paid: %v", err)
	}
	if _, err := c.Refund(noon); !errors.Is(err, ErrNotRefundable) {
		t.Errorf("an expired charge was refunded: %v", err)
	}
}

func TestCardChargeIsNotPayable(t *testing.T) {
	c := Charge{Method: Card, State: Approved}
	if _, err := c.Pay(noon); !errors.Is(err, ErrNotPayable) {
		t.Errorf("a card charge was paid by hand: %v", err)
	}
}

// The example of the Manual do BR Code, and the check value that every
// CRC catalogue gives for CRC-16/CCITT-FALSE.
func TestCRC16(t *testing.T) {
	if got := crc16("123456789"); got != 0x29B1 {
		t.Errorf("check value %04X", got)
	}
	manual := "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***6304"
	if got := crc16(manual); got != 0x1D3D {
		t.Errorf("manual's example: %04X", got)
	}
}

func TestPixCode(t *testing.T) {
	code := PixCode("01980a53-10aa-7c11-8f00-2b7d9e6c5a01", 129900, Merchant{Name: "TRAMA SIMULADOR", City: "SAO PAULO"})
	fields := map[string]string{}
	for rest := code; rest != ""; {
		tag, n := rest[:2], int(rest[2]-'0')*10+int(rest[3]-'0')
		fields[tag], rest = rest[4:4+n], rest[4+n:]
	}
	for tag, want := range map[string]string{
		"00": "01", "01": "12", "53": "986", "54": "1299.00", "58": "BR", "59": "TRAMA SIMULADOR", "60": "SAO PAULO", "62": "0503***",
	} {
		if fields[tag] != want {
			t.Errorf("field %s = %q, want %q", tag, fields[tag], want)
		}
	}
	if !strings.HasPrefix(fields["26"], "0014br.gov.bcb.pix25") || !strings.Contains(fields["26"], "01980a5310aa7c118f002b7d9e6c5a01") {
		t.Errorf("account %q", fields["26"])
	}
	if got := crcHex(code[:len(code)-4]); got != fields["63"] {
		t.Errorf("checksum %s, want %s", fields["63"], got)
	}
}

func crcHex(s string) string {
	const digits = "0123456789ABCDEF"
	c := crc16(s)
	return string([]byte{digits[c>>12], digits[c>>8&15], digits[c>>4&15], digits[c&15]})
}

// A published boleto (R$ 1,00 due 2007-12-31) gives all four check digits.
func TestBoletoLineOfAPublishedBoleto(t *testing.T) {
	got := line("001", "37370000000100", "0500940144816060680935031")
	if want := "00190500954014481606906809350314337370000000100"; got != want {
		t.Errorf("line %s, want %s", got, want)
	}
}

func TestBoletoLine(t *testing.T) {
	got := BoletoLine("01980a53-10aa-7c11-8f00-2b7d9e6c5a01", 129900, time.Date(2026, 11, 27, 2, 30, 0, 0, time.UTC))
	if len(got) != 47 || strings.Trim(got, "0123456789") != "" {
		t.Fatalf("%q is not 47 digits", got)
	}
	if !strings.HasPrefix(got, "9999") || !strings.HasSuffix(got, "0000129900") {
		t.Errorf("%s: wrong bank or amount", got)
	}
	// 02:30 UTC on the 27th is still the 26th in Brasília.
	if f := dueFactor(time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)); got[33:37] != pad4(f) {
		t.Errorf("due factor %s, want %s", got[33:37], pad4(f))
	}
	if other := BoletoLine("01980a53-10aa-7c11-8f00-2b7d9e6c5a02", 129900, noon); other[:33] == got[:33] {
		t.Error("two charges have the same line")
	}
}

func pad4(n int) string {
	return string([]byte{'0' + byte(n/1000), '0' + byte(n/100%10), '0' + byte(n/10%10), '0' + byte(n%10)})
}

func TestDueFactor(t *testing.T) {
	for day, want := range map[string]int{"2000-07-03": 1000, "2025-02-21": 9999, "2025-02-22": 1000, "2026-11-23": 1639} {
		d, err := time.ParseInLocation("2006-01-02", day, brasilia)
		if err != nil {
			t.Fatal(err)
		}
		if got := dueFactor(d); got != want {
			t.Errorf("%s: factor %d, want %d", day, got, want)
		}
	}
}
