// Command busbench measures our event buses beside Watermill and beside bare
// client loops that do the same durable work, on one machine, in one run, and
// prints Markdown tables. "make bench-bus" runs it; docs/benchmarks.md says how
// to read it.
//
// It has a module of its own, so that Watermill is no dependency of ours. Each
// measurement runs in a child process (this program again), so that processor
// time and garbage collection of one contender do not mix with another's;
// rounds are interleaved. Every child makes its own database, exchange, queues
// and files, and removes them. An engine that does not answer is told, and its
// contenders are left out.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 5, "rounds over all contenders")
	span := flag.Duration("time", 1500*time.Millisecond, "length of one measurement")
	rate := flag.Int("rate", 100, "events/s of the latency comparison at one rate")
	only := flag.String("only", "", "contenders, by comma; all when empty")
	groups := flag.String("groups", strings.Join(allGroups, ","), "groups of measurements, by comma")
	profile := flag.String("profile", "", "folder for processor profiles of the children")
	child := flag.String("child", "", "internal: run one order (JSON) and print its samples")
	flag.Parse()
	log.SetFlags(0)
	if *child != "" {
		if err := runChild(*child); err != nil {
			log.Fatal(err)
		}
		return
	}
	p := plan{rounds: *rounds, groups: strings.Split(*groups, ","), missing: missingEngines(),
		order: order{Span: *span, Rate: *rate, Profile: *profile}}
	if *only != "" {
		p.only = strings.Split(*only, ",")
	}
	before := load()
	r := p.run()
	fmt.Print(r.markdown(p, before, load()))
}

// order is what one child does.
type order struct {
	Contender, Group string
	Span             time.Duration
	Rate             int
	Profile          string
}

// sample is one measurement of one child.
type sample struct {
	Round     int
	Work      string
	PerSecond float64
	CPU       float64 // µs of this process's processor time per event
	P50, P99  float64 // ms; 0: not measured
}

type plan struct {
	rounds  int
	groups  []string
	only    []string
	missing map[string]error // by engine
	order   order
}

func (p plan) run() results {
	r := results{samples: map[string]map[string][]sample{}}
	for round := range p.rounds {
		for _, group := range p.groups {
			for _, c := range inTurn(round) {
				if !slices.Contains(c.groups, group) || p.missing[c.engine] != nil || p.missing[c.store] != nil ||
					(p.only != nil && !slices.Contains(p.only, c.name)) {
					continue
				}
				o := p.order
				o.Contender, o.Group = c.name, group
				samples, err := ask(o)
				if err != nil {
					r.failed = append(r.failed, fmt.Sprintf("round %d, %s, %s: %v", round+1, group, c.name, err))
					log.Print(r.failed[len(r.failed)-1])
				}
				for _, s := range samples {
					s.Round = round
					log.Printf("round %d %-9s %-22s %-26s %8.0f/s %6.0f µs p50 %.1f p99 %.1f ms", round+1, group, c.name, s.Work, s.PerSecond, s.CPU, s.P50, s.P99)
					r.add(c.name, s)
				}
			}
		}
	}
	return r
}

// inTurn gives the contenders, every other round from the last to the first, so
// that none gains or loses by what always runs before it.
func inTurn(round int) []contender {
	list := slices.Clone(contenders)
	if round%2 == 1 {
		slices.Reverse(list)
	}
	return list
}

// ask runs one child and waits for its answer.
func ask(o order) ([]sample, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute+10*o.Span)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-child", string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var samples []sample
	return samples, json.Unmarshal(out, &samples)
}

func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	f := strings.Fields(string(b))
	return strings.Join(f[:min(3, len(f))], " ")
}
