package bus

import (
	"context"
	"time"
)

// Parking keeps what a subscription could not handle at once: durably, in the
// order of each subject, in the consumer's own store, so that it works the same
// over every broker. Package parking has the adapters and what operators do.
//
// Only the consumer that holds the subscription's lease calls Blocked, Front,
// Failed and Done; operators change letters beside it (see Woken). Errors are
// faults; Unavailable when the store is down.
type Parking interface {
	// Lease waits until the caller alone, among all processes, may work the
	// subscription; see store.Leaser.
	Lease(ctx context.Context, subscription string) (Lease, error)
	// Blocked gives every subject that has letters.
	Blocked(ctx context.Context, subscription string) ([]Blocked, error)
	// Park adds letters behind those of their subjects, all or none. A letter that
	// is there already (by ID) stays as it is: parking again is harmless.
	Park(ctx context.Context, subscription string, letters ...Letter) error
	// Front gives the first letters of a subject, oldest first, with their bodies.
	Front(ctx context.Context, subscription, subject string, limit int) ([]Letter, error)
	// Failed stores what a failed try changed in a letter: State, Due, Tries,
	// History.
	Failed(ctx context.Context, subscription string, l Letter) error
	// Done removes letters that were handled. One that is gone is no error.
	Done(ctx context.Context, subscription string, ids ...string) error
	// Woken gives the subjects whose first letter is due by now, at most limit,
	// and whether operators ask the consumer to step aside (see Hold): it then
	// gives up its lease and asks for it again.
	Woken(ctx context.Context, subscription string, now time.Time, limit int) (subjects []Blocked, held bool, err error)
}

// Lease is the right to work a subscription; see store.Lease.
type Lease interface {
	Lost() <-chan struct{}
	Release() error
}

// LetterState is where a letter stands.
type LetterState string

// The states. The first letter of a subject is waiting or dead; those behind it
// are behind until they come first, and then due at once.
const (
	Waiting LetterState = "waiting"
	Behind  LetterState = "behind"
	Dead    LetterState = "dead"
)

// Blocked is a subject with letters.
type Blocked struct {
	Subject string
	State   LetterState // of the first letter; Behind counts as Waiting and due
	Due     time.Time   // when the first letter is to be tried; zero: now
}

// Letter is a parked event.
type Letter struct {
	ID       string // of the event; of what is no event, a name made from its bytes
	Subject  string // of the event; of what is no event, its ID: it stands alone
	State    LetterState
	Body     []byte // as it came from the broker, or as an operator edited it
	Type     string // event type, as far as known
	TraceID  string // 32 hex digits; empty when there is none
	Due      time.Time
	Tries    int       // since it was parked or last retried by an operator
	History  []Attempt // oldest first; the middle of a long one is left out
	ParkedAt time.Time
	ParkedBy string // process that parked it: "host:pid"
	// Replay is the id of the replay that parked it; see WithReplay.
	Replay string
}

// Attempt is one failed try.
type Attempt struct {
	At    time.Time     `json:"at"`
	Took  time.Duration `json:"took"`  // nanoseconds
	Kind  string        `json:"kind"`  // fault kind
	Code  string        `json:"code"`  // fault code
	Error string        `json:"error"` // error chain, cut at 4 KiB; for operators
}

// LongestHistory bounds Letter.History: the first three and the latest attempts.
const LongestHistory = 20

// Note appends an attempt to the history and counts it.
func (l *Letter) Note(a Attempt) {
	l.Tries++
	l.History = append(l.History, a)
	if over := len(l.History) - LongestHistory; over > 0 {
		l.History = append(l.History[:3:3], l.History[3+over:]...)
	}
}

type replayKey struct{}

// WithReplay marks the context of a handler as belonging to a replay, which has
// inbox rows of its own: within one replay an event has one effect.
func WithReplay(ctx context.Context, id string) context.Context {
	if id == "" {
		return ctx
	}
	return context.WithValue(ctx, replayKey{}, id)
}

// Replay gives the id of the replay that the handler runs for; empty otherwise.
func Replay(ctx context.Context) string {
	id, _ := ctx.Value(replayKey{}).(string)
	return id
}
