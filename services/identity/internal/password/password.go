// Package password makes first passwords and hashes. It owns the parameters of
// both and keeps nothing: a password is only ever in its caller's hands.
package password

import (
	"fmt"
	"io"
	"strings"
)

// alphabet has no two characters that are taken for each other on paper or on a
// screen (0 o, 1 l i, 2 z, 5 s, 6 8 b, 9 g q, u v: one of each stays) and no
// vowels, so that chance spells no words: 21 characters, 4.39 bits each.
const alphabet = "bcdfghjkmnprstvwxz347"

// Groups of characters with hyphens between them are easier to copy by hand.
const (
	groups    = 4
	groupSize = 5 // 4 × 5 × 4.39 = 87 bits
)

// New makes a random password, like "bk7mw-3xdzr-hv4nc-gtpfj". random is
// crypto/rand.Reader outside tests; its failure is the only error.
func New(random io.Reader) (string, error) {
	var out strings.Builder
	var b [1]byte
	for n := 0; n < groups*groupSize; {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", fmt.Errorf("password: random source: %w", err)
		}
		// Values that do not fit a whole number of times are drawn again:
		// a remainder would make the first characters likelier.
		if int(b[0]) >= 256/len(alphabet)*len(alphabet) {
			continue
		}
		if n > 0 && n%groupSize == 0 {
			out.WriteByte('-')
		}
		out.WriteByte(alphabet[int(b[0])%len(alphabet)])
		n++
	}
	return out.String(), nil
}
