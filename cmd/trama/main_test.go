package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"trama/system"
)

// playEnv makes this test binary behave as trama, so that tests have processes of
// it without a second build; children of up --split inherit it.
const playEnv = "TRAMA_TEST_PLAY"

var update = flag.Bool("update", false, "write golden files and reference pages anew")

func TestMain(m *testing.M) {
	if os.Getenv(playEnv) != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	for _, name := range os.Environ() { // settings of the person who runs the tests
		if name, _, _ := strings.Cut(name, "="); strings.HasPrefix(name, "TRAMA_") && !strings.HasPrefix(name, "TRAMA_TEST_") {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Unsetenv("COLUMNS")
	os.Exit(m.Run())
}

// call runs a command in this process.
func call(args ...string) (status int, out, errout string) {
	var o, e bytes.Buffer
	status = run(args, &o, &e)
	return status, o.String(), e.String()
}

// golden compares text with a file of testdata, or with -update writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test ./cmd/trama -update makes it", err)
	}
	if got != string(want) {
		t.Errorf("%s is not fresh; go test ./cmd/trama -update, and look at the difference.\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// elsewhere moves the test into an empty folder, so that no trama.yaml is found
// and a default data folder shows.
func elsewhere(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	return dir
}

var commands = []string{"", "up", "serve", "modules", "migrate", "database", "database prepare", "config", "config print", "config check", "version"}

func TestHelp(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere(t)
	for _, c := range commands {
		t.Run("trama "+c, func(t *testing.T) {
			words := strings.Fields(c)
			status, out, errout := call(append(words, "--help")...)
			if status != 0 || errout != "" {
				t.Errorf("status %d, %q", status, errout)
			}
			name := strings.Join(append([]string{"trama"}, words...), "-")
			golden(t, filepath.Join(here, "testdata", "help", name+".golden"), out)
			for _, line := range strings.Split(out, "\n") {
				if len([]rune(line)) > 100 || strings.HasSuffix(line, " ") {
					t.Errorf("a line is too long, or ends with spaces: %q", line)
				}
			}
			if n := strings.Count(out, "Examples:"); n > 1 {
				t.Errorf("examples are shown %d times", n)
			}
			if status, same, _ := call(append([]string{"help"}, words...)...); status != 0 || same != out {
				t.Errorf("trama help %s says something else (status %d)", c, status)
			}
		})
	}
	if status, out, _ := call(); status != 0 || !strings.HasPrefix(out, "Usage: trama <command>") {
		t.Errorf("trama alone: %d %q", status, out)
	}
}

// TestExamplesAreUnderstood parses every command line that help shows.
func TestExamplesAreUnderstood(t *testing.T) {
	elsewhere(t)
	seen := 0
	for _, c := range commands {
		_, out, _ := call(append(strings.Fields(c), "--help")...)
		_, examples, _ := strings.Cut(out, "Examples:")
		text := strings.ReplaceAll(examples, "\\\n", " ")
		for _, line := range strings.Split(text, "\n") {
			fields := strings.Fields(strings.SplitN(strings.SplitN(line, " > ", 2)[0], "     ", 2)[0])
			if len(fields) == 0 || fields[0] != "trama" {
				continue
			}
			seen++
			for i := range fields {
				fields[i] = strings.Trim(fields[i], "'")
			}
			if errText := understood(fields[1:]); errText != "" {
				t.Errorf("%s: %s", line, errText)
			}
		}
	}
	if seen < 12 {
		t.Errorf("only %d examples", seen)
	}
}

// understood says why a command line, or a setting in it, cannot be understood.
func understood(args []string) string {
	if status, _, errout := call(append(args, "--help")...); status != 0 {
		return errout
	}
	settings := []string{"config", "check"}
	for i, a := range args {
		if (a == "-s" || a == "--set") && i+1 < len(args) {
			settings = append(settings, a, args[i+1])
		}
	}
	if status, _, errout := call(settings...); status != 0 {
		return errout
	}
	return ""
}

func TestWrongCommandLines(t *testing.T) {
	elsewhere(t)
	for _, tt := range []struct{ line, want string }{
		{"nope", "trama: there is no command \"nope\"; see trama --help\n"},
		{"--nope", "trama: unknown flag --nope; see trama --help\n"},
		{"up --nope", "trama: unknown flag --nope; see trama up --help\n"},
		{"up now", "trama: unexpected argument now; see trama up --help\n"},
		{"up --listen", "trama: --listen: needs a value; see trama up --help\n"},
		{"serve", "trama: expected \"<modules> ...\"; see trama serve --help\n"},
		{"config", "trama: expected one of \"print\", \"check\"; see trama config --help\n"},
		{"database", "trama: expected \"prepare\"; see trama database --help\n"},
		{"database prepare", "trama: missing flags: --admin=URL; see trama database prepare --help\n"},
		{"up -s listen", "trama: --set: expected \"<key>=<value>\" but got \"listen\"; see trama up --help\n"},
		{"help nope", "trama: there is no command \"nope\"; see trama --help\n"},
	} {
		status, out, errout := call(strings.Fields(tt.line)...)
		if status != 2 || out != "" || errout != tt.want {
			t.Errorf("trama %s: status %d, said %q and %q, want %q", tt.line, status, out, errout, tt.want)
		}
	}
}

func TestVersion(t *testing.T) {
	if status, out, errout := call("version"); status != 0 || out != "trama "+version+"\n" || errout != "" {
		t.Errorf("%d %q %q", status, out, errout)
	}
}

func TestModules(t *testing.T) {
	status, out, errout := call("modules")
	if status != 0 || errout != "" {
		t.Fatalf("%d %q", status, errout)
	}
	golden(t, "testdata/modules.golden", out)
	for _, e := range system.Table() {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(e.Module) + ` `).MatchString(out) {
			t.Errorf("%s is not listed", e.Module)
		}
	}
}

// TestReferencePagesAreFresh: docs/reference is what the program says.
func TestReferencePagesAreFresh(t *testing.T) {
	for page, args := range map[string][]string{
		"configuration.md": {"config", "print", "--docs"},
		"modules.md":       {"modules", "--docs"},
	} {
		status, out, errout := call(args...)
		if status != 0 || errout != "" {
			t.Fatalf("%v: %d %q", args, status, errout)
		}
		golden(t, filepath.Join("..", "..", "docs", "reference", page), out)
	}
}
