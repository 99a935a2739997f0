package lane

import (
	"strings"
	"time"

	"trama/platform/fault"
)

// longestReason bounds what is kept of an error chain.
const longestReason = 4 << 10

// hopeless kinds cannot succeed however often the same event is tried.
func hopeless(k fault.Kind) bool {
	switch k {
	case fault.Malformed, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.Invalid:
		return true
	}
	return false
}

// exhausted says whether a fault of kind k after so many attempts is the end.
func exhausted(k fault.Kind, attempts, limit int) bool {
	if k.Transient() {
		return false
	}
	return hopeless(k) || attempts >= limit
}

// pause gives the time before the next try: first, doubled with each attempt up
// to longest, less up to a quarter of itself (jitter in [0,1)), at least after
// but never beyond longest.
func pause(first, longest time.Duration, attempts int, after time.Duration, jitter float64) time.Duration {
	p := longest
	if shift := attempts - 1; shift < 20 && first<<shift < p {
		p = first << shift
	}
	p -= time.Duration(jitter * float64(p) / 4)
	return max(p, min(after, longest))
}

func cut(reason string) string {
	if len(reason) > longestReason {
		return strings.ToValidUTF8(reason[:longestReason], "")
	}
	return reason
}
