package gateway

import (
	"strings"
	"unicode/utf8"
)

// checkPath refuses paths that two programs may read differently. Path is
// decoded once (url.URL.Path), raw is as it came where that differs
// (url.URL.RawPath). A second decoding by a service would not be ours; "%252e"
// reaches it as it was sent.
func checkPath(path, raw string) error {
	if path == "" || path[0] != '/' || !utf8.ValidString(path) {
		return ErrPath
	}
	for i := 0; i < len(path); i++ {
		if c := path[i]; c < 0x20 || c == 0x7f || c == '\\' {
			return ErrPath
		}
	}
	if hasEncodedSlash(raw) {
		return ErrPath
	}
	if path == "/" {
		return nil
	}
	// A slash at the end is fine; an empty segment anywhere else is not.
	for segment := range strings.SplitSeq(strings.TrimSuffix(path[1:], "/"), "/") {
		// Some servers cut a segment's parameters off before they resolve it, so
		// that "..;x" is "..".
		name, _, _ := strings.Cut(segment, ";")
		if name == "" || name == "." || name == ".." {
			return ErrPath
		}
	}
	return nil
}

// hasEncodedSlash finds %2F and %5C. Encoded control characters are seen in the
// decoded path.
func hasEncodedSlash(raw string) bool {
	for {
		i := strings.IndexByte(raw, '%')
		if i < 0 || i+2 >= len(raw) {
			return false
		}
		switch raw[i+1 : i+3] {
		case "2f", "2F", "5c", "5C":
			return true
		}
		raw = raw[i+3:]
	}
}
