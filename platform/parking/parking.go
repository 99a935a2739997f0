// Package parking keeps the events that a subscription cannot handle now, and
// lets operators work on those that were given up.
//
// A Lot keeps letters in a service's own relational store (package mongoparking
// in MongoDB); it is the bus.Parking of the service's consumers and the Admin of
// its operators. Its tables come with outbox.Schema.
//
// Promises:
//
//   - The letters of a subject stand in the order they were parked in. The first
//     one is waiting or dead, never behind: parking behind nothing, and handling
//     or dropping what stood in front, make a letter waiting and due at once, in
//     the same transaction.
//   - Parking a letter again changes nothing. So does every act of an operator
//     that was done before.
//   - Every act leaves an audit row in the transaction that does it. Audit rows
//     hold no bodies, only their SHA-256.
//   - However many letters are behind one subject, what the consumer asks for
//     costs an index look-up.
//
// Writers of one subscription take turns (they lock its row), so an operator's
// act and the consumer's meet in some order and never half-way. An act on a letter
// whose try is under way is kept when that try fails; when it succeeds the letter
// is gone, as the event has had its effect.
package parking

import (
	"context"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
)

// Filter selects letters; zero values select everything. What is said of kinds,
// codes and errors is said of the last try.
type Filter struct {
	Subscription string
	Subject      string
	Type         string
	Kind         string
	Code         string
	Error        string          // as Causes gives it, see Normal
	State        bus.LetterState // "": any
	IDs          []string        // at most 10,000
	From, To     time.Time       // ParkedAt: from the one, before the other
	// ActedBefore leaves out what operators have touched since. A caller that
	// repeats a bulk act until nothing is left sets it to the time it began, so
	// that a letter which fails again meanwhile is not taken a second time.
	ActedBefore time.Time
}

// Entry is a letter as operators see it.
type Entry struct {
	Subscription string
	bus.Letter
	Position  int64
	BehindIt  int // letters of the subject behind it; 0 for one that is behind itself
	LastKind  string
	LastCode  string
	LastError string // first line
}

// Cause is a group of letters, none of them behind, that failed alike.
type Cause struct {
	Subscription, Type, Kind, Code, Error string // Error: see Normal
	Count                                 int
	Oldest, Newest                        time.Time // ParkedAt
	Example                               string    // id of a letter
}

// The acts.
const (
	ActRetry   = "retry"
	ActEdit    = "edit"
	ActDrop    = "drop"
	ActHold    = "hold"
	ActRelease = "release"
	ActReplay  = "replay"
	ActExport  = "export"
)

// Act is one thing an operator did.
type Act struct {
	ID           string // given by the store; increasing in time
	At           time.Time
	Who          string
	Act          string
	Subscription string
	Letter       string
	Type         string
	Subject      string
	Detail       string
}

// Count is what a subscription has parked.
type Count struct {
	Subscription          string
	Waiting, Behind, Dead int
	OldestDead            time.Time // ParkedAt
	NextDue               time.Time // of the letters waiting
	Held                  bool
}

// BulkLimit is how many letters a bulk act works on when it is not told.
const BulkLimit = 500

// CountLimit is how far a bulk act counts what is left.
const CountLimit = 100_000

// ErrNotFound is the fault for a letter that is not there.
var ErrNotFound = fault.New(fault.NotFound, "mensagem-nao-encontrada", fault.Text{
	PT: "Não há mensagem estacionada com este identificador nesta assinatura; talvez já tenha sido tratada.",
	EN: "There is no parked message with this id in this subscription; it may have been handled.",
})

// ErrOtherEvent is the fault for an edit that makes a letter another event.
var ErrOtherEvent = fault.New(fault.Invalid, "edicao-de-outro-evento", fault.Text{
	PT: "A edição não pode mudar id nem subject do evento.",
	EN: "An edit must keep the event's id and subject.",
})

// Admin is what operators do with letters. Errors are faults; Unavailable when
// the store is down. Bulk acts take at most limit letters (0: BulkLimit) and say
// how many more there are (counted up to CountLimit): call again until done is 0.
type Admin interface {
	// List gives letters by subscription and position, without bodies and
	// histories. after is the next of the page before; next is empty at the end.
	List(ctx context.Context, f Filter, after string, limit int) (items []Entry, next string, err error)
	// Causes groups what failed, the most frequent first.
	Causes(ctx context.Context, f Filter) ([]Cause, error)
	// Get gives one letter; ErrNotFound when there is none.
	Get(ctx context.Context, subscription, id string) (Entry, error)
	// Retry makes letters waiting, due now, with all tries before them. Letters
	// behind others and those that are due already are not touched.
	Retry(ctx context.Context, f Filter, who string, limit int) (done, left int, err error)
	// Edit gives a letter another body, a whole event of the same id and subject,
	// and makes it due now with all tries before it (one that is behind stays
	// there). What was no event may become any; it goes on to stand alone. An edit
	// made before changes nothing, even if the letter has been handled since.
	Edit(ctx context.Context, subscription, id string, body []byte, who, why string) error
	// Drop removes letters for ever: a late delivery of the event finds it handled.
	Drop(ctx context.Context, f Filter, who, why string, limit int) (done, left int, err error)
	// Audit gives acts, oldest first; f.From and f.To are about Act.At, f.IDs about
	// letters, and f's State, Kind, Code and Error are not asked.
	Audit(ctx context.Context, f Filter, after string, limit int) (acts []Act, next string, err error)
	// Note writes an audit row for an act done elsewhere. A zero At means now.
	Note(ctx context.Context, a Act) error
	// Hold asks the subscription's consumer to step aside until then: for as long as
	// whoever asks lives to ask again. A past time lets it work.
	Hold(ctx context.Context, subscription string, until time.Time, who string) error
	// Counts gives every subscription that ever parked something or was held.
	Counts(ctx context.Context) ([]Count, error)
}
