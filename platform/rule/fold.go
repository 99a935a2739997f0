package rule

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Fold gives the form of a text in which accents, case and punctuation do not
// count: lower-case letters and digits in words separated by single spaces.
// "Pão & Confeitaria: básico" gives "pao confeitaria basico". Two texts that
// people take for the same word fold alike; the result is for searching and
// sorting, never for showing.
func Fold(s string) string {
	var b strings.Builder
	gap := false
	for _, r := range norm.NFKD.String(s) {
		switch {
		case unicode.Is(unicode.Mn, r): // the accent that NFKD split off
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			if gap && b.Len() > 0 {
				b.WriteByte(' ')
			}
			gap = false
			b.WriteRune(unicode.ToLower(r))
		default:
			gap = true
		}
	}
	return b.String()
}

// Slug gives a text's name in an address: its folded words in ASCII, joined by
// hyphens, at most max bytes and not cut within a word where that can be
// helped. A text without a letter or digit of ASCII gives "".
func Slug(s string, max int) string {
	ascii := strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return ' '
		}
		return r
	}, Fold(s))
	slug := ""
	for _, word := range strings.Fields(ascii) {
		switch {
		case slug == "":
			slug = word[:min(len(word), max)]
		case len(slug)+1+len(word) <= max:
			slug += "-" + word
		default:
			return slug
		}
	}
	return slug
}
