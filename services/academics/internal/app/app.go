// Package app is what can be done in academics: one type per subject, one
// method per use case. It owns the transactions; the rules are the domain's, the
// SQL is the store's.
package app

import (
	"log/slog"

	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/store"
)

// Deps is what the use cases stand on.
type Deps struct {
	DB    store.DB
	Box   *outbox.Box // in DB
	Clock clock.Clock
	IDs   id.Source
	Log   *slog.Logger
	Crash *crash.Points // nil in production
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T
	More  bool // there is at least one item behind the last
}

// page cuts what was read with limit+1.
func page[T any](items []T, limit int) Page[T] {
	if len(items) > limit {
		return Page[T]{Items: items[:limit], More: true}
	}
	return Page[T]{Items: items}
}

// Precondition judges the version of what is about to be changed (If-Match). It
// runs within the transaction.
type Precondition func(version int64) error
