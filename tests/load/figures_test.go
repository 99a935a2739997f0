// Package load measures the running system the way its users feel it, through
// HTTP. It asserts no times: machines differ. It prints the figures that
// docs/benchmarks.md quotes, each with the baseline of the same run.
package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trama/platform/enginetest"
	"trama/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// quiet is a system without artificial delays, log of requests or fraud limits
// that a load from one machine would meet.
func quiet(extra map[string]string) map[string]string {
	set := map[string]string{"acquirersim.delay": "0", "log.level": "error"}
	for k, v := range extra {
		set[k] = v
	}
	return set
}

func TestFigures(t *testing.T) {
	if os.Getenv("TRAMA_TEST_BENCH") == "" {
		t.Skip("measures for minutes; make bench runs it (TRAMA_TEST_BENCH=1)")
	}
	t.Run("start", start)
	t.Run("memory", memory)
	t.Run("group commit", groupCommit)
	t.Run("end to end", func(t *testing.T) { endToEnd(t, harness.Options{Set: quiet(nil)}, 100, 20*time.Second) })
	t.Run("engines", engines)
}

// start measures process start to first answer and to ready, with a new and an
// old data folder.
func start(t *testing.T) {
	harness.Binary(t)
	var fresh, again []time.Duration
	for range 7 {
		s := harness.Prepare(t, harness.Options{Set: quiet(nil)})
		for _, into := range []*[]time.Duration{&fresh, &again} {
			begun := time.Now()
			s.Launch()
			s.AwaitReady()
			*into = append(*into, time.Since(begun))
			s.Stop()
		}
	}
	t.Logf("ready after: first start %s, later starts %s (medians of %d)", median(fresh), median(again), len(fresh))
}

// memory measures the resident set after the whole flow ran a thousand times.
func memory(t *testing.T) {
	s := harness.Start(t, harness.Options{Set: quiet(nil)})
	before := resident(t, s.PID())
	const flows = 1000
	run(t, s, 0, flows, 16)
	awaitMails(t, s, flows)
	t.Logf("resident: %d MiB at rest after the start, %d MiB after %d flows (peak %d MiB)",
		before>>20, resident(t, s.PID())>>20, flows, peak(t, s.PID())>>20)
	s.Stop()
}

func awaitMails(t *testing.T, s *harness.System, n int) {
	harness.Eventually(t, 5*time.Minute, "all mail is sent", func() bool {
		entries, err := os.ReadDir(s.Data + "/correio")
		return err == nil && len(entries) >= n
	})
}

// groupCommit compares 64 clients with and without shared commits.
func groupCommit(t *testing.T) {
	for _, what := range []string{"leads", "payments"} {
		rates := map[string][]float64{}
		for range 3 {
			for _, batch := range []string{"1", "128"} {
				s := harness.Start(t, harness.Options{Set: quiet(map[string]string{"stores.maxBatch": batch})})
				rates[batch] = append(rates[batch], throughput(t, s, what, 64, 6*time.Second))
				s.Stop()
			}
		}
		one, group := medianFloat(rates["1"]), medianFloat(rates["128"])
		t.Logf("POST %s, 64 clients: %.0f/s with a commit each, %.0f/s with group commit: %.1f times", what, one, group, group/one)
	}
}

// throughput posts for d from the given number of clients and gives accepted/s.
func throughput(t *testing.T, s *harness.System, what string, clients int, d time.Duration) float64 {
	t.Helper()
	courses := s.Courses(t)
	var accepted, n atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	begun := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(n.Add(1))
				p := harness.NewPerson(what, i)
				path, body := "/marketing/leads", any(map[string]any{"nome": p.Nome, "email": p.Email, "consentimento": true})
				if what == "payments" {
					path, body = "/financeiro/pagamento", harness.CardPayment(p, courses[i%len(courses)].ID, harness.Card(i))
				}
				a, err := s.Do(ctx, http.MethodPost, path, body)
				switch {
				case err == nil && a.Status < 300:
					accepted.Add(1)
				case err == nil:
					t.Errorf("%s: %d %s", path, a.Status, a.Body)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(accepted.Load()) / time.Since(begun).Seconds()
}

// run sends n payments of people from the given number on, from some clients, and
// waits until all are enrolled.
func run(t *testing.T, s *harness.System, from, n, clients int) {
	t.Helper()
	courses := s.Courses(t)
	work := make(chan int)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := range work {
				flow(t, s, i, courses[i%len(courses)].ID)
			}
		})
	}
	for i := range n {
		work <- from + i
	}
	close(work)
	wg.Wait()
}

// pollEvery is how often a client asks for news; it is part of every end-to-end time.
const pollEvery = 5 * time.Millisecond

// flow pays once and polls until GET aluno answers; it gives the time from the
// 202 to that answer.
func flow(t *testing.T, s *harness.System, i int, course string) time.Duration {
	p := harness.NewPerson("flow", i)
	a, err := s.Do(t.Context(), http.MethodPost, "/financeiro/pagamento", harness.CardPayment(p, course, harness.Card(i)))
	if err != nil || a.Status != 202 {
		t.Errorf("payment %d: %d %v %s", i, a.Status, err, a.Body)
		return 0
	}
	begun := time.Now()
	for location := a.Header.Get("Location"); time.Since(begun) < time.Minute; time.Sleep(pollEvery) {
		a, err := s.Do(t.Context(), http.MethodGet, location, nil)
		var paid harness.Payment
		if err != nil || json.Unmarshal(a.Body, &paid) != nil || !harness.Enrolled(paid) {
			if paid.Situacao == "recusado" {
				t.Errorf("payment %d was refused: %s", i, paid.Motivo)
				return 0
			}
			continue
		}
		if a, err := s.Do(t.Context(), http.MethodGet, "/academico/alunos/"+paid.Matricula.AlunoID, nil); err == nil && a.Status == 200 {
			return time.Since(begun)
		}
	}
	t.Errorf("payment %d never became an enrolment", i)
	return 0
}

// endToEnd offers a steady rate (open loop) and gives the distribution of the
// time from 202 to GET aluno 200, as a client sees it that polls every 5 ms.
func endToEnd(t *testing.T, opt harness.Options, perSecond int, d time.Duration) {
	s := harness.Start(t, opt)
	courses := s.Courses(t)
	run(t, s, 0, 50, 8) // warm
	var mu sync.Mutex
	var times []time.Duration
	var wg sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	total := int(d.Seconds()) * perSecond
	for i := range total {
		<-tick.C
		wg.Go(func() {
			took := flow(t, s, 1000+i, courses[i%len(courses)].ID)
			mu.Lock()
			defer mu.Unlock()
			times = append(times, took)
		})
	}
	wg.Wait()
	slices.Sort(times)
	t.Logf("%d payments at %d/s, 202 to GET aluno 200: p50 %s, p90 %s, p99 %s, max %s", len(times), perSecond,
		quantile(times, 0.50), quantile(times, 0.90), quantile(times, 0.99), quantile(times, 1))
	s.Stop()
}

// engines measures the flow on PostgreSQL and RabbitMQ, beside what pgbench
// reaches on the same server with one durable insert per transaction.
func engines(t *testing.T) {
	set := harness.Engines(t)
	if os.Getenv("TRAMA_TEST_MONGODB_URL") == "" {
		delete(set, "stores.marketing")
	}
	base := pgbench(t, 16, 8)
	s := harness.Start(t, harness.Options{Set: quiet(set)})
	run(t, s, 0, 50, 8) // warm
	const flows = 2000
	rate := through(t, s, 1000, flows, 32)
	t.Logf("PostgreSQL + RabbitMQ: %.0f payments/s end to end; pgbench, one insert per transaction: %.0f/s; share %.2f", rate, base, rate/base)
	s.Stop()
}

// through sends n payments from some clients and gives how many a second went
// all the way, from the first request to the last enrolment. It asks rarely, so
// that asking does not take the processor from what is measured.
func through(t *testing.T, s *harness.System, from, n, clients int) float64 {
	t.Helper()
	courses := s.Courses(t)
	work, locations := make(chan int), make([]string, n)
	begun := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := range work {
				body := harness.CardPayment(harness.NewPerson("through", from+i), courses[i%len(courses)].ID, harness.Card(from+i))
				a, err := s.Do(t.Context(), http.MethodPost, "/financeiro/pagamento", body)
				if err != nil || a.Status != 202 {
					t.Errorf("payment %d: %d %v %s", i, a.Status, err, a.Body)
					continue
				}
				locations[i] = a.Header.Get("Location")
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
	for _, location := range locations {
		harness.Eventually(t, 2*time.Minute, "enrolment of "+location, func() bool {
			a, err := s.Do(t.Context(), http.MethodGet, location, nil)
			var paid harness.Payment
			return err == nil && json.Unmarshal(a.Body, &paid) == nil && harness.Enrolled(paid)
		})
	}
	return float64(n) / time.Since(begun).Seconds()
}

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

func pgbench(t *testing.T, clients, seconds int) float64 {
	t.Helper()
	url := enginetest.PostgresDatabase(t)
	enginetest.PostgresExec(t, url, "CREATE TABLE payment (id BIGSERIAL PRIMARY KEY, body TEXT NOT NULL)")
	script := t.TempDir() + "/insert.sql"
	insert := fmt.Sprintf("INSERT INTO payment (body) VALUES ('%s');\n", strings.Repeat("x", 400))
	if err := os.WriteFile(script, []byte(insert), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("pgbench", "-n", "-f", script, "-c", strconv.Itoa(clients), "-j", "2", "-T", strconv.Itoa(seconds), url).CombinedOutput()
	m := tps.FindSubmatch(out)
	if err != nil || m == nil {
		t.Skipf("pgbench: %v\n%s", err, out)
	}
	v, _ := strconv.ParseFloat(string(m[1]), 64)
	return v
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2].Round(time.Millisecond)
}

func medianFloat(f []float64) float64 {
	f = slices.Sorted(slices.Values(f))
	return f[len(f)/2]
}

// quantile of a sorted list.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(100 * time.Microsecond)
}

func resident(t *testing.T, pid int) int64 { return status(t, pid, "VmRSS") }
func peak(t *testing.T, pid int) int64     { return status(t, pid, "VmHWM") }

func status(t *testing.T, pid int, key string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("memory cannot be read here: %v", err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10
		}
	}
	t.Fatalf("no %s", key)
	return 0
}
