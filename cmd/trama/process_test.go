package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"trama/tests/harness"
)

const limit = 20 * time.Second

// process is a running trama.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err *text
	done     chan struct{}
	result   error // of Wait, after done
}

// text collects output.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

// launch starts trama in a process; it is killed with the test.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(self, args...), out: &text{}, err: &text{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), playEnv+"=1")
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	p.cmd.WaitDelay = limit // orphans hold the pipes; a test that expects none fails then
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.result = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("trama %s said:\n%s\n%s", strings.Join(args, " "), p.out, p.err)
		}
	})
	return p
}

// says waits until the process has printed something that fits.
func (p *process) says(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	var found []string
	harness.Eventually(p.t, limit, "trama says "+pattern, func() bool {
		found = re.FindStringSubmatch(p.out.String())
		if found == nil {
			select {
			case <-p.done:
				p.t.Fatalf("it ended (%v) before it said %q; it said:\n%s\n%s", p.result, pattern, p.out, p.err)
			default:
			}
		}
		return found != nil
	})
	return found
}

// up waits for the banner and gives the system behind it.
func (p *process) up(data string) *harness.System {
	p.t.Helper()
	url := p.says(`(?m)^  School +(http://\S+)/$`)[1]
	p.says("Press Ctrl-C to stop")
	return behind(p.t, url, data)
}

func behind(t *testing.T, url, data string) *harness.System {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(data, "operator-token"))
	if err != nil {
		t.Fatal(err)
	}
	return &harness.System{URL: url, Data: data, Token: strings.TrimSpace(string(token))}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// ends waits for the end of the process and gives its exit status, or the
// negative signal that ended it.
func (p *process) ends() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		p.t.Fatalf("it does not end; it said:\n%s\n%s", p.out, p.err)
	}
	var exit *exec.ExitError
	if p.result != nil && !errors.As(p.result, &exit) {
		p.t.Fatal(p.result)
	}
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return -int(status.Signal())
	}
	return status.ExitStatus()
}

// stops asks the process to end, as Ctrl-C does, and wants it to leave in good order.
func (p *process) stops() {
	p.t.Helper()
	p.signal(syscall.SIGINT)
	if status := p.ends(); status != 0 || !strings.Contains(p.out.String(), "everything is safe") {
		p.t.Errorf("it stopped with %d; it said:\n%s\n%s", status, p.out, p.err)
	}
}

// tree gives every file and folder below a folder.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		out = append(out, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// children gives the processes that a process has started, by the service they serve.
func children(t *testing.T, pid int) map[string]int {
	t.Helper()
	list, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(pid) + "/children")
	if err != nil {
		t.Skipf("children cannot be listed here: %v", err)
	}
	tasks, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		more, _ := os.ReadFile(task) // a thread may have ended
		list = append(append(list, ' '), more...)
	}
	out := map[string]int{}
	for _, field := range strings.Fields(string(list)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		line, _ := os.ReadFile("/proc/" + field + "/cmdline") // it may have ended
		words := strings.Split(string(line), "\x00")
		for i, w := range words {
			if w == "serve" && i+1 < len(words) {
				out[words[i+1]] = child
			}
		}
	}
	return out
}

// alive says whether a process runs.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return syscall.Kill(pid, 0) == nil
	}
	return !strings.Contains(string(stat), ") Z ")
}
