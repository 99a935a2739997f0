package password_test

import (
	"bytes"
	"crypto/rand"
	"math"
	"runtime"
	"strings"
	"testing"

	"trama/services/identity/internal/password"
)

func TestPasswordsAreLongReadableAndEvenlySpread(t *testing.T) {
	seen := map[string]bool{}
	count := map[rune]int{}
	const n = 5000
	length := 0
	for range n {
		p, err := password.New(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if seen[p] {
			t.Fatal("the same password twice")
		}
		seen[p] = true
		parts := strings.Split(p, "-")
		if len(parts) != 4 {
			t.Fatalf("%q is not in four groups", p)
		}
		for _, part := range parts {
			if len(part) != 5 {
				t.Fatalf("%q has a group that is not of five", p)
			}
		}
		for _, r := range strings.Join(parts, "") {
			count[r]++
		}
		length = len(strings.Join(parts, ""))
	}
	if bits := float64(length) * math.Log2(float64(len(count))); bits < 80 {
		t.Errorf("%d characters of %d kinds are %.1f bits, want 80", length, len(count), bits)
	}
	for r, got := range count {
		if strings.ContainsRune("0o1liuI25689qaeAEOU", r) {
			t.Errorf("%q is taken for another character, or a vowel", r)
		}
		mean := float64(n*length) / float64(len(count))
		if math.Abs(float64(got)-mean) > 6*math.Sqrt(mean) { // a fair source passes all but once in 10^8
			t.Errorf("%q was drawn %d times, the mean is %.0f", r, got, mean)
		}
	}
}

// The bytes that would favour the first characters (252 to 255) are drawn again.
func TestPasswordIsUnbiased(t *testing.T) {
	source := append(bytes.Repeat([]byte{252, 255}, 10), bytes.Repeat([]byte{20}, 20)...)
	p, err := password.New(bytes.NewReader(source))
	if err != nil || p != "77777-77777-77777-77777" {
		t.Errorf("got %q, %v", p, err)
	}
}

func TestNoRandomnessNoPassword(t *testing.T) {
	if p, err := password.New(bytes.NewReader(make([]byte, 19))); err == nil || p != "" {
		t.Errorf("got %q, %v", p, err)
	}
	if h, err := password.NewHasher(bytes.NewReader(nil), 1, 0).Hash(t.Context(), "x"); err == nil || h != "" {
		t.Errorf("got %q, %v", h, err)
	}
}

func TestHashMatchesItsPasswordOnly(t *testing.T) {
	h := password.NewHasher(rand.Reader, 1, 0)
	hash, err := h.Hash(t.Context(), "bk7mw-3xdzr")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("not the parameters asked for: %q", hash)
	}
	if !password.Matches("bk7mw-3xdzr", hash) {
		t.Error("the password does not match its hash")
	}
	for _, other := range []string{"", "bk7mw-3xdzs", "BK7MW-3XDZR", "bk7mw-3xdzr "} {
		if password.Matches(other, hash) {
			t.Errorf("%q matches", other)
		}
	}
	again, err := h.Hash(t.Context(), "bk7mw-3xdzr")
	if err != nil || again == hash {
		t.Errorf("two hashes of one password are equal (no salt), or %v", err)
	}
}

func TestBrokenHashMatchesNothing(t *testing.T) {
	for _, hash := range []string{"", "x", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$", "$argon2id$v=18$m=8,t=1,p=1$c2FsdA$AAAA",
		"$argon2i$v=19$m=8,t=1,p=1$c2FsdA$AAAA", "$argon2id$v=19$m=8,t=0,p=1$c2FsdA$AAAA", "$argon2id$v=19$m=8,t=1,p=0$c2FsdA$AAAA",
		"$argon2id$v=19$m=8,t=1,p=1$!$AAAA", "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$!"} {
		if password.Matches("", hash) || password.Matches("x", hash) {
			t.Errorf("%q matches", hash)
		}
	}
}

func FuzzMatches(f *testing.F) {
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$AAAA")
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$c2FsdA$AAAA")
	f.Add("$argon2id$v=19$m=8,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, phc string) {
		if password.Matches("bk7mw-3xdzr-hv4nc-gtpfj", phc) {
			t.Errorf("a made-up hash matches: %q", phc)
		}
	})
}

// Hashes must not make the process fat: afterwards none of their memory is held.
func TestHashGivesItsMemoryBack(t *testing.T) {
	h := password.NewHasher(rand.Reader, 1, 0)
	for range 5 {
		if _, err := h.Hash(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if held := (m.HeapSys - m.HeapReleased) >> 20; held >= 19 {
		t.Errorf("%d MiB are still held after 5 hashes of 19 MiB", held)
	}
}
