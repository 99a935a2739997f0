package system

import (
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"trama/clients/site"
	"trama/edge/gateway"
	"trama/platform/config"
	"trama/platform/discovery"
	"trama/services/academics"
	"trama/services/acquirersim"
	"trama/services/identity"
	"trama/services/marketing"
	"trama/services/notifications"
	"trama/services/payments"
)

// Config is everything that can be set; nothing must be.
type Config struct {
	Listen        string        `key:"listen" default:"127.0.0.1:8080" help:"address of the gateway, host:port; a loopback address keeps the system to this machine"`
	Data          string        `key:"data" default:"trama-data" help:"data folder: SQLite files, event bus, mailbox, secrets"`
	Seed          string        `key:"seed" default:"demo" help:"what a new installation starts with: demo (courses) or none"`
	PublicURL     string        `key:"publicUrl" default:"" help:"address people reach the gateway at, for links in mails and callbacks; empty: http:// and listen"`
	OperatorToken config.Secret `key:"operatorToken" help:"token of the staff's routes; empty: the data folder's file operator-token"`
	Secret        config.Secret `key:"secret" help:"installation's secret, at least 32 characters, the same in every process; empty: the data folder's file secret"`
	StopTimeout   time.Duration `key:"stopTimeout" default:"30s" help:"how long an orderly stop may take before the process ends anyway"`

	Log       Log               `key:"log"`
	Telemetry Telemetry         `key:"telemetry"`
	Internal  Internal          `key:"internal"`
	Bus       Bus               `key:"bus"`
	Stores    Stores            `key:"stores"`
	Discovery map[string]string `key:"discovery"` // service → base URLs of its instances, comma-separated

	Gateway gateway.Config `key:"gateway"`
	Site    site.Config    `key:"site"`

	Marketing     marketing.Config     `key:"marketing"`
	Payments      payments.Config      `key:"payments"`
	Academics     academics.Config     `key:"academics"`
	Identity      identity.Config      `key:"identity"`
	Notifications notifications.Config `key:"notifications"`
	Acquirersim   acquirersim.Config   `key:"acquirersim"`
}

// Log says what is written to standard error.
type Log struct {
	Level  string `key:"level" default:"info" help:"debug, info, warn or error"`
	Format string `key:"format" default:"text" help:"text or json"`
}

// Telemetry says where traces and metrics go beside the process's own memory.
type Telemetry struct {
	OTLP    string  `key:"otlp" help:"http(s) base URL of an OpenTelemetry collector, as http://127.0.0.1:4318; empty: spans stay in memory"`
	Sample  float64 `key:"sample" default:"1" help:"part of new traces sent to the collector, above 0 to 1"`
	Metrics string  `key:"metrics" help:"address that serves this process's metrics at /metrics for Prometheus, as 127.0.0.1:9464; empty: only the internal address does"`
	Spans   int     `key:"spans" default:"20000" help:"spans each process remembers for trama trace"`
}

// Internal is where a process that runs only some modules serves the others.
type Internal struct {
	Listen string `key:"listen" default:"127.0.0.1:0" help:"address for calls from other processes; port 0 picks a free one and announces it in the data folder"`
}

// Bus says which engine carries events.
type Bus struct {
	URL    config.Secret `key:"url" help:"amqp:// for RabbitMQ, postgres:// for PostgreSQL, nats:// for NATS JetStream, kafka://host:9092,… for Kafka; empty: the embedded bus in the data folder"`
	Prefix string        `key:"prefix" default:"trama" help:"begins the names of exchanges and queues on a broker"`
}

// Stores says where each service keeps its data.
type Stores struct {
	MaxBatch int `key:"maxBatch" default:"128" help:"SQLite: changes committed together at most; 1 gives every change a commit of its own"`
	MaxConns int `key:"maxConns" default:"8" help:"PostgreSQL: connections per service and process"`

	Marketing     config.Secret `key:"marketing" help:"mongodb:// or postgres:// URL; empty: SQLite"`
	Payments      config.Secret `key:"payments" help:"postgres:// URL; empty: SQLite"`
	Academics     config.Secret `key:"academics" help:"postgres:// URL; empty: SQLite"`
	Identity      config.Secret `key:"identity" help:"postgres:// URL; empty: SQLite"`
	Notifications config.Secret `key:"notifications" help:"postgres:// URL; empty: SQLite"`
	Acquirersim   config.Secret `key:"acquirersim" help:"postgres:// URL; empty: SQLite"`
}

// url gives the store of a service; empty means SQLite in the data folder.
func (s Stores) url(service string) string {
	return map[string]config.Secret{
		"marketing": s.Marketing, "payments": s.Payments, "academics": s.Academics,
		"identity": s.Identity, "notifications": s.Notifications, "acquirersim": s.Acquirersim,
	}[service].Reveal()
}

// PublicAddress is where people reach the gateway, without a slash at the end:
// what is configured, else what it listens on.
func (c *Config) PublicAddress(listening string) string {
	if c.PublicURL != "" {
		return strings.TrimSuffix(c.PublicURL, "/")
	}
	return "http://" + Reachable(listening)
}

// Blind says whether modules that write the gateway's address into mails or ask
// for calls back would have to guess it: it runs elsewhere and nobody named it.
func (c *Config) Blind(modules []string) bool {
	return c.PublicURL == "" && !slices.Contains(modules, "gateway.http") &&
		(slices.Contains(modules, "notifications.worker") || slices.Contains(modules, "acquirersim.api"))
}

// Check tells what cannot work.
func (c *Config) Check() []config.Problem {
	var out []config.Problem
	add := func(ok bool, key, rule, try string) {
		if !ok {
			out = append(out, config.Problem{Key: key, Rule: rule, Try: try})
		}
	}
	add(isAddress(c.Listen), "listen", "must be host:port, the port from 0 to 65535", "127.0.0.1:8080")
	add(isAddress(c.Internal.Listen), "internal.listen", "must be host:port, the port from 0 to 65535", "127.0.0.1:0")
	add(c.Seed == "demo" || c.Seed == "none", "seed", "must be demo or none", "demo")
	add(c.Data != "", "data", "must name a folder", "trama-data")
	add(c.PublicURL == "" || discovery.CheckURL(strings.TrimSuffix(c.PublicURL, "/")) == nil, "publicUrl",
		"must be an http or https address without a path", "https://escola.example.com")
	add(c.Secret == "" || len(c.Secret.Reveal()) >= 32, "secret", "must have at least 32 characters", "the output of openssl rand -hex 32")
	add(c.OperatorToken == "" || len(c.OperatorToken.Reveal()) >= 16, "operatorToken", "must have at least 16 characters", "the output of openssl rand -hex 32")
	add(c.StopTimeout >= time.Second, "stopTimeout", "must be at least 1s", "30s")
	add(oneOf(c.Log.Level, "debug", "info", "warn", "error"), "log.level", "must be debug, info, warn or error", "info")
	add(oneOf(c.Log.Format, "text", "json"), "log.format", "must be text or json", "text")
	bus := c.Bus.URL.Reveal()
	add(bus == "" || isURL(bus, "amqp", "amqps", "postgres", "postgresql", "nats", "tls", "kafka"), "bus.url",
		"must be an amqp://, amqps://, postgres://, nats:// or kafka:// address, or empty", "amqp://guest:guest@127.0.0.1:5672/")
	add(c.Bus.Prefix != "" && !strings.ContainsAny(c.Bus.Prefix, " *#"), "bus.prefix", "must be a plain word", "trama")
	add(c.Telemetry.OTLP == "" || isURL(c.Telemetry.OTLP, "http", "https"), "telemetry.otlp", "must be an http:// or https:// address, or empty", "http://127.0.0.1:4318")
	add(c.Telemetry.Metrics == "" || isAddress(c.Telemetry.Metrics), "telemetry.metrics", "must be host:port, or empty", "127.0.0.1:9464")
	add(c.Telemetry.Sample > 0 && c.Telemetry.Sample <= 1, "telemetry.sample", "must be above 0 and at most 1", "0.1")
	add(c.Telemetry.Spans >= 1, "telemetry.spans", "must be at least 1", "20000")
	add(c.Stores.MaxBatch >= 1, "stores.maxBatch", "must be at least 1", "128")
	add(c.Stores.MaxConns >= 2, "stores.maxConns", "must be at least 2", "8")
	for _, service := range storeServices {
		schemes, rule := []string{"postgres", "postgresql"}, "must be a postgres:// address, or empty for SQLite"
		if service == "marketing" {
			schemes, rule = append(schemes, "mongodb", "mongodb+srv"), "must be a postgres:// or mongodb:// address, or empty for SQLite"
		}
		u := c.Stores.url(service)
		add(u == "" || isURL(u, schemes...), "stores."+service, rule, "postgres://trama_"+service+":password@127.0.0.1:5432/trama_"+service)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Discovery)) {
		_, known := serviceOf(name)
		add(known, "discovery."+name, "names no service; trama modules lists them", "discovery.payments")
		for _, u := range strings.Split(c.Discovery[name], ",") {
			add(discovery.CheckURL(strings.TrimSpace(u)) == nil, "discovery."+name, "must be http:// addresses without a path, comma-separated", "http://payments:8081")
		}
	}
	return out
}

// isAddress says whether s is host:port as a listener takes it.
func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == port
}

func oneOf(s string, allowed ...string) bool { return slices.Contains(allowed, s) }

func isURL(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && oneOf(u.Scheme, schemes...)
}
