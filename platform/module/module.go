// Package module owns the shape of what can be started: a service is a set of
// modules (its roles), a module is a declaration of what it serves, consumes
// and does in the background. The host (package system) wires declarations to
// servers, the bus and stores, whichever process they run in; a module never
// knows who else is in its process.
//
// Lifecycle: New (no I/O) → the host declares every subscription of the system →
// loops and consumers start → servers accept → … → Drain: servers stop
// accepting and finish, consumers hand back what they hold, loops end when their
// context does → outboxes flush → stores close.
package module

import (
	"context"
	"log/slog"
	"net/http"

	"connectrpc.com/connect/v2"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/schedule"
	"trama/platform/store"
)

// Module is one separately startable role of a service.
type Module struct {
	// Name is "<service>.<role>": the same in command line, configuration, logs.
	Name string
	// REST serves the service's public routes with their version ("/v1/marketing/...");
	// nil when the role has none. The host puts the standard chain in front.
	REST http.Handler
	// RPC registers the service's internal calls; nil when the role has none.
	RPC func(*connect.Server)
	// Subscriptions are consumed while the module runs.
	Subscriptions []bus.Subscription
	// Loops run while the module runs.
	Loops []Loop
	// Tasks are run at their times while the module runs, each by one of the
	// processes that share the service's store.
	Tasks []schedule.Task
}

// Loop is background work of a module.
type Loop struct {
	Name string
	// Leader makes the host run it in one instance at a time among all processes
	// that share the service's store (a lease; taken over at the death of the holder).
	Leader bool
	// Run works until ctx ends, then finishes what is in hand and returns nil. An
	// error or a panic is logged and the loop is run again after a pause.
	Run func(ctx context.Context) error
}

// Service is what a service's constructor gives.
type Service struct {
	Name    string
	Modules []Module
	// Source is set by a service that keeps its outbox outside Deps.Box.
	Source outbox.Source
}

// Deps is what the host gives to every service.
type Deps struct {
	Clock clock.Clock
	IDs   id.Source
	Log   *slog.Logger
	// Store is the service's own relational store, migrated; nil when it is
	// configured to keep its data elsewhere.
	Store store.DB
	// Box is the outbox in Store; nil when Store is.
	Box *outbox.Box
	// Call gives a client for another service's internal calls, by the service's
	// name, wherever it runs. A service that is nowhere known answers Unavailable.
	Call func(service string) *connect.Client
	// Secret derives a key of 32 bytes for one purpose ("payments.fingerprint")
	// from the installation's secret; the same purpose gives the same key in
	// every process.
	Secret func(purpose string) []byte
	Crash  *crash.Points
}
