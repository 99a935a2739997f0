package faults

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The faults, in the order of the table.
const (
	faultKill      = "kill -9 at a named point"
	faultBroker    = "broker gone and back, under load"
	faultBrokerDie = "broker killed and restarted, under load"
	faultDatabase  = "PostgreSQL killed and restarted, under load"
	faultAway      = "database gone and back"
	faultTwice     = "every message delivered twice"
	faultLater     = "every message again 8 days later"
	faultOrder     = "random order within each subject"
	faultPoison    = "poison, 1 event in 100"
	faultInput     = "bad input on the queue"
	faultSkew      = "events of the next version"
	faultRace      = "two processes with the same roles, one killed"
	faultDisk      = "disk full"
	faultSlow      = "slow network: 200 ms, 10 kB/s"
	faultCut       = "network cut in the middle of a message"
	faultPower     = "power cut (ext4 image)"
)

var order = []string{faultKill, faultBroker, faultBrokerDie, faultDatabase, faultAway, faultTwice, faultLater, faultOrder, faultPoison,
	faultInput, faultSkew, faultRace, faultDisk, faultSlow, faultCut, faultPower}

// elsewhere are rows that other suites make.
const elsewhere = "| clock jumps by an hour and a day; 8 days of fake clock; failing, duplicating, delaying, reordering transport | " +
	"whole system in one bubble | see there | every accepted command ended, money conserved, order kept | `make simulate` |\n"

// entry is a row of the table.
type entry struct{ fault, on, done, held, test string }

// rows collects what the tests report; they run in parallel.
type rows struct {
	mu  sync.Mutex
	all []entry
}

var table rows // of this run

// report adds a row, unless the test has failed: what was done to the system on
// which engines, and what was counted afterwards.
func report(t *testing.T, fault, on, done, held string) {
	t.Helper()
	t.Logf("%s, %s: %s: %s", fault, on, done, held)
	if t.Failed() {
		return
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	table.mu.Lock()
	defer table.mu.Unlock()
	table.all = append(table.all, entry{fault, on, done, held, name})
}

const (
	beginMark = "<!-- made by make faults -->"
	endMark   = "<!-- end -->"
)

// write puts the table between the marks of a file.
func (r *rows) write(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no %s … %s", path, beginMark, endMark)
	}
	slices.SortStableFunc(r.all, func(a, b entry) int {
		if d := slices.Index(order, a.fault) - slices.Index(order, b.fault); d != 0 {
			return d
		}
		return strings.Compare(a.on, b.on)
	})
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\nRun of %s on %d cores, kernel and engines of one machine.\n\n", before, beginMark, time.Now().UTC().Format(time.DateOnly), runtime.NumCPU())
	b.WriteString("| Fault | On | What was done | What was counted | Test |\n|---|---|---|---|---|\n")
	for _, fault := range order {
		if !slices.ContainsFunc(r.all, func(e entry) bool { return e.fault == fault }) {
			fmt.Fprintf(&b, "| %s | | not run here | | |\n", fault)
		}
		for _, e := range r.all {
			if e.fault == fault {
				fmt.Fprintf(&b, "| %s | %s | %s | %s | `%s` |\n", e.fault, e.on, e.done, e.held, e.test)
			}
		}
	}
	b.WriteString(elsewhere + endMark + after)
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
