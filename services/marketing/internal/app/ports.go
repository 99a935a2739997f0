// Package app is what marketing does, one file per use case, and the ports it
// needs for that. Use cases validate, decide with the domain's verbs and hand
// one change to the store; they hold no state of their own.
package app

import (
	"context"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
	"trama/platform/idempotency"
	"trama/platform/outbox"
	"trama/services/marketing/internal/lead"
)

// ErrNotFound: there is no such lead, or it was erased.
var ErrNotFound = fault.New(fault.NotFound, "lead-inexistente", fault.Text{
	PT: "Não há interessado com este identificador.",
	EN: "There is no lead with this id.",
})

// Registered is what a registration led to.
type Registered struct {
	Lead lead.Lead
	New  bool // this command made the lead; otherwise it was there before
}

// Registry takes in leads.
type Registry interface {
	// Replayed gives what the command with this key led to the first time; ok is
	// false when the key is new (or its lead was erased). It fails with
	// idempotency.ErrReused when the key came with another body.
	Replayed(ctx context.Context, key idempotency.Key) (r Registered, ok bool, err error)
	// Register stores the lead with its events and the key (nil: none) at once,
	// or gives the lead of the same address and course, storing the key only. Of
	// any number of concurrent calls, exactly one makes the lead. It fails with
	// idempotency.ErrRace when the key was taken meanwhile: ask Replayed.
	Register(ctx context.Context, l lead.Lead, key *idempotency.Key, events ...outbox.Message) (Registered, error)
}

// Leads reads and changes leads.
type Leads interface {
	// Get gives a lead; ErrNotFound.
	Get(ctx context.Context, id string) (lead.Lead, error)
	// List gives up to limit leads, newest first, older than the id before ("" begins).
	List(ctx context.Context, before string, limit int) ([]lead.Lead, error)
	// SameAddress gives all leads of an address.
	SameAddress(ctx context.Context, email string) ([]lead.Lead, error)
	// Update changes a lead and stores the events the change causes, at once. The
	// function may run more than once, each time on the current lead; what it
	// fails with comes back and nothing is stored. ErrNotFound.
	Update(ctx context.Context, id string, change func(l *lead.Lead) ([]outbox.Message, error)) (lead.Lead, error)
	// EraseAddress removes every trace of an address: its leads, their events
	// that were not published yet, idempotency keys, and the enrolment marks of
	// the digest. The events of farewell are published instead. Repeating is no error.
	EraseAddress(ctx context.Context, email, digest string, farewell func(lead.Lead) []outbox.Message) error
}

// Agenda knows which reminders are due.
type Agenda interface {
	// Due gives up to limit leads whose reminder is due at now, longest due first.
	Due(ctx context.Context, now time.Time, limit int) ([]lead.Lead, error)
	// NextDue gives when the next reminder is due; zero when none is planned.
	NextDue(ctx context.Context) (time.Time, error)
}

// Enrolment is a fact told by academics.
type Enrolment struct {
	Emails   []string // addresses of the person, lower case
	Digests  []string // their keyed digests
	CourseID string
	At       time.Time
}

// Enrolments remembers who is enrolled, by digest only.
type Enrolments interface {
	// Enrol marks the digests as enrolled in the course, and ends the reminders of
	// the leads of those addresses for that course or for none. An event
	// delivered twice to a subscription changes nothing the second time.
	Enrol(ctx context.Context, subscription string, e bus.Event, what Enrolment) error
	// IsEnrolled says whether the digest is marked for the course, or for any
	// course when courseID is empty.
	IsEnrolled(ctx context.Context, digest, courseID string) (bool, error)
}

// Store is everything a store of marketing does. One lead with its events and
// keys is its atom; storetest is its contract. Unavailable and Timeout come back
// as faults of these kinds.
type Store interface {
	Registry
	Leads
	Agenda
	Enrolments
}

// Courses is what academics tells about courses.
type Courses interface {
	// Course gives the course's title and whether it is sold. A fault NotFound
	// means that there is none; any other error, that academics gave no answer.
	Course(ctx context.Context, id string) (title string, active bool, err error)
}
