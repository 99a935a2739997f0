package system

import (
	"net/url"
	"strings"
	"testing"

	"trama/platform/config"
)

// load gives the problems of a configuration made of these settings.
func load(set map[string]string) []string {
	var c Config
	_, problems := config.Load(&c, config.Sources{Set: set})
	var out []string
	for _, p := range problems {
		out = append(out, p.String())
	}
	return out
}

func TestConfigThatWorks(t *testing.T) {
	long := strings.Repeat("s", 32)
	for _, set := range []map[string]string{
		{},
		{"listen": ":8080"}, {"listen": "[::1]:0"}, {"listen": "localhost:65535"}, {"internal.listen": "0.0.0.0:8081"},
		{"seed": "none"}, {"publicUrl": "https://escola.example.com"}, {"publicUrl": "http://127.0.0.1:8080/"},
		{"secret": long}, {"operatorToken": "0123456789abcdef"}, {"stopTimeout": "1s"},
		{"log.level": "debug", "log.format": "json"},
		{"bus.url": "amqps://u:p@broker.example.com/vhost", "bus.prefix": "escola"},
		{"stores.payments": "postgres://u:p@db/x", "stores.academics": "postgresql://db/x?search_path=academics"},
		{"stores.marketing": "mongodb://db/marketing"}, {"stores.marketing": "mongodb+srv://db/marketing"}, {"stores.marketing": "postgres://db/x"},
		{"discovery.payments": "http://a:1, http://b:2"}, {"discovery.gateway": "https://escola.example.com"},
	} {
		if problems := load(set); len(problems) > 0 {
			t.Errorf("%v: %v", set, problems)
		}
	}
}

func TestConfigThatCannotWork(t *testing.T) {
	tests := []struct{ key, value, want string }{
		{"listen", "8080", "must be host:port"},
		{"listen", "127.0.0.1:", "must be host:port"},
		{"listen", "127.0.0.1:99999", "0 to 65535"},
		{"listen", "127.0.0.1:http", "0 to 65535"},
		{"listen", "::1:80", "must be host:port"},
		{"internal.listen", "nowhere", "must be host:port"},
		{"data", "", "must name a folder"},
		{"seed", "Demo", "must be demo or none (try demo)"},
		{"publicUrl", "escola.example.com", "without a path"},
		{"publicUrl", "https://escola.example.com/trama", "without a path"},
		{"publicUrl", "https://u:p@escola.example.com", "without a path"},
		{"publicUrl", "ftp://escola.example.com", "http or https"},
		{"secret", strings.Repeat("s", 31), "at least 32"},
		{"operatorToken", "short", "at least 16"},
		{"stopTimeout", "999ms", "at least 1s"},
		{"stopTimeout", "soon", "duration with its unit"},
		{"log.level", "loud", "debug, info, warn or error"},
		{"log.format", "xml", "text or json"},
		{"bus.url", "http://127.0.0.1", "amqp://"},
		{"bus.url", "amqp:guest", "amqp://"},
		{"bus.prefix", "", "plain word"},
		{"bus.prefix", "a b", "plain word"},
		{"bus.prefix", "a#", "plain word"},
		{"stores.maxBatch", "0", "at least 1"},
		{"stores.maxConns", "1", "at least 2"},
		{"stores.payments", "mysql://db/x", "postgres://"},
		{"stores.payments", "mongodb://db/x", "must be a postgres:// address, or empty"},
		{"stores.marketing", "redis://db", "postgres:// or mongodb://"},
		{"stores.identity", "postgres:x", "postgres://"},
		{"discovery.nope", "http://a:1", "names no service"},
		{"discovery.payments", "a:1", "without a path"},
		{"discovery.payments", "http://a:1,", "without a path"},
		{"discovery.payments", "http://a:1/rpc", "without a path"},
		{"payments.fraud.threshold", "0", "at least 1"},
		{"marketing.reminders", "3s,1s", "longer than the one before"},
		{"nope", "1", "unknown key"},
	}
	for _, tt := range tests {
		problems := load(map[string]string{tt.key: tt.value})
		if len(problems) != 1 || !strings.Contains(problems[0], tt.want) || !strings.Contains(problems[0], tt.key) {
			t.Errorf("%s=%q: %q, want one problem with %q", tt.key, tt.value, problems, tt.want)
		}
	}
}

// TestEveryRemedyWorks: a value that a message recommends must not bring the next
// message.
func TestEveryRemedyWorks(t *testing.T) {
	c := &Config{ // wrong in every way there is
		Listen: "x", Internal: Internal{Listen: "x"}, Seed: "x", PublicURL: "x", Secret: "x", OperatorToken: "x",
		Log: Log{Level: "x", Format: "x"}, Bus: Bus{URL: "x"},
		Stores:    Stores{Marketing: "x", Payments: "x", Academics: "x", Identity: "x", Notifications: "x", Acquirersim: "x"},
		Discovery: map[string]string{"payments": "x"},
	}
	problems := c.Check()
	if len(problems) < 20 {
		t.Errorf("only %d problems: %v", len(problems), problems)
	}
	for _, p := range problems {
		if p.Try == "" {
			t.Errorf("%s: %s, and no remedy", p.Key, p.Rule)
			continue
		}
		if again := load(map[string]string{p.Key: p.Try}); len(again) > 0 {
			t.Errorf("%s: the remedy %q brings %v", p.Key, p.Try, again)
		}
	}
}

func TestProblemsShowNoSecret(t *testing.T) {
	const secret = "hunter2"
	set := map[string]string{"bus.url": "http://u:" + secret + "@x", "operatorToken": secret, "secret": secret}
	for _, service := range storeServices {
		set["stores."+service] = "mysql://u:" + secret + "@x"
	}
	problems := load(set)
	if len(problems) != len(set) {
		t.Errorf("%d problems, want %d: %v", len(problems), len(set), problems)
	}
	if all := strings.Join(problems, "\n"); strings.Contains(all, secret) {
		t.Errorf("a secret is shown:\n%s", all)
	}
}

func TestPublicAddress(t *testing.T) {
	for _, tt := range []struct{ configured, listening, want string }{
		{"", "127.0.0.1:8080", "http://127.0.0.1:8080"},
		{"", "0.0.0.0:8080", "http://127.0.0.1:8080"},
		{"", "[::]:8080", "http://127.0.0.1:8080"},
		{"", ":8080", "http://127.0.0.1:8080"},
		{"", "[::1]:8080", "http://[::1]:8080"},
		{"", "escola.example.com:80", "http://escola.example.com:80"},
		{"https://escola.example.com/", "0.0.0.0:8080", "https://escola.example.com"},
	} {
		c := Config{PublicURL: tt.configured}
		got := c.PublicAddress(tt.listening)
		if got != tt.want {
			t.Errorf("%q on %s: %s, want %s", tt.configured, tt.listening, got, tt.want)
		}
		if _, err := url.Parse(got); err != nil {
			t.Error(err)
		}
	}
}

func TestBlind(t *testing.T) {
	for _, tt := range []struct {
		publicURL, modules string
		want               bool
	}{
		{"", "notifications", true}, {"", "acquirersim", true}, {"", "school", true},
		{"", "all", false}, {"", "gateway notifications", false}, {"", "payments academics site", false}, {"", "notifications.api", false},
		{"https://escola.example.com", "notifications", false},
	} {
		modules, err := Select(strings.Fields(tt.modules)...)
		if err != nil {
			t.Fatal(err)
		}
		c := Config{PublicURL: tt.publicURL}
		if got := c.Blind(modules); got != tt.want {
			t.Errorf("%q %s: %v", tt.publicURL, tt.modules, got)
		}
	}
}
