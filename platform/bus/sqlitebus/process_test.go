package sqlitebus_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/sqlitebus"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/id"
)

// The test binary runs itself as another process of the same bus: childEnv says
// what to do, as "role folder argument".
const childEnv = "TRAMA_TEST_BUS_CHILD"

func TestMain(m *testing.M) {
	if task := os.Getenv(childEnv); task != "" {
		if err := child(strings.Split(task, " ")); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(task []string) error {
	ctx := context.Background()
	b, err := sqlitebus.Open(ctx, sqlitebus.Options{Dir: task[1], Crash: crash.FromEnv()})
	if err != nil {
		return err
	}
	defer b.Close()
	switch task[0] {
	case "publish":
		return childPublish(ctx, b, task[2])
	case "consume":
		p, closeLot, err := openLot(ctx, task[1])
		if err != nil {
			return err
		}
		defer closeLot()
		_, err = b.Subscribe(ctx, bus.Subscription{Name: "teste.processo", Types: []string{bustest.TypeA}, MaxInFlight: 4, Parking: p,
			Handler: func(_ context.Context, e bus.Event) error {
				fmt.Println(e.ID) // one write(2): it survives the kill
				return nil
			}})
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent lets go or kills
		return nil
	}
	return errors.New("unknown task " + task[0])
}

// childPublish publishes n events on four subjects of its own, printing the id
// of each after it was acknowledged.
func childPublish(ctx context.Context, b *sqlitebus.Bus, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	ids := id.New(clock.System{}, rand.Reader)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for g := range 4 {
		wg.Go(func() {
			for i := 1; i <= n/4; i++ {
				e := bustest.NewEvent(ids, bustest.TypeA, fmt.Sprintf("%d-%d", os.Getpid(), g), i)
				if errs[g] = b.Publish(ctx, e); errs[g] != nil {
					return
				}
				fmt.Println(e.ID)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// process is a child at work.
type process struct {
	cmd   *exec.Cmd
	lines chan string // what it printed; closed at its end
}

// start runs a child; crashFile may be empty.
func start(t *testing.T, crashFile string, task ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe, "-test.run=none"), lines: make(chan string, 100_000)}
	p.cmd.Env = append(os.Environ(), childEnv+"="+strings.Join(task, " "), crash.EnvVar+"="+crashFile)
	p.cmd.Stderr = t.Output()
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.cmd.StdinPipe(); err != nil { // stays open as long as this process lives
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

// read gives the next n lines; fewer when the child ended before.
func (p *process) read(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for late := time.After(bustest.Patience); len(out) < n; {
		select {
		case line, more := <-p.lines:
			if !more {
				return out
			}
			out = append(out, line)
		case <-late:
			t.Fatalf("the child printed %d lines of %d", len(out), n)
		}
	}
	return out
}

// kill is kill -9; it gives what else the child had printed.
func (p *process) kill() (rest []string) {
	_ = p.cmd.Process.Kill()
	for line := range p.lines {
		rest = append(rest, line)
	}
	_ = p.cmd.Wait()
	return rest
}

// Acknowledged events survive kill -9 of the publisher, at any moment and at
// the two moments around the commit.
func TestKilledPublisherLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	var acked []string
	for round := range 3 {
		p := start(t, "", "publish", dir, "100000")
		acked = append(acked, p.read(t, 150+100*round)...)
		acked = append(acked, p.kill()...)
	}
	for _, point := range []string{"bus.append", "bus.appended"} {
		file := filepath.Join(t.TempDir(), "point")
		p := start(t, file, "publish", dir, "100000")
		acked = append(acked, p.read(t, 50)...)
		if err := os.WriteFile(file, []byte(point), 0o600); err != nil {
			t.Fatal(err)
		}
		acked = append(acked, p.read(t, 100_000)...) // it dies by itself
		if err := p.cmd.Wait(); err == nil || p.cmd.ProcessState.String() != "signal: killed" {
			t.Fatalf("%s: the child ended with %v", point, p.cmd.ProcessState)
		}
	}
	if len(acked) < 600 {
		t.Fatalf("only %d events were acknowledged: the test proves nothing", len(acked))
	}
	r := bustest.NewRecorder()
	b := open(t, dir)
	subscribe(t, b, bus.Subscription{Name: "teste.conta", Handler: r.Handle(nil)})
	bustest.Eventually(t, "every acknowledged event delivered", func() bool {
		for _, id := range acked {
			if !r.Handled(id) {
				return false
			}
		}
		return true
	})
	r.CheckOrder(t)
}

// A standby takes the subscription over when the active process is killed; what
// the dead one had handled but not written down is repeated, nothing is lost.
func TestStandbyTakesOverAfterKill(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	p := start(t, "", "consume", dir)
	publish(t, b, series(1, 50)...)
	byChild := p.read(t, 200) // so it is the active one
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.processo", Handler: r.Handle(nil), Parking: lot(t, dir)})
	more := series(51, 100)
	publish(t, b, more[:100]...)
	byChild = append(byChild, p.read(t, 50)...)
	if n, _ := r.Done(); n != 0 {
		t.Fatalf("the standby handled %d events while the other process is active", n)
	}
	killed := time.Now()
	byChild = append(byChild, p.kill()...)
	publish(t, b, more[100:]...)
	handled := map[string]bool{}
	for _, id := range byChild {
		handled[id] = true
	}
	bustest.Eventually(t, "every event handled by one or the other", func() bool {
		for _, e := range more {
			if !handled[e.ID] && !r.Handled(e.ID) {
				return false
			}
		}
		return true
	})
	if took := time.Since(killed); took > 5*time.Second {
		t.Errorf("the take-over took %s", took)
	}
	r.CheckOrder(t)
}

// A consumer killed while it writes its cursor repeats, and loses nothing.
func TestKilledAtItsCursorLosesNothing(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	file := filepath.Join(t.TempDir(), "point")
	if err := os.WriteFile(file, []byte("bus.cursor"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, file, "consume", dir)
	events := series(1, 100)
	publish(t, b, events[:200]...)
	handled := map[string]bool{}
	for _, id := range p.read(t, len(events)) { // it dies by itself
		handled[id] = true
	}
	if len(handled) == 0 {
		t.Fatal("nothing was handled before the death: the test proves nothing")
	}
	if cursor := query(t, dir, `SELECT cursor FROM subscription WHERE name = 'teste.processo'`); cursor != 0 {
		t.Fatalf("the cursor stands at %d though its writer was killed before", cursor)
	}
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.processo", Handler: r.Handle(nil), Parking: lot(t, dir)})
	publish(t, b, events[200:]...)
	r.AwaitDone(t, len(events))
	r.CheckOrder(t)
}
