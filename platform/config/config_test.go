package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"trama/platform/config"
)

type fraud struct {
	MaxPerCard int           `key:"maxPerCard" default:"5" help:"payments"`
	Window     time.Duration `key:"window" default:"1h" help:"how far back"`
}

func (f fraud) Check() []config.Problem {
	if f.MaxPerCard < 1 {
		return []config.Problem{{Key: "maxPerCard", Rule: "must be at least 1", Try: "5"}}
	}
	return nil
}

type sample struct {
	Listen    string            `key:"listen" default:"127.0.0.1:8080" help:"address"`
	Password  config.Secret     `key:"password" help:"never shown"`
	Debug     bool              `key:"debug" default:"false" help:"talk"`
	Reminders []time.Duration   `key:"reminders" default:"24h,72h" help:"delays"`
	Fraud     fraud             `key:"fraud"`
	Discovery map[string]string `key:"discovery"`
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trama.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEachSourceOverridesTheWeakerOne(t *testing.T) {
	file := write(t, "listen: file:1\nfraud:\n  maxPerCard: 7\n  window: 5m\nreminders: [1s, 3s]\ndiscovery:\n  academics: http://a\n")
	var c sample
	fields, problems := config.Load(&c, config.Sources{
		File: file,
		Env:  []string{"TRAMA_FRAUD_MAX_PER_CARD=8", "TRAMA_LISTEN=env:1", "TRAMA_DISCOVERY_PAYMENTS=http://p", "HOME=/x", "TRAMA_CRASH_FILE=x"},
		Set:  map[string]string{"listen": "flag:1"},
		Flag: map[string]string{"listen": "--listen"},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := sample{Listen: "flag:1", Reminders: []time.Duration{time.Second, 3 * time.Second},
		Fraud: fraud{MaxPerCard: 8, Window: 5 * time.Minute}, Discovery: map[string]string{"academics": "http://a", "payments": "http://p"}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
	origin := map[string]string{}
	for _, f := range fields {
		origin[f.Key] = f.Where
	}
	for key, where := range map[string]string{"listen": "--listen", "fraud.maxPerCard": "TRAMA_FRAUD_MAX_PER_CARD", "fraud.window": "trama.yaml:4", "debug": "default"} {
		if origin[key] != where {
			t.Errorf("%s came from %q, want %q", key, origin[key], where)
		}
	}
}

func TestAllProblemsAreToldAtOnceWithPlaceAndRemedy(t *testing.T) {
	file := write(t, "lisen: x\nfraud:\n  maxPerCard: 0\n  window: soon\ndebug: maybe\nlisten: a\nlisten: b\n")
	var c sample
	_, problems := config.Load(&c, config.Sources{File: file, Env: []string{"TRAMA_FRUD_WINDOW=1h"}, Set: map[string]string{"nope": "1"}})
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	all := strings.Join(lines, "\n")
	for _, want := range []string{
		`trama.yaml:1: lisen: unknown key (try listen)`,
		`trama.yaml:3: fraud.maxPerCard is "0": must be at least 1 (try 5)`,
		`trama.yaml:4: fraud.window is "soon": must be a duration with its unit, like 30s, 5m or 72h (try 1h)`,
		`trama.yaml:5: debug is "maybe": must be true or false (try false)`,
		`trama.yaml:7: listen: stands twice, first on line 6`,
		`environment: TRAMA_FRUD_WINDOW: unknown variable (try TRAMA_FRAUD_WINDOW)`,
		`--set: nope: unknown key`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("missing %q in:\n%s", want, all)
		}
	}
}

func TestProblemOfAFlagNamesItOnce(t *testing.T) {
	var c sample
	_, problems := config.Load(&c, config.Sources{Set: map[string]string{"debug": "maybe"}, Flag: map[string]string{"debug": "--debug"}})
	if len(problems) != 1 || problems[0].String() != `--debug is "maybe": must be true or false (try false)` {
		t.Errorf("got %v", problems)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	var c sample
	fields, _ := config.Load(&c, config.Sources{Set: map[string]string{"password": "hunter2"}})
	if c.Password.Reveal() != "hunter2" {
		t.Fatal("the secret did not arrive")
	}
	for _, f := range fields {
		if strings.Contains(f.Value, "hunter2") {
			t.Errorf("%s shows its secret", f.Key)
		}
	}
}

func TestBrokenAndMissingFiles(t *testing.T) {
	var c sample
	if _, p := config.Load(&c, config.Sources{File: write(t, "a: [\n")}); len(p) != 1 || !strings.Contains(p[0].String(), "line") {
		t.Errorf("broken YAML: %v", p)
	}
	if _, p := config.Load(&c, config.Sources{File: "/nowhere/trama.yaml"}); len(p) != 0 {
		t.Errorf("an absent optional file is fine: %v", p)
	}
	if _, p := config.Load(&c, config.Sources{File: "/nowhere/trama.yaml", Must: true}); len(p) != 1 {
		t.Errorf("an absent file that was asked for: %v", p)
	}
}

func FuzzFile(f *testing.F) {
	f.Add("listen: x\n")
	f.Add("fraud: {maxPerCard: [1,2]}\n&a b: *a\n")
	f.Fuzz(func(t *testing.T, text string) {
		var c sample
		config.Load(&c, config.Sources{File: write(t, text)})
	})
}
