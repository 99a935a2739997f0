// Package storetrace makes a store's transactions visible in traces: an Update
// below a recorded span is a span "update", from waiting for the writer to the
// commit. What it promises is what the store below promises.
package storetrace

import (
	"context"

	"trama/platform/store"
	"trama/platform/telemetry"
)

// Wrap gives db with spans; db itself when the recorder is nil. Migrations want
// the db itself.
func Wrap(db store.DB, rec *telemetry.Recorder) store.DB {
	if rec == nil {
		return db
	}
	return traced{DB: db, rec: rec}
}

type traced struct {
	store.DB
	rec *telemetry.Recorder
}

// Update implements store.DB.
func (t traced) Update(ctx context.Context, fn func(tx store.Tx) error) error {
	ctx, span := t.rec.Step(ctx, "update")
	err := t.DB.Update(ctx, fn)
	span.Finish(err)
	return err
}
