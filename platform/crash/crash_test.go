package crash_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"trama/platform/crash"
)

func TestProcessDiesAtTheArmedPointOnce(t *testing.T) {
	if os.Getenv(crash.EnvVar) != "" { // the child
		p := crash.FromEnv()
		for _, step := range []string{"1", "2", "3"} {
			p.At("other")
			p.At("here-" + step)
			_, _ = os.Stdout.WriteString(step)
		}
		return
	}
	file := filepath.Join(t.TempDir(), "armed")
	child := func() (string, error) {
		cmd := exec.Command(os.Args[0], "-test.run=TestProcessDiesAtTheArmedPointOnce")
		cmd.Env = append(os.Environ(), crash.EnvVar+"="+file)
		out, err := cmd.Output()
		return string(out), err
	}
	if err := os.WriteFile(file, []byte("here-3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := child()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("ended with %v", err)
	}
	if out != "12" {
		t.Errorf("it said %q before it died", out)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	if out, err := child(); err != nil {
		t.Errorf("the second child died too: %q, %v", out, err)
	}
}

func TestPointsOutsideFaultTestsDoNothing(t *testing.T) {
	if p := crash.FromEnv(); p != nil {
		t.Fatal("armed without the variable")
	}
	var none *crash.Points
	none.At("x")
}

func TestWatchedPointsAreToldOf(t *testing.T) {
	var passed []string
	p := crash.Watch(func(name string) { passed = append(passed, name) })
	p.At("a")
	p.At("b")
	if len(passed) != 2 || passed[0] != "a" || passed[1] != "b" {
		t.Errorf("passed %v", passed)
	}
}
