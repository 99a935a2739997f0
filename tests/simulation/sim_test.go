package simulation

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"trama/platform/clock"
	"trama/platform/datadir"
	"trama/tests/harness"
)

// TestMain leads all HTTP that the system sends out back to the world it came from:
// a socket would stop the fake clock.
func TestMain(m *testing.M) {
	http.DefaultTransport = &doors{worlds: map[string]*world{}}
	os.Exit(m.Run())
}

// scratch is a place for the files of the runs, in memory where there is one: what
// is simulated is the death of processes, not of disks.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "trama-simulation-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// seeds says how many to run.
func seeds(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("TRAMA_SIM_SEEDS")); err == nil {
		return n
	}
	switch {
	case testing.Short():
		return 20
	case os.Getenv("TRAMA_TEST_REQUIRE") != "" || os.Getenv("CI") != "":
		return 2000
	}
	return 100
}

func TestSeeds(t *testing.T) {
	base := scratch(t)
	school := prepare(t, base)
	if text := os.Getenv("TRAMA_SIM_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		out := simulate(t, seed, school, filepath.Join(base, "one"), true)
		t.Logf("the trace of seed %d:\n%s\n\noutcome:\n%s", seed, strings.Join(out.trace, "\n"), out.text)
		return
	}
	var all tally
	t.Cleanup(func() {
		if os.Getenv("TRAMA_SIM_SEEDS") != "" {
			fmt.Println(&all) // for make simulate, which wants no line for each seed
		}
	})
	for seed := range uint64(seeds(t)) {
		t.Run(fmt.Sprint("seed=", seed+1), func(t *testing.T) {
			t.Parallel()
			all.add(simulate(t, seed+1, school, filepath.Join(base, fmt.Sprint("seed-", seed+1)), false).counts)
		})
	}
}

// school is what every run begins with.
type school struct {
	folder  string // to be copied
	courses []harness.Course
}

// prepare makes the folder that every run begins with: migrated, with courses.
func prepare(t *testing.T, base string) (out school) {
	out.folder = filepath.Join(base, "template")
	synctest.Test(t, func(t *testing.T) {
		dir, err := datadir.Open(out.folder, datadir.Exclusive, 0, "0123456789012345678901234567890123456789", strings.Repeat("secret", 10))
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		w := &world{t: t, plan: &plan{}, clock: &clock.Shifted{}, dir: dir, config: settings(t, nil), passed: map[string]int{}, counts: map[string]int{}}
		w.broker = newBroker(w)
		w.inc = w.live(1)
		_, answer := w.ask("courses", "GET", "/v1/academico/cursos?limite=100", nil)
		var page struct{ Itens []harness.Course }
		if err := json.Unmarshal(answer, &page); err != nil {
			t.Fatal(err)
		}
		out.courses = page.Itens
		if err := w.inc.end(); err != nil {
			t.Fatal(err)
		}
	})
	return out
}

// simulate is one run.
func simulate(t *testing.T, seed uint64, s school, folder string, tell bool) (out outcome) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, s.folder, folder, tell)
		defer http.DefaultTransport.(*doors).open(filepath.Base(folder)+".invalid", w)()
		w.run()
		p := newPeople(w, s.courses)
		p.act()
		p.disturb()
		p.all.Wait()
		for n, jump := range jumps {
			if n > 0 {
				w.jump(jump)
			}
			w.settle(p)
			p.leave()
		}
		w.settle(p)
		if len(w.broken) == 0 { // else the first finding is the one that tells
			w.check(p)
		}
		out = w.outcome(p)
		w.stop()
		if len(w.broken) > 0 {
			t.Errorf("seed %d is broken; TRAMA_SIM_SEED=%d go test -v -run Seeds ./tests/simulation tells all\n%s\n%s\n%s",
				seed, seed, strings.Join(w.broken, "\n"), w.plan, out.text)
		}
	})
	_ = os.RemoveAll(folder)
	return out
}
