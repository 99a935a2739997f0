package httpx

import (
	"strconv"
	"strings"
)

// ETag gives the strong entity tag of a resource's version. Variants name what
// else the representation depends on (who reads it, for example), because two
// bodies that differ must not share a strong tag: ETag(3) is `"3"`,
// ETag(3, "equipe") is `"3-equipe"`.
func ETag(version int64, variants ...string) string {
	tag := strconv.FormatInt(version, 10)
	for _, v := range variants {
		tag += "-" + v
	}
	return `"` + tag + `"`
}

// NotModified says whether an If-None-Match value names the current tag, so
// that a read is answered with 304. The comparison is weak (RFC 9110, 13.1.2):
// a proxy that compresses may have weakened our tag.
func NotModified(ifNoneMatch, current string) bool {
	for tag := range tags(ifNoneMatch) {
		if tag == "*" || strings.TrimPrefix(tag, "W/") == current {
			return true
		}
	}
	return false
}

// CheckIfMatch compares an If-Match value with the version of the resource that
// is to be changed: nil when it names it in any variant (or is "*"),
// ErrIfMatchMissing when it is empty, ErrStale otherwise. Weak tags never match
// (RFC 9110, 13.1.1). Call it inside the transaction that changes the resource.
func CheckIfMatch(ifMatch string, version int64) error {
	if strings.TrimSpace(ifMatch) == "" {
		return ErrIfMatchMissing
	}
	want := strconv.FormatInt(version, 10)
	for tag := range tags(ifMatch) {
		if tag == "*" {
			return nil
		}
		if len(tag) < 2 || tag[0] != '"' || tag[len(tag)-1] != '"' {
			continue
		}
		number, _, _ := strings.Cut(tag[1:len(tag)-1], "-")
		if number == want {
			return nil
		}
	}
	return ErrStale
}

// tags gives the entity tags of a list. A comma inside quotes belongs to its tag.
func tags(list string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		quoted, start := false, 0
		for i := 0; i <= len(list); i++ {
			if i < len(list) && list[i] == '"' {
				quoted = !quoted
			}
			if i < len(list) && (list[i] != ',' || quoted) {
				continue
			}
			if tag := strings.TrimSpace(list[start:i]); tag != "" && !yield(tag) {
				return
			}
			start = i + 1
		}
	}
}
