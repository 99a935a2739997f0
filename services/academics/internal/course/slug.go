package course

import (
	"strconv"
	"strings"

	"trama/platform/rule"
)

// maxSlug is the longest slug that somebody may choose, in bytes; one that is
// made from a title leaves room for a number behind it.
const (
	maxSlug     = 100
	maxSlugBase = 80
)

// slugRule checks a chosen slug: groups of a-z and 0-9 with hyphens between
// them. Empty is fine: the slug is made from the title.
func slugRule(k *rule.Checker, pointer, s string) string {
	s = strings.TrimSpace(s)
	ok := len(s) <= maxSlug && !strings.HasPrefix(s, "-") && !strings.HasSuffix(s, "-") && !strings.Contains(s, "--")
	for _, c := range []byte(s) {
		ok = ok && (c == '-' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9')
	}
	if !ok {
		k.Add(pointer, "slug", "O slug tem até 100 letras minúsculas sem acento, números e hífens entre eles, como go-para-servicos.",
			"A slug has up to 100 lower-case letters without accents, digits, and hyphens between them, like go-para-servicos.")
	}
	return s
}

// nameSlug sets the slug: the chosen one, or one made from the title. A made
// slug that the course has already is kept, whatever number it ends in.
func (c *Course) nameSlug(current string, content checked) {
	if content.Slug != "" {
		c.Slug = content.Slug
		return
	}
	base := rule.Slug(content.Title, maxSlugBase)
	if base == "" {
		base = "curso"
	}
	if number, ok := strings.CutPrefix(current, base+"-"); current == base || ok && isNumber(number) {
		c.Slug = current
		return
	}
	c.Slug, c.SlugBase = base, base
}

func isNumber(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 2 && strconv.Itoa(n) == s
}

// SlugCandidate gives the n-th slug to try for a course whose slug is made from
// its title, from 1: "go", "go-2", "go-3"…
func (c *Course) SlugCandidate(n int) string {
	if n == 1 {
		return c.SlugBase
	}
	return c.SlugBase + "-" + strconv.Itoa(n)
}
