package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"trama/tests/harness"
)

// quick makes the simulated acquirer answer at once.
var quick = []string{"-s", "acquirersim.delay=0", "-s", "log.level=warn"}

func upArgs(data string, more ...string) []string {
	return append(append([]string{"up", "--listen", "127.0.0.1:0", "--data", data}, quick...), more...)
}

func taken(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// enroll pays for a course and waits until the payer is its student.
func enroll(t *testing.T, s *harness.System, n int) harness.Payment {
	t.Helper()
	body := harness.CardPayment(harness.NewPerson("cli", n), s.Courses(t)[0].ID, harness.Card(n))
	location := s.Must(t, 202, nil, "POST", "/financeiro/pagamento", body).Header.Get("Location")
	return s.AwaitPayment(t, location, limit, harness.Enrolled)
}

// TestRefusals: what cannot be done is said in one line that tells what to do,
// and leaves nothing behind.
func TestRefusals(t *testing.T) {
	busy := taken(t)
	dir := elsewhere(t)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("file", "")
	write("broken.yaml", "a: [\n")
	if err := os.Mkdir("folder.yaml", 0o700); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	const another = "choose another"
	for _, tt := range []struct {
		line string
		want []string
	}{
		{"up --listen " + busy, []string{busy + " is in use by another program", another + " address with --listen"}},
		{"up --split --listen " + busy, []string{busy + " is in use by another program", another}},
		{"serve all --listen " + busy, []string{busy + " is in use by another program", another}},
		{"serve gateway -s listen=" + busy, []string{busy + " is in use by another program", another}},
		{"up --listen bad", []string{`--listen is "bad": must be host:port`, "try 127.0.0.1:8080"}},
		{"up --listen 127.0.0.1:99999", []string{"0 to 65535"}},
		{"up --listen 203.0.113.7:0", []string{"cannot listen on 203.0.113.7:0", another}},
		{"up --listen 127.0.0.1:0 --data file", []string{"data folder file cannot be made: not a directory", another + " with --data"}},
		{"up --listen 127.0.0.1:0 --data file/below", []string{"file/below cannot be made", another}},
		{"up --listen 127.0.0.1:0 --data /proc/x", []string{"/proc/x cannot be made", another}},
		{"up --listen 127.0.0.1:0 --split --data /proc/x", []string{"/proc/x cannot be made", another}},
		{"serve payments --data /proc/x", []string{"/proc/x cannot be made", another}},
		{"up --seed some", []string{`--seed is "some": must be demo or none`}},
		{"up -s nope=1", []string{"--set: nope: unknown key"}},
		{"up -s =1", []string{`--set "=1" names no key`}},
		{"up --config none.yaml", []string{"none.yaml: cannot be read: no such file"}},
		{"up --config folder.yaml", []string{"folder.yaml: cannot be read: is a directory"}},
		{"up --config broken.yaml", []string{"broken.yaml", "line 1"}},
		{"serve nope", []string{`"nope" is no module, service or group`, "trama modules"}},
		{"migrate nope", []string{`"nope" is no service with a store`, "payments"}},
		{"migrate --data file", []string{"not a directory"}},
		{"database prepare --admin postgres://127.0.0.1:1/x", []string{"no service has a postgres:// store", "-s stores.payments="}},
		{"database prepare --admin postgres://u:hunter2@127.0.0.1:1/x -s stores.payments=postgres://a:b@127.0.0.1/c", []string{"connection refused"}},
	} {
		status, out, errout := call(strings.Fields(tt.line)...)
		if status != 1 || out != "" || !strings.HasPrefix(errout, "trama: ") || strings.Count(errout, "\n") != 1 || !strings.HasSuffix(errout, "\n") {
			t.Errorf("trama %s: status %d, %q, and on standard error:\n%s", tt.line, status, out, errout)
		}
		for _, want := range tt.want {
			if !strings.Contains(errout, want) {
				t.Errorf("trama %s: %q does not say %q", tt.line, errout, want)
			}
		}
		if strings.Contains(errout, "hunter2") {
			t.Errorf("trama %s shows a password", tt.line)
		}
		if after := tree(t, dir); !slices.Equal(before, after) {
			t.Errorf("trama %s left something behind: %v", tt.line, after)
		}
	}
}

func TestCorruptFileIsSaidInOneLine(t *testing.T) {
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "payments.db"), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, errout := call(upArgs(data)...)
	if status != 1 || strings.Count(errout, "\n") != 1 || !strings.Contains(errout, "payments.db") || !strings.Contains(errout, "restore") {
		t.Errorf("%d %q", status, errout)
	}
}

// TestUpTwice is the life of an installation: first start, what it refuses beside
// itself, Ctrl-C, second start.
func TestUpTwice(t *testing.T) {
	data := filepath.Join(t.TempDir(), "escola")
	p := launch(t, upArgs(data)...)
	s := p.up(data)
	said := p.out.String()
	for _, want := range []string{
		"trama: seeded ", "Trama is ready (one process, ", "  School     " + s.URL + "/\n", "  API        " + s.URL + "/v1/", s.URL + "/docs",
		"  Mailbox    " + s.URL + "/correio\n", "  Health     " + s.URL + "/readyz\n", "  Data       " + data + "\n",
		"  Operator   " + s.Token + "\n", filepath.Join(data, "operator-token"), "Press Ctrl-C to stop.",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	for _, name := range []string{"operator-token", "secret", "payments.db"} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	for _, page := range []string{"/", "/docs", "/correio", "/readyz", "/v1/openapi.json"} {
		s.Must(t, 200, nil, "GET", page, nil)
	}
	s.Must(t, 200, nil, "GET", "/v1/financeiro/pagamentos", nil, s.Bearer()...)
	paid := enroll(t, s, 1)

	for _, line := range []string{"up --listen 127.0.0.1:0", "up --split --listen 127.0.0.1:0", "serve payments", "migrate", "migrate --status"} {
		status, out, errout := call(append(strings.Fields(line), "--data", data)...)
		want := "trama: the data folder " + data + " is in use by process " + strconv.Itoa(p.cmd.Process.Pid) + "; stop it, or choose another folder with --data\n"
		if status != 1 || out != "" || errout != want {
			t.Errorf("trama %s beside it: %d %q %q", line, status, out, errout)
		}
	}
	p.stops()
	if errout := p.err.String(); errout != "" {
		t.Errorf("standard error: %q", errout)
	}

	again := launch(t, upArgs(data, "--seed", "none")...)
	s = again.up(data)
	if said := again.out.String(); strings.Contains(said, s.Token) || !strings.Contains(said, "token in "+filepath.Join(data, "operator-token")) || strings.Contains(said, "seeded") {
		t.Errorf("the second start says:\n%s", said)
	}
	s.Must(t, 200, nil, "GET", "/academico/alunos/"+paid.Matricula.AlunoID, nil)
	again.signal(syscall.SIGTERM)
	if status := again.ends(); status != 0 {
		t.Errorf("SIGTERM: status %d", status)
	}
}

func TestSeedNoneAndConfiguredToken(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	const token = "a-token-of-my-own-0123"
	p := launch(t, upArgs(data, "--seed", "none", "-s", "operatorToken="+token)...)
	url := p.says(`(?m)^  School +(http://\S+)/$`)[1]
	p.says("Press Ctrl-C to stop")
	s := &harness.System{URL: url, Token: token}
	if n := len(s.Courses(t)); n != 0 {
		t.Errorf("%d courses", n)
	}
	s.Must(t, 200, nil, "GET", "/v1/financeiro/pagamentos", nil, s.Bearer()...)
	if said := p.out.String(); strings.Contains(said, token) || !strings.Contains(said, "token as configured") || strings.Contains(said, "seeded") {
		t.Errorf("it says:\n%s", said)
	}
	if _, err := os.Stat(filepath.Join(data, "operator-token")); err == nil {
		t.Error("a token was made though one is configured")
	}
	p.stops()
}

// TestSecondCtrlCLeavesAtOnce: a client that never finishes its request would
// hold the stop up.
func TestSecondCtrlCLeavesAtOnce(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := launch(t, upArgs(data, "--seed", "none")...)
	s := p.up(data)
	conn := unfinished(t, s.URL)
	defer conn.Close()
	p.signal(syscall.SIGINT)
	p.says("press Ctrl-C again to leave at once")
	p.signal(syscall.SIGINT)
	if status := p.ends(); status != -int(syscall.SIGINT) {
		t.Errorf("status %d", status)
	}
	if strings.Contains(p.out.String(), "everything is safe") {
		t.Error("it claims an orderly stop")
	}
	launch(t, upArgs(data)...).up(data) // nothing is broken
}

// unfinished begins a request and leaves its body out.
func unfinished(t *testing.T, url string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	head := "POST /v1/marketing/leads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
	if _, err := conn.Write([]byte(head)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 64)); err != nil { // 100 Continue: the handler reads the body
		t.Fatal(err)
	}
	return conn
}

func TestStopThatHangsIsNamed(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := launch(t, upArgs(data, "--seed", "none", "-s", "stopTimeout=1s")...)
	conn := unfinished(t, p.up(data).URL)
	defer conn.Close()
	p.signal(syscall.SIGINT)
	if status := p.ends(); status != 1 || p.err.String() != "trama: stopped, but not in good order: gateway did not end in time\n" {
		t.Errorf("status %d, %q", status, p.err)
	}
}

func TestCtrlCWhileWaitingForADatabase(t *testing.T) {
	for _, more := range [][]string{nil, {"--split"}} {
		data := filepath.Join(t.TempDir(), "data")
		p := launch(t, upArgs(data, append(more, "--set", "stores.payments=postgres://u@127.0.0.1:1/x")...)...)
		p.says("waiting for the database of payments at 127.0.0.1:1")
		p.signal(syscall.SIGINT)
		if status := p.ends(); status != 0 || !strings.Contains(p.out.String(), "is safe in "+data) {
			t.Errorf("%v: status %d", more, status)
		}
	}
}
