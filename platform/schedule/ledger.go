package schedule

import (
	"context"
	"time"

	"trama/platform/fault"
)

// Desk is where operators see tasks and ask for them. Errors are faults.
type Desk interface {
	// List gives every task that ever ran on this store, by name.
	List(ctx context.Context) ([]State, error)
	// Request asks for a run now, for who. NotFound for a task nobody knows.
	Request(ctx context.Context, name, who string) error
}

// Ledger keeps the tasks of a service in its store. Errors are faults;
// Unavailable when the store is down. Each method is one atomic change, and
// those with a State seen earlier change nothing when another process claimed
// a run since: the holder of a lease may learn late that it lost it.
type Ledger interface {
	Desk
	// Enter makes a task known. One that is new, or whose schedule is another than
	// before, is due at next; otherwise the time stays.
	Enter(ctx context.Context, name, about, schedule string, next time.Time) error
	// State gives one task; NotFound when it was not entered.
	State(ctx context.Context, name string) (State, error)
	// Move sets the time of the next run.
	Move(ctx context.Context, seen State, next time.Time) error
	// Claim begins a run at at: counts it, takes the request, sets the next time
	// lest the run never ends. False when it changed nothing.
	Claim(ctx context.Context, seen State, process string, at, next time.Time) (claimed State, ok bool, err error)
	// Finish ends the claimed run. Ending it twice is harmless.
	Finish(ctx context.Context, claimed State, o Outcome) error
}

// State is what the Ledger knows of a task. Zero times mean never, or not now.
type State struct {
	Name     string
	About    string
	Schedule string // for people: "a cada 10m", "30 2 * * * (America/Sao_Paulo)"
	Next     time.Time

	// Of the last run that ended.
	LastStart, LastEnd time.Time
	LastResult         Ending
	LastNote           string
	LastError          string

	Runs     int64 // begun so far; also the number of the run under way
	Failures int64 // of them
	Streak   int64 // failures since the last success

	RunningSince time.Time
	RunningBy    string // process, "host:pid"
	RequestedAt  time.Time
	RequestedBy  string
}

// Running says whether a run is under way, or died and nobody has noticed yet.
func (s State) Running() bool { return !s.RunningSince.IsZero() }

// Took is how long the last run lasted.
func (s State) Took() time.Duration { return s.LastEnd.Sub(s.LastStart) }

// Claimed is s after Claim, for adapters.
func (s State) Claimed(process string, at, next time.Time) State {
	s.Runs++
	s.RunningSince, s.RunningBy, s.Next = at, process, next
	s.RequestedAt, s.RequestedBy = time.Time{}, ""
	return s
}

// Ending is how a run ended.
type Ending string

// The endings; "" is that of a task that never ran.
const (
	OK      Ending = "ok"
	Failed  Ending = "failed"
	Stopped Ending = "stopped" // by the orderly stop of its process: no failure
)

// Outcome is what became of a run.
type Outcome struct {
	End    time.Time
	Next   time.Time
	Result Ending
	Note   string
	Error  string
}

// ErrUnknown is the NotFound fault for a task that nobody entered.
var ErrUnknown = fault.New(fault.NotFound, "tarefa-inexistente", fault.Text{
	PT: "Não há tarefa com esse nome. Confira os nomes na lista de tarefas.",
	EN: "There is no task of that name. See the names in the list of tasks.",
})
