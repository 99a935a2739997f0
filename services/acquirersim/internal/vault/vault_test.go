package vault

import (
	"bytes"
	"errors"
	"testing"

	"trama/services/acquirersim/internal/card"
)

func TestTokens(t *testing.T) {
	v, err := New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	a, b := v.Seal(card.NoFunds), v.Seal(card.NoFunds)
	if a == b {
		t.Error("two tokens of one card are equal")
	}
	for _, token := range []string{a, b} {
		if got, err := v.Open(token); err != nil || got != card.NoFunds {
			t.Errorf("open: %s %v", got, err)
		}
	}
	forged := []byte(a)
	forged[len(forged)-2] ^= 1
	other, err := New(bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"changed": string(forged), "empty": "", "bare prefix": prefix, "no prefix": a[len(prefix):],
		"not base64": prefix + "!!!", "another key's": other.Seal(card.Approve), "an unknown behaviour": v.Seal("de-graca"),
	} {
		if _, err := v.Open(token); !errors.Is(err, ErrToken) {
			t.Errorf("%s token: %v", name, err)
		}
	}
	if _, err := New([]byte("short")); err == nil {
		t.Error("a key of the wrong length was taken")
	}
}
