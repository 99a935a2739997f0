package filediscovery_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"trama/platform/discovery"
	"trama/platform/discovery/filediscovery"
)

// childEnv makes the test binary announce itself in a folder and wait for death.
const childEnv = "TRAMA_TEST_ANNOUNCE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		announceAndHang(dir)
	}
	os.Exit(m.Run())
}

func open(dir string) *filediscovery.Registry {
	return filediscovery.New(dir, slog.New(slog.DiscardHandler))
}

func announceAndHang(dir string) {
	_, err := open(dir).Announce(filediscovery.Entry{
		Process: "child", URL: "http://127.0.0.1:4001", Services: []string{"payments", "academics"},
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("announced")
	var line string
	_, _ = fmt.Scanln(&line) // until the parent closes the pipe or kills us
	os.Exit(0)               // without withdrawing, like a program that forgets
}

// child starts the helper process and waits until it has announced.
func child(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	if _, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "announced" {
		t.Fatalf("child said %q, %v", line, err)
	}
	return cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

func expect(t *testing.T, r discovery.Resolver, service string, want ...string) {
	t.Helper()
	got, err := r.Resolve(t.Context(), service)
	if len(want) == 0 {
		if !errors.Is(err, discovery.ErrUnknown) {
			t.Errorf("Resolve(%s) = %v, %v; want ErrUnknown", service, got, err)
		}
		return
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Resolve(%s) = %v, %v; want %v", service, got, err, want)
	}
}

func announce(t *testing.T, r *filediscovery.Registry, url string, services ...string) *filediscovery.Announcement {
	t.Helper()
	a, err := r.Announce(filediscovery.Entry{Process: "test", URL: url, Services: services})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Withdraw() })
	return a
}

func TestAnnounceAndWithdraw(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "run")
	writer, reader := open(dir), open(dir)
	expect(t, reader, "payments") // no folder yet

	first := announce(t, writer, "http://127.0.0.1:4002", "payments")
	expect(t, reader, "payments", "http://127.0.0.1:4002")
	expect(t, reader, "academics")

	announce(t, writer, "http://127.0.0.1:4001", "payments", "academics")
	expect(t, reader, "payments", "http://127.0.0.1:4001", "http://127.0.0.1:4002")
	expect(t, reader, "academics", "http://127.0.0.1:4001")

	for range 2 { // idempotent
		if err := first.Withdraw(); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, reader, "payments", "http://127.0.0.1:4001")
	expect(t, writer, "payments", "http://127.0.0.1:4001")

	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder must be the owner's alone: %v, %v", info.Mode(), err)
	}
	entries, err := reader.Entries()
	if err != nil || len(entries) != 1 || entries[0].PID != os.Getpid() || entries[0].Process != "test" {
		t.Errorf("Entries = %+v, %v", entries, err)
	}
}

func TestKilledProcessIsForgotten(t *testing.T) {
	dir := t.TempDir()
	r := open(dir)
	one := child(t, dir)
	expect(t, r, "payments", "http://127.0.0.1:4001")

	kill(t, one)
	r.Invalidate() // as a failed dial does
	expect(t, r, "payments")
	expect(t, r, "academics")
	if left := files(t, dir); len(left) != 1 {
		t.Fatalf("kill -9 leaves the file behind, else this test proves nothing: %v", left)
	}

	// The next process sweeps, announces, and is seen without Invalidate.
	two := child(t, dir)
	expect(t, r, "payments", "http://127.0.0.1:4001")
	if left := files(t, dir); len(left) != 1 {
		t.Errorf("the dead entry was not swept: %v", left)
	}
	kill(t, two)
	r.Invalidate()
	expect(t, r, "payments")
}

func TestDeathIsFoundWithoutAHint(t *testing.T) {
	dir := t.TempDir()
	r := open(dir)
	cmd := child(t, dir)
	settled := time.Now().Add(200 * time.Millisecond) // by then a reading is one that is kept
	until(t, "the reading is kept", func() bool {
		expect(t, r, "payments", "http://127.0.0.1:4001")
		return time.Now().After(settled)
	})
	kill(t, cmd)
	until(t, "the dead process is no longer resolved", func() bool {
		_, err := r.Resolve(t.Context(), "payments")
		return errors.Is(err, discovery.ErrUnknown)
	})
}

// until polls a condition that another process brings about.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-tick.C
	}
}

func TestStrangeFilesAreIgnored(t *testing.T) {
	dir := t.TempDir()
	r := open(dir)
	good := `{"process":"dead","pid":1,"url":"http://127.0.0.1:1","services":["payments"]}`
	for name, text := range map[string]string{
		"unlocked.json": good, "half.json": good[:20], "empty.json": "", "notes.txt": good, "young.tmp": good,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := filepath.Join(dir, "old.tmp")
	if err := os.WriteFile(old, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	expect(t, r, "payments")

	announce(t, r, "http://127.0.0.1:4001", "payments")
	expect(t, r, "payments", "http://127.0.0.1:4001")
	left := files(t, dir)
	if !slices.Contains(left, "notes.txt") || !slices.Contains(left, "young.tmp") || len(left) != 3 {
		t.Errorf("sweeping must take the dead entries and old unfinished ones, nothing else: %v", left)
	}
}

// TestUnreadableEntry: an entry that a living process wrote and nobody can read
// is told once, and hides nobody else.
func TestUnreadableEntry(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	r := filediscovery.New(dir, slog.New(slog.NewTextHandler(&log, nil)))
	announce(t, r, "http://127.0.0.1:4001", "payments")
	f, err := os.Create(filepath.Join(dir, "1-2.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		expect(t, r, "payments", "http://127.0.0.1:4001")
		r.Invalidate()
	}
	if n := strings.Count(log.String(), "1-2.json"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log.String())
	}
}

func TestAnnounceRefusesNonsense(t *testing.T) {
	r := open(t.TempDir())
	if _, err := r.Announce(filediscovery.Entry{Process: "x", URL: "127.0.0.1:80"}); err == nil {
		t.Error("an entry without a scheme was announced")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	blocked := open(filepath.Join(file, "run"))
	if _, err := blocked.Announce(filediscovery.Entry{URL: "http://127.0.0.1:1"}); err == nil {
		t.Error("announced into a place that cannot be a folder")
	}
	if _, err := blocked.Resolve(t.Context(), "payments"); err == nil || errors.Is(err, discovery.ErrUnknown) {
		t.Errorf("a folder that cannot be read is not the same as an unknown service: %v", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	anchor := open(dir)
	announce(t, anchor, "http://127.0.0.1:4000", "payments")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r := open(dir)
			for range 20 {
				a, err := r.Announce(filediscovery.Entry{URL: fmt.Sprintf("http://127.0.0.1:%d", 5000+i), Services: []string{"payments"}})
				if err != nil {
					t.Error(err)
					return
				}
				mine, err := r.Resolve(t.Context(), "payments")
				if err != nil || !slices.Contains(mine, fmt.Sprintf("http://127.0.0.1:%d", 5000+i)) {
					t.Errorf("a process does not see itself: %v, %v", mine, err)
				}
				seen, err := anchor.Resolve(t.Context(), "payments")
				if err != nil || !slices.Contains(seen, "http://127.0.0.1:4000") {
					t.Errorf("a living entry was lost: %v, %v", seen, err)
				}
				anchor.Invalidate()
				if err := a.Withdraw(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	expect(t, anchor, "payments", "http://127.0.0.1:4000")
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

func BenchmarkResolve(b *testing.B) {
	r := open(b.TempDir())
	a, err := r.Announce(filediscovery.Entry{URL: "http://127.0.0.1:1", Services: []string{"payments"}})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Withdraw()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Resolve(b.Context(), "payments"); err != nil {
			b.Fatal(err)
		}
	}
}
