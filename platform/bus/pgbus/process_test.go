package pgbus_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/pgbus"
	"trama/platform/crash"
	"trama/platform/enginetest"
)

// The test binary runs itself as another process of the same bus: childEnv says
// what to do, as "role url".
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
	b, err := pgbus.Open(pgbus.Options{URL: task[1], Crash: crash.FromEnv()})
	if err != nil {
		return err
	}
	defer b.Close()
	switch task[0] {
	case "publish": // prints the id of each event after it was acknowledged
		for i := 1; ; i++ {
			e := event(bustest.TypeA, fmt.Sprint(os.Getpid()), i)
			if err := b.Publish(ctx, e); err != nil {
				return err
			}
			fmt.Println(e.ID)
		}
	case "consume": // prints what it handled
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

// start runs a child whose crash file is armed with point, and gives its output.
func start(t *testing.T, point string, task ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "armed")
	if err := os.WriteFile(file, []byte(point), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=none")
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join(task, " "), crash.EnvVar+"="+file)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // stays open as long as this process lives
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

// rest gives the lines that a child printed until it died.
func rest(s *bufio.Scanner) (out []string) {
	for s.Scan() {
		out = append(out, s.Text())
	}
	return out
}

// A publisher that is killed just before or just after its commit: everything it
// was promised is in the log, and at most the one event it was not.
func TestKilledPublisher(t *testing.T) {
	for point, more := range map[string]int{"bus.append": 0, "bus.appended": 1} {
		url := enginetest.PostgresDatabase(t)
		b := open(t, url)
		for range 2 {
			_, out := start(t, point, "publish", url)
			acked := rest(out) // none: the point comes before the first acknowledgement
			got := logOf(t, b, bus.Query{})
			if len(acked) != 0 || len(got) != more {
				t.Errorf("%s: %d acknowledged, %d in the log, want %d", point, len(acked), len(got), more)
			}
			more *= 2
		}
	}
	url := enginetest.PostgresDatabase(t) // killed anywhere
	cmd, out := start(t, "none", "publish", url)
	var acked []string
	for len(acked) < 50 && out.Scan() {
		acked = append(acked, out.Text())
	}
	_ = cmd.Process.Kill()
	acked = append(acked, rest(out)...)
	var got []string
	err := open(t, url).Read(t.Context(), bus.Query{}, func(e bus.LogEntry) error {
		got = append(got, e.Event.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < len(acked) || len(got) > len(acked)+1 || !slices.Equal(got[:len(acked)], acked) {
		t.Errorf("%d acknowledged, %d in the log", len(acked), len(got))
	}
}

// A consumer that is killed before it writes its cursor: another takes over where
// the cursor stands, and nothing is missing.
func TestKilledConsumer(t *testing.T) {
	url := enginetest.PostgresDatabase(t)
	b := open(t, url)
	events := series("s", 100)
	publish(t, b, events...)
	_, out := start(t, "bus.cursor", "consume", url)
	first := rest(out)
	if !slices.Equal(first, ids(events)[:len(first)]) || len(first) == 0 {
		t.Fatalf("the first consumer handled %d events, not in order", len(first))
	}
	p, closeLot, err := openLot(t.Context(), url) // the dead one's: its lease is free
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closeLot() })
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.processo", Types: []string{bustest.TypeA}, Parking: p, Handler: r.Handle(nil)})
	r.AwaitDone(t, len(events)) // the cursor never moved
	r.CheckOrder(t)
}
