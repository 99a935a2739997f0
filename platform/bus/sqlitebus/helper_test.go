package sqlitebus_test

import (
	"log/slog"
	"testing"
)

// quiet logs to the test's own output, shown only when it fails or with -v.
func quiet(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
