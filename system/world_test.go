package system_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/platform/config"
	"trama/platform/datadir"
	"trama/system"
	"trama/tests/harness"
)

const patience = 20 * time.Second

// with gives a configuration: the defaults, made quick for tests, and what set says.
func with(t testing.TB, set map[string]string) system.Config {
	t.Helper()
	all := map[string]string{"listen": "127.0.0.1:0", "acquirersim.delay": "0", "stopTimeout": "10s"}
	for k, v := range set {
		all[k] = v
	}
	var c system.Config
	if _, problems := config.Load(&c, config.Sources{Set: all}); len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

// folder opens a data folder for the test's time.
func folder(t testing.TB, path string, use datadir.Use) *datadir.Dir {
	t.Helper()
	dir, err := datadir.Open(path, use, 0, "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

// makeHost makes a host of the named modules; it is stopped with the test.
func makeHost(t testing.TB, o system.Options, names ...string) *system.Host {
	t.Helper()
	var err error
	if o.Modules, err = system.Select(names...); err != nil {
		t.Fatal(err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(&lateLog{t: t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	h := system.New(o)
	t.Cleanup(func() { stop(t, h) })
	return h
}

// lateLog shows the log of a test that failed.
type lateLog struct {
	t    testing.TB
	once sync.Once
	mu   sync.Mutex
	text strings.Builder
}

func (l *lateLog) Write(p []byte) (int, error) {
	l.once.Do(func() {
		l.t.Cleanup(func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.t.Failed() {
				l.t.Log("the host said:\n" + l.text.String())
			}
		})
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func start(t testing.TB, h *system.Host) *system.Host {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := h.Start(ctx); err != nil {
		t.Fatalf("start: %v", err)
	}
	return h
}

func stop(t testing.TB, h *system.Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// school speaks to a host through its door.
func school(h *system.Host, dir *datadir.Dir) *harness.System {
	return &harness.System{URL: h.PublicURL(), Token: dir.OperatorToken(), Data: dir.Path()}
}

// enroll pays for a course and waits until the payer is its student.
func enroll(t testing.TB, s *harness.System, n int) harness.Payment {
	t.Helper()
	body := harness.CardPayment(harness.NewPerson("host", n), s.Courses(t)[0].ID, harness.Card(n))
	location := s.Must(t, 202, nil, "POST", "/financeiro/pagamento", body).Header.Get("Location")
	return s.AwaitPayment(t, location, patience, harness.Enrolled)
}

// openFiles gives the files below a folder that this process has open, the lock apart.
func openFiles(t testing.TB, dir string) []string {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		t.Log("no /proc here: open files are not looked at")
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && strings.HasPrefix(target, dir+"/") && target != filepath.Join(dir, "lock") {
			out = append(out, target)
		}
	}
	return out
}

// watchLeaks gives a check that goroutines and open files are as before.
func watchLeaks(t testing.TB, dir *datadir.Dir) func() {
	t.Helper()
	before := runtime.NumGoroutine()
	return func() {
		t.Helper()
		left := ""
		harness.Eventually(leakReport{t, &left}, 5*time.Second, "everything the host started has ended", func() bool {
			files, now := openFiles(t, dir.Path()), runtime.NumGoroutine()
			left = fmt.Sprintf("%d goroutines before, %d now; open files: %v", before, now, files)
			return now <= before && len(files) == 0
		})
	}
}

// leakReport adds to a failure what is left.
type leakReport struct {
	testing.TB
	left *string
}

func (r leakReport) Fatalf(format string, args ...any) {
	r.TB.Helper()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	r.TB.Fatalf(format+"\n%s\n%s", append(args, *r.left, stacks)...)
}
