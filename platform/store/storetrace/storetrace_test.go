package storetrace_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"trama/platform/store"
	"trama/platform/store/sqlitestore"
	"trama/platform/store/storetrace"
	"trama/platform/telemetry"
)

func TestUpdatesBelowARecordedSpanAreSpans(t *testing.T) {
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	rec, err := telemetry.Open(telemetry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rec.Close(context.Background()) })
	wrapped := storetrace.Wrap(db, rec)

	above, span := rec.For("payments").Span(t.Context(), telemetry.Server, "above")
	broken := errors.New("broken")
	for _, want := range []error{nil, broken} {
		if err := wrapped.Update(above, func(store.Tx) error { return want }); !errors.Is(err, want) {
			t.Errorf("gave %v, want %v", err, want)
		}
	}
	span.End(nil)
	background := telemetry.Start(t.Context())
	if err := wrapped.Update(background, func(store.Tx) error { return nil }); err != nil {
		t.Error(err)
	}

	spans := rec.Trace(telemetry.TraceID(above))
	if len(spans) != 3 {
		t.Fatalf("%+v", spans)
	}
	for i, s := range spans[1:] {
		if s.Name != "update" || s.Service != "payments" || s.ParentID != spans[0].SpanID || s.Failed != (i == 1) {
			t.Errorf("span %d is %+v", i, s)
		}
	}
	if got := rec.Trace(telemetry.TraceID(background)); len(got) != 0 {
		t.Errorf("background work is recorded: %+v", got)
	}
	if storetrace.Wrap(db, nil) != store.DB(db) {
		t.Error("without a recorder the store is not itself")
	}
}
