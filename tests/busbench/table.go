package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// results are the samples of all rounds, by contender and work.
type results struct {
	samples map[string]map[string][]sample
	failed  []string
}

func (r results) add(contender string, s sample) {
	if r.samples[contender] == nil {
		r.samples[contender] = map[string][]sample{}
	}
	r.samples[contender][s.Work] = append(r.samples[contender][s.Work], s)
}

func (r results) median(contender, work string, of func(sample) float64) float64 {
	var xs []float64
	for _, s := range r.samples[contender][work] {
		xs = append(xs, of(s))
	}
	return median(xs)
}

func perSecond(s sample) float64 { return s.PerSecond }
func cpu(s sample) float64       { return s.CPU }
func p50(s sample) float64       { return s.P50 }
func p99(s sample) float64       { return s.P99 }

func (r results) markdown(p plan, before, after string) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%d rounds of %v, medians; payload %d B; %s, %d CPUs; load average before %s, after %s.\n",
		p.rounds, p.order.Span, eventBytes, runtime.Version(), runtime.NumCPU(), before, after)
	for engine, err := range p.missing {
		fmt.Fprintf(&w, "\n%s does not answer (%v): its contenders are left out.\n", engine, err)
	}
	r.publishing(&w)
	r.consuming(&w)
	r.through(&w, p.order.Rate)
	r.embedded(&w)
	r.ratios(&w)
	for _, f := range r.failed {
		fmt.Fprintf(&w, "\nFailed: %s\n", f)
	}
	return w.String()
}

// table writes a heading and a row for each contender that has samples of work.
func (r results) table(w *strings.Builder, head, work string, row func(name string) []string) {
	if !slices.ContainsFunc(contenders, func(c contender) bool { return len(r.samples[c.name][work]) > 0 }) {
		return
	}
	fmt.Fprintf(w, "\n| %s |\n|%s\n", head, strings.Repeat("---|", strings.Count(head, "|")+1))
	for _, c := range contenders {
		if len(r.samples[c.name][work]) > 0 {
			fmt.Fprintf(w, "| %s | %s |\n", c.title, strings.Join(row(c.name), " | "))
		}
	}
}

func (r results) publishing(w *strings.Builder) {
	r.table(w, "publish + confirm, events/s (CPU µs/event) | 1 producer, one by one | 1 producer, 100 at once | 16 producers, one by one | 16 producers, 100 at once",
		shapes[0].work(), func(name string) (out []string) {
			for _, s := range shapes {
				out = append(out, r.speed(name, s.work()))
			}
			return out
		})
}

func (r results) speed(name, work string) string {
	return fmt.Sprintf("%s (%.0f)", thousands(r.median(name, work, perSecond)), r.median(name, work, cpu))
}

func (r results) consuming(w *strings.Builder) {
	r.table(w, "consume + inbox + effect + commit | events/s | CPU µs/event", "consume", func(name string) []string {
		return []string{thousands(r.median(name, "consume", perSecond)), fmt.Sprintf("%.0f", r.median(name, "consume", cpu))}
	})
}

func (r results) through(w *strings.Builder, rate int) {
	head := fmt.Sprintf("publish to committed effect, 16 producers one by one | events/s | CPU µs/event | p50 / p99 ms at half of that | p50 / p99 ms at %d/s", rate)
	r.table(w, head, "through", func(name string) []string {
		return []string{thousands(r.median(name, "through", perSecond)), fmt.Sprintf("%.0f", r.median(name, "through", cpu)),
			r.waits(name, "through, half"), r.waits(name, "through, same")}
	})
}

func (r results) waits(name, work string) string {
	return fmt.Sprintf("%.1f / %.1f", r.median(name, work, p50), r.median(name, work, p99))
}

func (r results) embedded(w *strings.Builder) {
	shapes := []shape{{64, 1}, {4, batchSize}}
	work := func(s shape) string { return fmt.Sprintf("embedded %d x %d", s.producers, s.batch) }
	r.table(w, "durable publish to handler, events/s (CPU µs/event) | 64 producers, one by one | 4 producers, 100 at once", work(shapes[0]),
		func(name string) []string {
			return []string{r.speed(name, work(shapes[0])), r.speed(name, work(shapes[1]))}
		})
}

// comparison is ours against another, as a share of speed.
type comparison struct {
	what, ours, other, work, aim string
}

var (
	one1, one100, many1 = shapes[0].work(), shapes[1].work(), shapes[2].work()

	comparisons = []comparison{
		{"publish, 1 producer, batches of 100: amqpbus LogOff / Watermill AMQP", "amqpbus-nolog", "amqp-watermill", one100, "≥ 3"},
		{"publish, 1 producer, batches of 100: amqpbus with its log / Watermill AMQP", "amqpbus", "amqp-watermill", one100, "≥ 3"},
		{"publish, 1 producer, one by one: amqpbus LogOff / Watermill AMQP", "amqpbus-nolog", "amqp-watermill", one1, "-"},
		{"publish, 16 producers, one by one: amqpbus LogOff / Watermill AMQP", "amqpbus-nolog", "amqp-watermill", many1, "-"},
		{"publish, 1 producer, batches of 100: amqpbus LogOff / bare", "amqpbus-nolog", "amqp-bare", one100, "≥ 0.7"},
		{"publish, 1 producer, one by one: amqpbus LogOff / bare", "amqpbus-nolog", "amqp-bare", one1, "≥ 0.7"},
		{"publish, 16 producers, one by one: amqpbus LogOff / bare", "amqpbus-nolog", "amqp-bare", many1, "≥ 0.7"},
		{"publish, 1 producer, batches of 100: pgbus / Watermill SQL", "pgbus", "pg-watermill", one100, "-"},
		{"publish, 16 producers, one by one: pgbus / Watermill SQL", "pgbus", "pg-watermill", many1, "-"},
		{"publish, 1 producer, batches of 100: pgbus / bare", "pgbus", "pg-bare", one100, "≥ 0.7"},
		{"publish, 16 producers, one by one: pgbus / bare", "pgbus", "pg-bare", many1, "≥ 0.7"},
		{"publish, 1 producer, batches of 100: pgbus / bare with its indexes", "pgbus", "pg-bare-indexes", one100, "≥ 0.7"},
		{"consume with inbox: amqpbus / Watermill AMQP in order", "amqpbus-nolog", "amqp-watermill", "consume", "≥ 2"},
		{"consume with inbox: amqpbus / Watermill AMQP, 32 subscribers without order", "amqpbus-nolog", "amqp-watermill-32", "consume", "-"},
		{"consume with inbox: amqpbus Batch / Watermill AMQP in order", "amqpbus-nolog-batch", "amqp-watermill", "consume", "≥ 2"},
		{"consume with inbox: amqpbus Batch / Watermill AMQP, 32 subscribers without order", "amqpbus-nolog-batch", "amqp-watermill-32", "consume", "≥ 2"},
		{"consume with inbox: amqpbus / bare", "amqpbus-nolog", "amqp-bare", "consume", "≥ 0.7"},
		{"consume with inbox: amqpbus Batch / bare of 100", "amqpbus-nolog-batch", "amqp-bare-batch", "consume", "≥ 0.7"},
		{"consume with inbox: pgbus / Watermill SQL", "pgbus", "pg-watermill", "consume", "-"},
		{"consume with inbox: pgbus Batch / Watermill SQL in its own transaction of 100", "pgbus-batch", "pg-watermill-tx", "consume", "-"},
		{"consume with inbox: pgbus / bare", "pgbus", "pg-bare", "consume", "≥ 0.7"},
		{"consume with inbox: pgbus Batch / bare of 100", "pgbus-batch", "pg-bare-batch", "consume", "≥ 0.7"},
	}
)

// ratios compares round by round, as the machine's load changes between rounds,
// and gives the median with the least and the greatest.
func (r results) ratios(w *strings.Builder) {
	fmt.Fprintf(w, "\n| ours / other, events/s | aim | median (least - greatest of the rounds) |\n|---|---|---|\n")
	for _, c := range comparisons {
		a, b := r.samples[c.ours][c.work], r.samples[c.other][c.work]
		var xs []float64
		for _, x := range a {
			if i := slices.IndexFunc(b, func(y sample) bool { return y.Round == x.Round }); i >= 0 {
				xs = append(xs, x.PerSecond/b[i].PerSecond)
			}
		}
		if len(xs) == 0 {
			continue
		}
		m := median(xs) // sorts
		fmt.Fprintf(w, "| %s | %s | %.2f (%.2f - %.2f) |\n", c.what, c.aim, m, xs[0], xs[len(xs)-1])
	}
}

func thousands(x float64) string {
	n := int(x + 0.5)
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
