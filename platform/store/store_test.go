package store_test

import (
	"errors"
	"fmt"
	"testing"

	"trama/platform/fault"
	"trama/platform/store"
)

func TestCheckStatement(t *testing.T) {
	for _, bad := range []string{"COMMIT", "commit;", "\n\t begin immediate", "End", "ROLLBACK TO x", "SAVEPOINT a", "release a",
		"START TRANSACTION", "abort", "ATTACH 'x' AS y", "detach y"} {
		if store.CheckStatement(bad) == nil {
			t.Errorf("%q was let through", bad)
		}
	}
	for _, good := range []string{"", "SELECT 1", "INSERT INTO commits VALUES (1)", "UPDATE t SET a = 'COMMIT'",
		"WITH begin_at AS (SELECT 1) SELECT * FROM begin_at", "(SELECT 1)", "DELETE FROM rollback", "ENDING"} {
		if err := store.CheckStatement(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("the engine's words")
	for _, c := range []struct {
		err  error
		kind fault.Kind
		code string
	}{
		{store.Unavailable(cause), fault.Unavailable, store.CodeUnavailable},
		{store.Uncertain(cause), fault.Timeout, store.CodeUncertain},
		{store.Constraint("t_pkey", true, cause), fault.Conflict, store.CodeConstraint},
	} {
		wrapped := fmt.Errorf("saving: %w", c.err)
		f := fault.As(wrapped)
		if f.Kind != c.kind || f.Code != c.code || !errors.Is(wrapped, cause) || f.Text.PT == "" || f.Text.EN == "" {
			t.Errorf("%v: kind %v, code %s", wrapped, f.Kind, f.Code)
		}
	}
	if !store.IsUnique(fmt.Errorf("x: %w", store.Constraint("c", true, cause))) || store.IsUnique(store.Constraint("c", false, cause)) || store.IsUnique(nil) {
		t.Error("IsUnique")
	}
}

func TestValidLeaseName(t *testing.T) {
	for name, want := range map[string]bool{"relay": true, "a.b_c-1": true, "": false, ".a": false, "a/b": false, "A": false, "ã": false} {
		if store.ValidLeaseName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
