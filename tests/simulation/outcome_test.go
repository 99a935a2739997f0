package simulation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// outcome is what two runs of a seed must have in common.
type outcome struct {
	text, hash string
	trace      []string
	counts     map[string]int // what happened, for the report
}

// tally adds up what happened in many runs.
type tally struct {
	mu     sync.Mutex
	runs   int
	counts map[string]int
}

func (a *tally) add(counts map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.runs++
	if a.counts == nil {
		a.counts = map[string]int{}
	}
	for what, n := range counts {
		a.counts[what] += n
	}
}

// String tells it, so that a run that hurts nothing cannot pass for a proof.
func (a *tally) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	lines := []string{fmt.Sprintf("%d seeds", a.runs)}
	for _, what := range slices.Sorted(maps.Keys(a.counts)) {
		lines = append(lines, fmt.Sprintf("  %7d  %s", a.counts[what], what))
	}
	return strings.Join(lines, "\n")
}

// outcome tells, without ids and times, what was told about each aggregate in its
// order, where every payment ended, what the acquirer did and who got which mail.
func (w *world) outcome(p *people) outcome {
	var lines []string
	told := map[string][]string{}
	for _, e := range w.broker.events() {
		name := w.broker.name(context.Background(), e)
		told[name] = append(told[name], short(e.Type))
	}
	for name, all := range told {
		lines = append(lines, name+": "+strings.Join(all, ", "))
	}
	lines = append(lines, w.rows("payments", `SELECT email, status || ' ' || reason FROM payment`)...)
	lines = append(lines, w.rows("acquirersim", `SELECT method || ' ' || state, COUNT(*) FROM charge GROUP BY 1`)...)
	lines = append(lines, w.rows("notifications", `SELECT kind || ' ' || state, COUNT(*) FROM message GROUP BY 1`)...)
	slices.Sort(lines)
	text := strings.Join(lines, "\n")
	sum := sha256.Sum256([]byte(text + w.plan.String()))
	return outcome{text: text, hash: hex.EncodeToString(sum[:8]), trace: w.trace, counts: w.counts}
}

func (w *world) rows(service, query string) (out []string) {
	rows, err := w.rawStore(service).Query(context.Background(), query)
	if err != nil {
		w.fail("%s: %v", service, err)
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var a, b string
		if err := rows.Scan(&a, &b); err != nil {
			w.fail("%s: %v", service, err)
		}
		out = append(out, service+": "+a+" "+b)
	}
	return out
}

// String tells the plan.
func (p *plan) String() string {
	lines := []string{fmt.Sprintf("the plan of seed %d: %d people, poison for %q, garbage for %q, jump by %s at %s, replay of %q at %s",
		p.seed, p.work.people, p.poison, p.garbage, p.jump, p.jumpAt, p.replay, p.replayAt)}
	for _, x := range p.work.payments {
		lines = append(lines, fmt.Sprintf("  %+v", x))
	}
	for _, x := range p.work.leads {
		lines = append(lines, fmt.Sprintf("  %+v", x))
	}
	for _, x := range p.outages {
		lines = append(lines, "  "+x.String())
	}
	for _, x := range p.deaths {
		lines = append(lines, fmt.Sprintf("  %+v", x))
	}
	return strings.Join(lines, "\n")
}

// A seed is a run: the same plan, and the same outcome.
func TestSeedIsARun(t *testing.T) {
	base := scratch(t)
	s := prepare(t, base)
	for seed := range uint64(8) {
		var first outcome
		for n := range 2 {
			t.Run(fmt.Sprintf("seed=%d/%d", seed+1, n+1), func(t *testing.T) {
				got := simulate(t, seed+1, s, fmt.Sprintf("%s/twice-%d-%d", base, seed+1, n), false)
				if n == 0 {
					first = got
				} else if got.hash != first.hash {
					t.Errorf("two outcomes of one seed:\n%s\n---\n%s", first.text, got.text)
				}
			})
		}
	}
}
