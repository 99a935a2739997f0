package schedule_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/schedule"
	"trama/platform/store"
)

// die leaves a run behind as a process does that is killed in it.
func (b *bench) die(task schedule.Task) {
	b.t.Helper()
	_, ok, err := b.ledger.Claim(b.t.Context(), b.state(task.Name), "dead:9", b.clock.Now(), b.clock.Now().Add(10*m))
	if err != nil || !ok {
		b.t.Fatal(ok, err)
	}
}

func TestARunThatDiedIsCountedAndRepeated(t *testing.T) {
	bubble(t, func(b *bench) {
		task, runs := b.task("a.b")
		skip, skips := b.task("a.skip")
		skip.Missed = schedule.Skip
		stop := b.start("host:1", task, skip)
		b.sleep(m)
		stop()
		b.die(task)
		b.die(skip)
		b.sleep(m)
		stop = b.start("host:2", task, skip)
		b.sleep(time.Second)
		runs.want("again at once", 0, 2*m)
		s := b.state("a.b")
		if s.Runs != 3 || s.Failures != 1 || s.LastResult != schedule.OK {
			t.Errorf("state: %+v", s)
		}
		s = b.state("a.skip")
		if s.Runs != 2 || s.Failures != 1 || s.Streak != 1 || s.LastResult != schedule.Failed || !strings.HasPrefix(s.LastError, "interrompida: o processo dead:9") {
			t.Errorf("state: %+v", s)
		}
		b.sleep(10 * m)
		stop()
		skips.want("at its next time", 0, 11*m)
		runs.want("at its next time", 0, 2*m, 12*m)
	})
}

// killed is the ledger of a process that never gets to write a result.
type killed struct{ schedule.Ledger }

func (k killed) Finish(ctx context.Context, s schedule.State, o schedule.Outcome) error {
	if o.Result == schedule.Failed { // it buries the one before
		return k.Ledger.Finish(ctx, s, o)
	}
	return nil
}

// A task that kills its process whenever it runs must not do so without a pause.
func TestARunThatDiesAgainAndAgainIsGivenPauses(t *testing.T) {
	bubble(t, func(b *bench) {
		b.config = func(c *schedule.Config) { c.Ledger = killed{b.ledger} }
		task, runs := b.task("a.b")
		task.Run = func(ctx context.Context) (schedule.Result, error) {
			runs.note()
			<-ctx.Done()
			return schedule.Result{}, ctx.Err()
		}
		for range 5 {
			stop := b.start("host:1", task)
			b.sleep(10 * time.Second)
			stop()
		}
		s := time.Second
		runs.want("at once, then after doubling pauses", 0, 10*s, 21*s, 32*s, 44*s)
		if s := b.state("a.b"); s.Streak != 4 || s.Runs != 5 || !s.Running() {
			t.Errorf("state: %+v", s)
		}
	})
}

func TestAnOrderlyStopIsNoFailure(t *testing.T) {
	bubble(t, func(b *bench) {
		task, runs := b.task("a.b")
		quick := task.Run
		task.Run = func(ctx context.Context) (schedule.Result, error) {
			<-ctx.Done()
			return schedule.Result{}, ctx.Err()
		}
		stop := b.start("host:1", task)
		b.sleep(m)
		stop()
		s := b.state("a.b")
		if s.Running() || s.LastResult != schedule.Stopped || s.Failures != 0 || s.Took() != m || !strings.HasPrefix(s.LastError, "interrompida") {
			t.Errorf("state: %+v", s)
		}
		if text := b.log.text(); text != "" {
			t.Errorf("logged:\n%s", text)
		}
		task.Run = quick
		stop = b.start("host:2", task)
		b.sleep(time.Second)
		stop()
		runs.want("again at the next start", m)
	})
}

// flaky is a ledger whose store is down for a while.
type flaky struct {
	schedule.Ledger
	down atomic.Bool
}

func (f *flaky) State(ctx context.Context, name string) (schedule.State, error) {
	if f.down.Load() {
		return schedule.State{}, store.Unavailable(nil)
	}
	return f.Ledger.State(ctx, name)
}

func (f *flaky) Finish(ctx context.Context, s schedule.State, o schedule.Outcome) error {
	if f.down.Load() {
		return store.Unavailable(nil)
	}
	return f.Ledger.Finish(ctx, s, o)
}

func TestAnOutageOfTheStore(t *testing.T) {
	bubble(t, func(b *bench) {
		f := &flaky{Ledger: b.ledger}
		b.config = func(c *schedule.Config) { c.Ledger = f }
		task, runs := b.task("a.b")
		quick := task.Run
		task.Run = func(ctx context.Context) (schedule.Result, error) {
			f.down.Store(len(runs.at) == 0) // its result cannot be written
			return quick(ctx)
		}
		stop := b.start("host:1", task)
		b.sleep(m)
		f.down.Store(false)
		b.sleep(2 * time.Second)
		if s := b.state("a.b"); s.LastResult != schedule.OK || s.Took() != 0 {
			t.Errorf("the result was lost: %+v", s)
		}
		f.down.Store(true) // nothing can be read
		b.sleep(9 * m)
		f.down.Store(false)
		b.sleep(2 * m)
		stop()
		runs.want("once more after the outage", 0, 10*m+5*time.Second)
		for _, line := range []string{"waits to be written", "waits for its store"} {
			if n := strings.Count(b.log.text(), line); n != 1 {
				t.Errorf("%q was logged %d times", line, n)
			}
		}
	})
}

// dirEnv makes TestProcess a process of its own, with its store in that folder.
const dirEnv = "TRAMA_TEST_SCHEDULE_DIR"

// TestProcess is not a test but the process that the test below kills: it works
// a task until that has run well once, and notes each run in a file.
func TestProcess(t *testing.T) {
	dir := os.Getenv(dirEnv)
	if dir == "" {
		t.Skip("runs as a process of TestADeathAtAnyPointLosesNoRun")
	}
	db := closing(t, openSQLite(t, filepath.Join(dir, "x.db")))
	ctx, done := context.WithCancel(t.Context())
	defer done()
	ledger := schedule.NewSQL(db, clock.System{})
	task := schedule.Task{Name: "a.b", Every: time.Hour, Run: func(context.Context) (schedule.Result, error) {
		f, err := os.OpenFile(filepath.Join(dir, "runs"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString("x")
			_ = f.Close()
		}
		return schedule.Result{}, err
	}}
	r, err := schedule.New(schedule.Config{Tasks: []schedule.Task{task}, Ledger: finishing{ledger, done}, Leaser: db,
		Process: "host:" + strconv.Itoa(os.Getpid()), Clock: clock.System{}, Log: slog.New(&diary{}), Crash: crash.FromEnv()})
	if err != nil {
		t.Fatal(err)
	}
	r.Run(ctx)
}

// finishing ends the process when a result is written.
type finishing struct {
	schedule.Ledger
	done func()
}

func (f finishing) Finish(ctx context.Context, s schedule.State, o schedule.Outcome) error {
	err := f.Ledger.Finish(ctx, s, o)
	if o.Result == schedule.OK {
		f.done()
	}
	return err
}

func TestADeathAtAnyPointLosesNoRun(t *testing.T) {
	for point, want := range map[string]struct {
		runs           string // what was done
		begun, failure int64
	}{"timer.fired": {"x", 1, 0}, "task.claimed": {"x", 2, 1}, "task.done": {"xx", 2, 1}} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "crash")
			if err := os.WriteFile(file, []byte(point), 0o600); err != nil {
				t.Fatal(err)
			}
			process := func() *exec.Cmd {
				c := exec.Command(os.Args[0], "-test.run=^TestProcess$")
				c.Env = append(os.Environ(), dirEnv+"="+dir, crash.EnvVar+"="+file)
				return c
			}
			killed := process()
			out, err := killed.CombinedOutput()
			if status, ok := killed.ProcessState.Sys().(syscall.WaitStatus); err == nil || !ok || status.Signal() != syscall.SIGKILL {
				t.Fatalf("it was not killed: %v\n%s", err, out)
			}
			if out, err := process().CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			did, _ := os.ReadFile(filepath.Join(dir, "runs"))
			s, err := schedule.NewSQL(closing(t, openSQLite(t, filepath.Join(dir, "x.db"))), clock.System{}).State(t.Context(), "a.b")
			if string(did) != want.runs || err != nil || s.Runs != want.begun || s.Failures != want.failure || s.LastResult != schedule.OK || s.Running() {
				t.Errorf("runs %q, state %+v, %v", did, s, err)
			}
		})
	}
}
