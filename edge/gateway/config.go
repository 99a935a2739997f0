package gateway

import (
	"fmt"
	"time"

	"trama/platform/config"
)

// Config is the gateway's configuration. A zero field means its default.
type Config struct {
	Timeout  time.Duration `key:"timeout" default:"30s" help:"longest time a request may take, unless its route says otherwise"`
	MaxBody  int64         `key:"maxBody" default:"1048576" help:"largest request body, in bytes"`
	MaxURL   int           `key:"maxUrl" default:"8192" help:"longest request target (path and query), in bytes"`
	Upstream Upstream      `key:"upstream"`
	Health   Health        `key:"health"`
}

// Upstream is how services in other processes are reached.
type Upstream struct {
	DialTimeout   time.Duration `key:"dialTimeout" default:"1s" help:"how long one address may take to accept a connection"`
	HeaderTimeout time.Duration `key:"headerTimeout" default:"30s" help:"how long a service may take to begin its answer; matters on routes without a time limit"`
	IdlePerHost   int           `key:"idlePerHost" default:"64" help:"connections kept open to each address between requests"`
	IdleTimeout   time.Duration `key:"idleTimeout" default:"90s" help:"how long an unused connection is kept"`
	SkipFor       time.Duration `key:"skipFor" default:"2s" help:"how long an address that refused a connection is asked last"`
}

// Health is how readiness is measured.
type Health struct {
	Timeout time.Duration `key:"timeout" default:"2s" help:"how long one check may take"`
	Cache   time.Duration `key:"cache" default:"1s" help:"how long a result is repeated without measuring again"`
}

// limits of what Check accepts.
const (
	maxTimeout = time.Hour
	minMaxBody = 1 << 10
	maxMaxBody = 1 << 30
	minMaxURL  = 256
	maxMaxURL  = MaxHeader
)

func or[T comparable](v, byDefault T) T {
	var zero T
	if v == zero {
		return byDefault
	}
	return v
}

// filled gives the configuration with defaults in place of zeros.
func (c Config) filled() Config {
	u, h := c.Upstream, c.Health
	return Config{
		Timeout: or(c.Timeout, 30*time.Second),
		MaxBody: or(c.MaxBody, 1<<20),
		MaxURL:  or(c.MaxURL, 8192),
		Upstream: Upstream{
			DialTimeout:   or(u.DialTimeout, time.Second),
			HeaderTimeout: or(u.HeaderTimeout, 30*time.Second),
			IdlePerHost:   or(u.IdlePerHost, 64),
			IdleTimeout:   or(u.IdleTimeout, 90*time.Second),
			SkipFor:       or(u.SkipFor, 2*time.Second),
		},
		Health: Health{Timeout: or(h.Timeout, 2*time.Second), Cache: or(h.Cache, time.Second)},
	}
}

// Check says what in the configuration cannot work, each with a value that would.
func (c Config) Check() []config.Problem {
	var problems []config.Problem
	duration := func(key string, d, least time.Duration, try string) {
		if d != 0 && (d < least || d > maxTimeout) {
			problems = append(problems, config.Problem{Key: key, Value: d.String(),
				Rule: fmt.Sprintf("must be between %s and %s", least, maxTimeout), Try: try})
		}
	}
	number := func(key string, n, least, most int64, try string) {
		if n != 0 && (n < least || n > most) {
			problems = append(problems, config.Problem{Key: key, Value: fmt.Sprint(n),
				Rule: fmt.Sprintf("must be between %d and %d", least, most), Try: try})
		}
	}
	duration("timeout", c.Timeout, 10*time.Millisecond, "30s")
	number("maxBody", c.MaxBody, minMaxBody, maxMaxBody, "1048576")
	number("maxUrl", int64(c.MaxURL), minMaxURL, maxMaxURL, "8192")
	duration("upstream.dialTimeout", c.Upstream.DialTimeout, time.Millisecond, "1s")
	duration("upstream.headerTimeout", c.Upstream.HeaderTimeout, 10*time.Millisecond, "30s")
	number("upstream.idlePerHost", int64(c.Upstream.IdlePerHost), 1, 65536, "64")
	duration("upstream.idleTimeout", c.Upstream.IdleTimeout, time.Millisecond, "90s")
	duration("upstream.skipFor", c.Upstream.SkipFor, time.Millisecond, "2s")
	duration("health.timeout", c.Health.Timeout, 10*time.Millisecond, "2s")
	duration("health.cache", c.Health.Cache, time.Millisecond, "1s")
	return problems
}
