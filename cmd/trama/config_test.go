package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"trama/platform/config"
	"trama/system"
)

// keep writes a trama.yaml into the test's own current folder.
func keep(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile("trama.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConfigPrintTellsValueAndOrigin(t *testing.T) {
	elsewhere(t)
	keep(t, "listen: 127.0.0.1:9001\npayments:\n  fraud:\n    maxPerCard: 3\nseed: none\nbus.url: amqp://u:hunter2@127.0.0.1/\n")
	t.Setenv("TRAMA_SEED", "demo")
	t.Setenv("TRAMA_OPERATOR_TOKEN", "hunter2hunter2hunter2")
	status, out, errout := call("config", "print", "--data", "elsewhere", "-s", "listen=127.0.0.1:9002")
	if status != 0 || errout != "" {
		t.Fatalf("%d %q", status, errout)
	}
	for _, want := range []string{
		`listen: "127.0.0.1:9002"  # --set`,
		`payments.fraud.maxPerCard: "3"  # trama.yaml:4`,
		`seed: "demo"  # TRAMA_SEED`,
		`data: "elsewhere"  # --data`,
		`bus.url: "***"  # trama.yaml:6`,
		`operatorToken: "***"  # TRAMA_OPERATOR_TOKEN`,
		`stopTimeout: "30s"  # default`,
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("missing %s in\n%s", want, out)
		}
	}
	if strings.Contains(out, "hunter2") {
		t.Error("a secret is shown")
	}
}

// TestConfigPrintIsAConfiguration: what is printed can be kept as trama.yaml.
func TestConfigPrintIsAConfiguration(t *testing.T) {
	elsewhere(t)
	settings := []string{"-s", "marketing.reminders=1s,3s", "-s", "notifications.from=Escola <a@example.com.br>", "-s", `bus.prefix=a"b\c`}
	_, printed, _ := call(append([]string{"config", "print"}, settings...)...)
	keep(t, printed)
	var c system.Config
	if _, problems := config.Load(&c, config.Sources{File: "trama.yaml"}); len(problems) > 0 {
		t.Fatal(problems)
	}
	_, again, errout := call("config", "print")
	origin := regexp.MustCompile(`  # .*`)
	if origin.ReplaceAllString(again, "") != origin.ReplaceAllString(printed, "") {
		t.Errorf("read back, it differs:\n%s\n%s\nwas\n%s", errout, again, printed)
	}
}

func TestConfigCheckNamesEveryProblemWithItsPlace(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere(t)
	if status, out, errout := call("config", "check"); status != 0 || out != "the configuration works\n" || errout != "" {
		t.Errorf("nothing configured: %d %q %q", status, out, errout)
	}
	keep(t, `listen: 8080
lisen: 127.0.0.1:8080
seed: demo
payments:
  fraud:
    maxPerCard: many
    window: 1 hour
  pixExpiry: 30
stores:
  payments: mysql://u:hunter2@db/x
  marketing: mongodb://db/marketing
discovery:
  payment: http://payments:8081
seed: none
log:
  level: loud
`)
	t.Setenv("TRAMA_BUS_ULR", "amqp://u:hunter2@broker")
	t.Setenv("TRAMA_BUS_PREFIX", "a b")
	status, out, errout := call("config", "check", "--set", "stopTimeout=1ms")
	if status != 1 || out != "" {
		t.Errorf("%d %q", status, out)
	}
	golden(t, filepath.Join(here, "testdata", "check.golden"), errout)
	if strings.Contains(errout, "hunter2") {
		t.Error("a secret is shown")
	}
	// Every command stops at the same list.
	for _, c := range []string{"up", "serve payments", "migrate", "config print", "database prepare --admin x"} {
		status, out, again := call(append(strings.Fields(c), "--set", "stopTimeout=1ms")...)
		if status != 1 || out != "" || again != errout {
			t.Errorf("trama %s: %d %q\n%s", c, status, out, again)
		}
	}
	if _, err := os.Stat("trama-data"); err == nil {
		t.Error("a data folder was made")
	}
}

// TestReferenceDependsOnNothingHere: the page is the same on every machine.
func TestReferenceDependsOnNothingHere(t *testing.T) {
	_, before, _ := call("config", "print", "--docs")
	elsewhere(t)
	keep(t, "listen: nonsense\n")
	t.Setenv("TRAMA_LISTEN", "127.0.0.1:1")
	if status, after, errout := call("config", "print", "--docs"); status != 0 || after != before || errout != "" {
		t.Errorf("%d %q", status, errout)
	}
	for _, line := range strings.Split(before, "\n") {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, ""), " | ")
		if strings.HasPrefix(line, "| `") && (len(cells) != 5 || strings.TrimSpace(strings.TrimSuffix(cells[4], "|")) == "") {
			t.Errorf("a key without meaning: %s", line)
		}
	}
}
