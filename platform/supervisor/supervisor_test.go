package supervisor_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"trama/platform/clock"
	"trama/platform/supervisor"
)

// TestMain lets this binary play the child: it says its pid and then behaves as
// its role asks.
func TestMain(m *testing.M) {
	switch role := os.Getenv("ROLE"); role {
	case "":
		os.Exit(m.Run())
	case "stubborn":
		ignore := make(chan os.Signal, 1)
		signalIgnore(ignore)
		fallthrough
	case "good":
		_, _ = os.Stdout.WriteString(role + " " + strconv.Itoa(os.Getpid()) + "\n")
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		if role == "stubborn" {
			select {}
		}
	case "parent":
		s := supervisor.New(clock.System{}, slog.New(slog.DiscardHandler))
		if err := s.Start(process("good", os.Stdout)); err != nil {
			panic(err)
		}
		select {}
	}
}

func process(role string, out io.Writer) supervisor.Process {
	return supervisor.Process{Name: role, Path: os.Args[0], Env: append(os.Environ(), "ROLE="+role), Out: out}
}

// lines gives what children print, line by line.
func lines(t *testing.T) (*os.File, func() (role string, pid int)) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	scanner := bufio.NewScanner(r)
	return w, func() (string, int) {
		_ = r.SetReadDeadline(time.Now().Add(20 * time.Second))
		if !scanner.Scan() {
			t.Fatalf("no child reported: %v", scanner.Err())
		}
		role, pid, _ := strings.Cut(scanner.Text(), " ")
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatal(err)
		}
		return role, n
	}
}

func TestKilledChildIsStartedAgainAndStopEndsIt(t *testing.T) {
	out, next := lines(t)
	s := supervisor.New(clock.System{}, slog.New(slog.DiscardHandler))
	if err := s.Start(process("good", out)); err != nil {
		t.Fatal(err)
	}
	_, first := next()
	for range 3 {
		if err := syscall.Kill(s.PID("good"), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_, again := next()
		if again == first {
			t.Fatal("the same process reported twice")
		}
		first = again
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if alive(first) {
		t.Error("the child outlived Stop")
	}
}

func TestStubbornChildIsKilledAndNamed(t *testing.T) {
	out, next := lines(t)
	s := supervisor.New(clock.System{}, slog.New(slog.DiscardHandler))
	if err := s.Start(process("stubborn", out)); err != nil {
		t.Fatal(err)
	}
	_, pid := next()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx); err == nil || !strings.Contains(err.Error(), "stubborn") {
		t.Errorf("got %v", err)
	}
	if alive(pid) {
		t.Error("the child lives")
	}
}

func TestChildrenEndWithAKilledSupervisor(t *testing.T) {
	out, next := lines(t)
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "ROLE=parent")
	parent.Stdout = out
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	_, pid := next()
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); {
		if time.Now().After(deadline) {
			t.Fatal("the child outlived its supervisor")
		}
		time.Sleep(5 * time.Millisecond) // another process's death can only be polled
	}
}

func TestProgramThatCannotStartIsAnError(t *testing.T) {
	s := supervisor.New(clock.System{}, slog.New(slog.DiscardHandler))
	if err := s.Start(supervisor.Process{Name: "x", Path: "/nowhere/x"}); err == nil {
		t.Error("no error")
	}
}

// alive says whether a process runs; one that ended but was not reaped does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return syscall.Kill(pid, 0) == nil
	}
	return !strings.Contains(string(stat), ") Z ")
}
