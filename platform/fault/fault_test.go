package fault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"trama/platform/fault"
)

func TestStatusOfEveryKind(t *testing.T) {
	want := map[fault.Kind]int{fault.Internal: 500, fault.Malformed: 400, fault.Unauthenticated: 401, fault.Forbidden: 403,
		fault.NotFound: 404, fault.Conflict: 409, fault.Precondition: 412, fault.Invalid: 422, fault.Exhausted: 429,
		fault.Unavailable: 503, fault.Timeout: 504, fault.Kind(99): 500}
	for kind, status := range want {
		if kind.Status() != status {
			t.Errorf("%s: %d, want %d", kind, kind.Status(), status)
		}
	}
}

func TestForeignErrorsAreOurFault(t *testing.T) {
	if k := fault.KindOf(errors.New("x")); k != fault.Internal {
		t.Errorf("got %s", k)
	}
	if k := fault.KindOf(fmt.Errorf("read: %w", context.DeadlineExceeded)); k != fault.Timeout {
		t.Errorf("a deadline is %s", k)
	}
	if fault.As(nil) != nil {
		t.Error("nil is no fault")
	}
}

func TestWrapKeepsIdentityAndTheOriginal(t *testing.T) {
	base := fault.New(fault.Conflict, "a", fault.Text{PT: "pt", EN: "en"})
	cause := errors.New("cause")
	wrapped := fmt.Errorf("doing: %w", base.Wrap(cause))
	if !errors.Is(wrapped, base) || !errors.Is(wrapped, cause) || base.Unwrap() != nil {
		t.Errorf("got %v", wrapped)
	}
	if errors.Is(wrapped, fault.New(fault.Conflict, "b", fault.Text{})) {
		t.Error("another code must not match")
	}
	if got := fault.As(wrapped).Text.In("pt"); got != "pt" {
		t.Error(got)
	}
}

func TestFields(t *testing.T) {
	if fault.Fields(nil) != nil {
		t.Error("no broken rule is no error")
	}
	err := fault.Fields([]fault.Field{{Pointer: "/nome", Rule: "obrigatorio"}})
	if f := fault.As(err); f.Kind != fault.Invalid || f.Code != fault.CodeInvalidFields || !strings.Contains(err.Error(), "/nome obrigatorio") {
		t.Errorf("got %v", err)
	}
}
