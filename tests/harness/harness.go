// Package harness starts the real binary the way a user would and talks to it
// over HTTP. It knows nothing of the inside: what a suite built on it proves, a
// user can see.
package harness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"trama/platform/enginetest"
	"trama/system"
)

var build struct {
	once sync.Once
	path string
	err  error
}

// Binary builds cmd/trama once for the test process and gives its path. With
// TRAMA_TEST_BINARY set, that binary is used instead.
func Binary(t testing.TB) string {
	t.Helper()
	if given := os.Getenv("TRAMA_TEST_BINARY"); given != "" {
		return given
	}
	build.once.Do(func() {
		dir, err := os.MkdirTemp("", "trama-binary-")
		if err != nil {
			build.err = err
			return
		}
		build.path = filepath.Join(dir, "trama")
		out, err := exec.Command("go", "build", "-o", build.path, "trama/cmd/trama").CombinedOutput()
		if err != nil {
			build.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatalf("build the binary: %v", build.err)
	}
	return build.path
}

// Clean removes what Binary made; call it at the end of TestMain.
func Clean() {
	if build.path != "" {
		_ = os.RemoveAll(filepath.Dir(build.path))
	}
}

// Options say how the system runs.
type Options struct {
	Split bool              // a process per service
	Serve []string          // these modules beside other processes on Data, in place of the whole system
	Data  string            // data folder; empty: a temporary one
	Set   map[string]string // configuration
	Env   []string          // added to the environment, "NAME=value"
	Quiet bool              // do not show the log when the test fails
}

// System is a running Trama.
type System struct {
	URL   string
	Data  string
	Token string

	t    testing.TB
	opt  Options
	addr string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait, after done
	log  *logBuffer
}

// Start runs the system and waits until it is ready.
func Start(t testing.TB, opt Options) *System {
	t.Helper()
	s := Prepare(t, opt)
	s.Launch()
	s.AwaitReady()
	return s
}

// Prepare makes a system that has not started: Launch starts it, any number of times.
func Prepare(t testing.TB, opt Options) *System {
	t.Helper()
	if opt.Data == "" {
		opt.Data = filepath.Join(t.TempDir(), "data")
	}
	s := &System{t: t, opt: opt, Data: opt.Data, addr: freeAddress(t), log: &logBuffer{}}
	s.URL = "http://" + s.addr
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() && !opt.Quiet {
			t.Logf("the system said:\n%s", s.log.tail(120))
		}
	})
	return s
}

// freeAddress gives a loopback address that was free a moment ago. The system
// keeps it over restarts, as an installation does.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Launch starts the process; env is added to the environment of this run only.
func (s *System) Launch(env ...string) {
	s.t.Helper()
	args := []string{"up", "--listen", s.addr, "--data", s.Data}
	switch {
	case s.opt.Serve != nil:
		args = append([]string{"serve", "--listen", s.addr, "--data", s.Data}, s.opt.Serve...)
	case s.opt.Split:
		args = append(args, "--split")
	}
	for k, v := range s.opt.Set {
		args = append(args, "--set", k+"="+v)
	}
	s.cmd = exec.Command(Binary(s.t), args...)
	s.cmd.Env = append(append(cleanEnv(), s.opt.Env...), env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("start: %v", err)
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		s.err = cmd.Wait()
		close(done)
	}(s.cmd, s.done)
}

// cleanEnv is the environment without settings of the person who runs the tests.
func cleanEnv() []string {
	var out []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "TRAMA_") {
			out = append(out, e)
		}
	}
	return out
}

// AwaitReady waits until /readyz says yes, and reads the operator token.
func (s *System) AwaitReady() {
	s.t.Helper()
	if !s.TryReady(60 * time.Second) {
		s.t.Fatalf("not ready in time; the system said:\n%s", s.log.tail(60))
	}
	token, err := os.ReadFile(filepath.Join(s.Data, "operator-token"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.Token = strings.TrimSpace(string(token))
}

// TryReady waits for readiness until the limit or the process's end.
func (s *System) TryReady(limit time.Duration) bool {
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		select {
		case <-s.done:
			return false
		default:
		}
		if res, err := client.Get(s.URL + "/readyz"); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return true
			}
		}
		time.Sleep(10 * time.Millisecond) // another process can only be polled
	}
	return false
}

// Ended is closed when the process of the last Launch has ended.
func (s *System) Ended() <-chan struct{} { return s.done }

// Kill ends the process with SIGKILL, and its children with it.
func (s *System) Kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.done
	if s.opt.Serve == nil { // else others may live on
		s.awaitFolder()
	}
}

// Stop ends the process as Ctrl-C does and checks that it leaves in good order.
func (s *System) Stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-s.done:
	case <-time.After(40 * time.Second):
		s.t.Fatalf("it did not stop; it said:\n%s", s.log.tail(60))
	}
	if s.err != nil {
		s.t.Errorf("it stopped with %v; it said:\n%s", s.err, s.log.tail(60))
	}
}

// awaitFolder waits until nobody holds the data folder: children of a killed
// supervisor notice its death and leave by themselves.
func (s *System) awaitFolder() {
	f, err := os.Open(filepath.Join(s.Data, "lock"))
	if err != nil {
		return
	}
	defer f.Close()
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); {
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return
		}
		time.Sleep(5 * time.Millisecond) // another process can only be polled
	}
	s.t.Errorf("processes still hold %s", s.Data)
}

// Log gives what the system has said so far.
func (s *System) Log() string { return s.log.tail(1 << 30) }

// PID gives the process id of the last Launch.
func (s *System) PID() int { return s.cmd.Process.Pid }

// Eventually polls until check says yes, for what can only be polled.
func Eventually(t testing.TB, limit time.Duration, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; {
		if check() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("did not happen within %s: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Engines gives the configuration of the split system on PostgreSQL (a
// database of its own for each service), RabbitMQ and, where there is one, a
// MongoDB-protocol server.
func Engines(t testing.TB) map[string]string {
	t.Helper()
	set := map[string]string{
		"bus.url":    enginetest.RabbitMQ(t),
		"bus.prefix": "trama_test_" + enginetest.Suffix(),
	}
	for _, service := range []string{"payments", "academics", "identity", "notifications", "acquirersim"} {
		set["stores."+service] = enginetest.PostgresDatabase(t)
	}
	set["stores.marketing"] = enginetest.MongoDatabase(t)
	DropTopology(t, set["bus.url"], set["bus.prefix"])
	return set
}

// DropTopology removes what the system declares on a broker, at the end of the test.
func DropTopology(t testing.TB, brokerURL, prefix string) {
	t.Helper()
	queues := []string{prefix + ".log"}
	for _, s := range system.Subscriptions() {
		queues = append(queues, prefix+"."+s.Name, prefix+"."+s.Name+".dlq")
	}
	enginetest.DropQueues(t, brokerURL, prefix+".events", queues...)
}

// RoleURL turns the URL of a shared database into that of one service: its own
// role and schema.
func RoleURL(t testing.TB, shared, role, schema string) string {
	t.Helper()
	u, err := url.Parse(shared)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "a-password")
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// Prepared runs trama database prepare on a shared database, given by a
// superuser's URL, and removes the roles and what they own at the end of the test.
func Prepared(t testing.TB, shared string, set map[string]string) {
	t.Helper()
	args := []string{"database", "prepare", "--admin", shared}
	for k, v := range set {
		args = append(args, "--set", k+"="+v)
		if u, err := url.Parse(v); err == nil && strings.HasPrefix(k, "stores.") {
			t.Cleanup(func() {
				enginetest.PostgresExec(t, shared, "DROP OWNED BY "+u.User.Username()+" CASCADE")
				enginetest.PostgresExec(t, shared, "DROP ROLE "+u.User.Username())
			})
		}
	}
	cmd := exec.Command(Binary(t), args...)
	cmd.Env = cleanEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("trama database prepare: %v\n%s", err, out)
	}
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(l.buf.String(), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

// client is for the harness's own questions; suites use System.Do.
var client = &http.Client{Timeout: 5 * time.Second}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends one request; header pairs follow ("Idempotency-Key", "x").
func (s *System) Do(ctx context.Context, method, path string, body any, header ...string) (Answer, error) {
	r, err := request(ctx, method, s.URL+path, body)
	if err != nil {
		return Answer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := transport.RoundTrip(r)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return Answer{Status: res.StatusCode, Header: res.Header, Body: text}, err
}

var transport = &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true}
