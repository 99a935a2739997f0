package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/platform/discovery/filediscovery"
)

// fake is a running system that answers operators with canned JSON.
type fake struct {
	*httptest.Server
	mu       sync.Mutex
	answers  map[string][]string // by "METHOD path", one after the other, the last again and again
	requests []string            // "METHOD path?query body"
	headers  http.Header         // of the last one
}

const fakeToken = "um-token-de-operador"

// newFake answers "METHOD path" (below /v1/operacao/) with a body, or "404 body"
// with a problem; what it does not know is a 404.
func newFake(t *testing.T, answers map[string][]string) *fake {
	t.Helper()
	local := time.Local
	time.Local = time.FixedZone("BRT", -3*3600)
	t.Cleanup(func() { time.Local = local })
	f := &fake{answers: answers}
	f.Server = httptest.NewServer(http.HandlerFunc(f.answer))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what is missing shows in the request recorded
	path := strings.TrimPrefix(r.URL.Path, "/v1/operacao/")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.headers = r.Header
	query := ""
	if r.URL.RawQuery != "" {
		query = "?" + r.URL.RawQuery
	}
	f.requests = append(f.requests, strings.TrimSpace(r.Method+" "+path+query+" "+string(body)))
	status, text := 404, `{"title": "Não encontrado", "detail": "There is nothing here.", "status": 404, "traceId": "ab"}`
	if r.Header.Get("Authorization") != "Bearer "+fakeToken {
		status, text = 401, `{"title": "Unauthorized", "detail": "The token sent is not valid.", "status": 401, "traceId": "cd"}`
	} else if all := f.answers[r.Method+" "+path]; len(all) > 0 {
		status, text = 200, all[0]
		if len(all) > 1 {
			f.answers[r.Method+" "+path] = all[1:]
		}
		if n, _ := fmt.Sscanf(text, "%d ", &status); n == 1 {
			text = text[4:]
		}
	}
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		_, _ = io.WriteString(w, text)
	}
}

// asked gives the requests since the last call.
func (f *fake) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.requests
	f.requests = nil
	return out
}

// call runs an operator's command on the fake system.
func (f *fake) call(line ...string) (status int, out, errout string) {
	return call(append(line, "--api", f.URL, "--token", fakeToken)...)
}

// works runs a command that must succeed and say nothing on standard error.
func (f *fake) works(t *testing.T, line ...string) string {
	t.Helper()
	status, out, errout := f.call(line...)
	if status != 0 || errout != "" {
		t.Fatalf("trama %s: %d %q\n%s", strings.Join(line, " "), status, errout, out)
	}
	return out
}

// folder is a data folder on which the fake system runs.
func (f *fake) folder(t *testing.T) string {
	t.Helper()
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "operator-token"), []byte(fakeToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	registry := filediscovery.New(filepath.Join(data, "run"), slog.New(slog.DiscardHandler))
	a, err := registry.Announce(filediscovery.Entry{Process: "tudo", Services: []string{"gateway"}, URL: f.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Withdraw() })
	return data
}

// shellWords splits a line of an example; quotes keep words together.
func shellWords(line string) (words []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words[1:]
}

// everyCommand is a good line of each command that asks a running system.
var everyCommand = []string{
	"deadletter list", "deadletter causes", "deadletter show a.b x", "deadletter retry a.b x", "deadletter retry --all",
	"deadletter drop a.b x --reason y", "deadletter drop --all --reason y", "deadletter edit a.b x --file event.json", "deadletter export", "deadletter audit",
	"events tail", "events tail --once", "events show x", "events replay --to a.b --from 1h", "subscriptions", "tasks", "tasks list", "tasks run x", "trace ab",
}

// fails runs every command; each must say one line, want, and end with status 1.
func fails(t *testing.T, want string, flags ...string) {
	t.Helper()
	if err := os.WriteFile("event.json", []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range everyCommand {
		status, out, errout := call(append(strings.Fields(line), flags...)...)
		if status != 1 || out != "" || !strings.HasPrefix(errout, "trama: ") || strings.Count(errout, "\n") != 1 || !strings.Contains(errout, want) {
			t.Errorf("trama %s %s: status %d, %q, %q; want %q", line, strings.Join(flags, " "), status, out, errout, want)
		}
	}
}

func TestOperatorsFindTheSystem(t *testing.T) {
	elsewhere(t)
	f := newFake(t, map[string][]string{"GET assinaturas": {`{"itens": []}`}})
	data := f.folder(t)
	works := func(what string, args ...string) {
		t.Helper()
		status, out, errout := call(append([]string{"subscriptions"}, args...)...)
		if status != 0 || errout != "" || !strings.HasPrefix(out, "SUBSCRIPTION") || f.headers.Get("Authorization") != "Bearer "+fakeToken {
			t.Errorf("%s: %d %q %q", what, status, out, errout)
		}
	}
	works("by its folder", "--data", data)
	works("by its folder, as a setting", "-s", "data="+data)
	works("by its address and a token", "--api", f.URL+"/", "--token", fakeToken)
	works("by its address and the folder's token", "--api", f.URL, "--data", data)
	works("token as a setting", "--data", data, "-s", "operatorToken="+fakeToken)
	t.Setenv("TRAMA_TOKEN", fakeToken)
	works("token in the environment, with an address", "--api", f.URL)
	t.Setenv("TRAMA_TOKEN", fakeToken)
	works("token in the environment, with a folder", "--data", data)

	unreadable := filepath.Join(data, "operator-token")
	if err := os.Remove(unreadable); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(unreadable, 0o700); err != nil { // nobody reads a folder, not even root
		t.Fatal(err)
	}
	t.Setenv("TRAMA_TOKEN", fakeToken)
	works("unreadable token file, token in the environment", "--data", data)
	if err := os.Unsetenv("TRAMA_TOKEN"); err != nil {
		t.Fatal(err)
	}
	works("unreadable token file, token given", "--data", data, "--token", fakeToken)
	fails(t, "the operator token cannot be read (read "+unreadable+": is a directory); run as who runs the system, or give --token or TRAMA_TOKEN", "--data", data)
}

func TestOperatorsErrors(t *testing.T) {
	elsewhere(t)
	f := newFake(t, nil)
	fails(t, "there is no operator token in "+filepath.Join(".", "trama-data"))
	fails(t, "nothing runs on the data folder "+t.TempDir()[:4], "--data", "/tmp", "--token", "x")
	fails(t, "The token sent is not valid (401, trace cd)", "--api", f.URL, "--token", "errado")
	fails(t, `--api: "localhost:80" is no address; write it as http://127.0.0.1:8080`, "--api", "localhost:80", "--token", "x")
	gone := httptest.NewServer(nil)
	gone.Close()
	fails(t, "the system at "+gone.URL+" does not answer: ", "--api", gone.URL, "--token", "x")
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }))
	defer foreign.Close()
	fails(t, "the system at "+foreign.URL+" answered 502 Bad Gateway", "--api", foreign.URL, "--token", "x")
	for _, line := range []string{"deadletter list --since yesterday", "deadletter export --since=-3h", "events tail --since x", "events replay --to a.b --from 9999999d"} {
		status, out, errout := f.call(strings.Fields(line)...)
		if status != 1 || out != "" || !strings.Contains(errout, "is no time; write how long ago, as 90s, 15m, 2h or 3d") {
			t.Errorf("%s: %d %q %q", line, status, out, errout)
		}
	}
	for line, want := range map[string]string{
		"deadletter retry":             "give one letter, a filter such as --subscription NAME, or --all; see trama deadletter retry --help",
		"deadletter retry a.b":         "give the subscription and the id of one letter, or flags such as --subscription; see",
		"deadletter retry a.b x --all": "give one letter, or flags that select some, not both; see",
		"deadletter drop a.b x":        "missing flags: --reason=TEXT; see trama deadletter drop --help",
		"deadletter list --limit 0":    "--limit: at least 1; see trama deadletter list --help",
		"deadletter list --state gone": "must be one of \"dead\",\"waiting\",\"behind\",\"any\"",
		"deadletter":                   "expected one of \"list\"",
		"deadletter show a.b":          "expected \"<id>\"",
		"events replay --to a.b":       "missing flags: --from=TIME; see trama events replay --help",
		"tasks run":                    "expected \"<name>\"",
		"trace":                        "expected \"<id>\"",
		"deadletter list --token " + fakeToken + " --nope": "unknown flag --nope",
	} {
		status, out, errout := call(strings.Fields(line)...)
		if status != 2 || out != "" || strings.Count(errout, "\n") != 1 || !strings.Contains(errout, want) || strings.Contains(errout, fakeToken) {
			t.Errorf("%s: %d %q %q, want %q", line, status, out, errout, want)
		}
	}
	if _, out, _ := f.call("deadletter", "list", "--help"); strings.Contains(out, fakeToken) {
		t.Errorf("help shows the token:\n%s", out)
	}
}

// TestOperatorsHelp: what main_test's TestHelp does, for operators' commands.
func TestOperatorsHelp(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere(t)
	t.Setenv("TRAMA_TOKEN", fakeToken)
	for _, c := range []string{"deadletter", "deadletter list", "deadletter causes", "deadletter show", "deadletter retry", "deadletter edit", "deadletter drop",
		"deadletter export", "deadletter audit", "events", "events tail", "events show", "events replay", "subscriptions", "tasks", "tasks list", "tasks run", "trace"} {
		words := strings.Fields(c)
		status, out, errout := call(append(words, "--help")...)
		if status != 0 || errout != "" || strings.Contains(out, fakeToken) {
			t.Errorf("%s: status %d, %q\n%s", c, status, errout, out)
		}
		golden(t, filepath.Join(here, "testdata", "help", "trama-"+strings.Join(words, "-")+".golden"), out)
		_, examples, _ := strings.Cut(out, "Examples:")
		for line := range strings.Lines(examples) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "     ")
			line, _, _ = strings.Cut(line, " > ")
			if line == "" {
				continue
			}
			if status, _, errout := call(append(shellWords(line), "--help")...); status != 0 {
				t.Errorf("example %q: %s", line, errout)
			}
		}
	}
}
