package faults

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"trama/tests/harness"
)

func TestTwoOfEveryRoleOnSQLite(t *testing.T) {
	t.Parallel()
	race(t, nil, "SQLite, one data folder")
}

func TestTwoOfEveryRoleOnEngines(t *testing.T) {
	t.Parallel()
	race(t, engines(t), "PostgreSQL + RabbitMQ")
}

// race runs two processes, each with every relay, worker and task, and kills one
// and then the other while clients come.
func race(t *testing.T, set map[string]string, on string) {
	data := filepath.Join(t.TempDir(), "data")
	x := twins(t, data, set)
	const rounds = 3
	for range rounds {
		for _, twin := range x.doors {
			var clients sync.WaitGroup
			clients.Go(func() { x.crowd(6, 3) })
			x.handled()
			twin.Kill()
			clients.Wait() // the other one goes on alone
			twin.Launch()
			twin.AwaitReady()
		}
	}
	x.crowd(6, 3)
	report(t, faultRace, on, fmt.Sprintf("two relays, two workers, two schedulers for everything; %d times one of them killed", 2*rounds), x.verify())
	x.stop()
}

// handled waits until one more payment has been accepted: work is under way.
func (x *trial) handled() {
	before := len(x.promised())
	harness.Eventually(x.t, patience, "a payment under way", func() bool { return len(x.promised()) > before })
}

// twins makes a trial of two processes that are everything, each.
func twins(t *testing.T, data string, set map[string]string) *trial {
	t.Helper()
	x := prepareAt(t, data, false, set)
	x.doors = nil
	x.parts = map[string]*harness.System{}
	for _, name := range []string{"a", "b"} {
		s := harness.Prepare(t, harness.Options{Data: data, Serve: []string{"all"}, Set: x.set})
		x.parts[name] = s
		x.doors = append(x.doors, s)
	}
	x.System = x.doors[0]
	x.begin()
	x.doors[1].AwaitReady()
	return x
}
