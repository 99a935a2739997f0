package parking

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"trama/platform/bus"
)

// longestError bounds, in bytes, what is kept of a letter's last error beside its
// history, and what Normal gives.
const longestError = 500

// Normal makes equal causes look equal: the first line of an error, with "#" for
// every UUID and every row of digits.
func Normal(text string) string {
	text = firstLine(text)
	var b strings.Builder
	for i := 0; i < len(text); {
		switch {
		case isUUID(text[i:]):
			b.WriteByte('#')
			i += 36
		case isDigit(text[i]):
			b.WriteByte('#')
			for i < len(text) && isDigit(text[i]) {
				i++
			}
		default:
			b.WriteByte(text[i])
			i++
		}
	}
	return b.String()
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isUUID says whether s begins with a UUID in its usual form.
func isUUID(s string) bool {
	if len(s) < 36 {
		return false
	}
	for i := range 36 {
		c := s[i] | 0x20 // lower case; "-" stays
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !isDigit(s[i]) && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

func firstLine(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	if len(text) > longestError {
		cut := longestError
		for !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	return Clean(strings.TrimSpace(text))
}

// Clean makes text something that every store takes: PostgreSQL refuses NUL and
// what is not UTF-8.
func Clean(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// Last gives kind, code and first line of the error of a letter's last try.
func Last(l bus.Letter) (kind, code, text string) {
	if len(l.History) == 0 {
		return "", "", ""
	}
	a := l.History[len(l.History)-1]
	return Clean(a.Kind), Clean(a.Code), firstLine(a.Error)
}

// LeaseName gives the name of the lease under which a subscription is worked. A
// subscription's name may be longer than a lease's, then a hash ends it.
func LeaseName(subscription string) string {
	const prefix, longest = "consume-", 64
	if len(prefix)+len(subscription) <= longest {
		return prefix + subscription
	}
	sum := sha256.Sum256([]byte(subscription))
	hash := "-" + hex.EncodeToString(sum[:8])
	return prefix + subscription[:longest-len(prefix)-len(hash)] + hash
}
