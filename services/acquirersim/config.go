package acquirersim

import (
	"net/url"
	"time"

	"trama/platform/config"
)

// Config is what can be set of the simulator.
type Config struct {
	Delay       time.Duration `key:"delay" default:"150ms" help:"how long a charge or refund takes; 0 for benchmarks"`
	Hang        time.Duration `key:"hang" default:"2s" help:"how long the cards that lose their answer keep the caller waiting"`
	UnknownAsks int           `key:"unknownAsks" default:"2" help:"how often a charge that got lost is said not to exist before it can be repeated"`

	CallbackURL        string        `key:"callbackUrl" default:"" help:"where notices go; empty: the host gives this installation's /v1/financeiro/retornos"`
	CallbackSecret     config.Secret `key:"callbackSecret" default:"" help:"key of the notices' signature, the same as payments.callbackSecret; empty: derived from the installation's secret"`
	CallbackTimeout    time.Duration `key:"callbackTimeout" default:"5s" help:"how long one notice may take"`
	CallbackBackoff    time.Duration `key:"callbackBackoff" default:"1s" help:"pause after a notice that was not taken, doubled each time"`
	CallbackMaxBackoff time.Duration `key:"callbackMaxBackoff" default:"1m" help:"longest pause between two attempts"`

	MerchantName string `key:"merchantName" default:"TRAMA SIMULADOR" help:"who receives, in pix codes; at most 25 ASCII characters"`
	MerchantCity string `key:"merchantCity" default:"SAO PAULO" help:"city of who receives, in pix codes; at most 15 ASCII characters"`
}

// Check tells what cannot work.
func (c Config) Check() []config.Problem {
	var out []config.Problem
	bad := func(broken bool, key, rule, try string) {
		if broken {
			out = append(out, config.Problem{Key: key, Rule: rule, Try: try})
		}
	}
	bad(c.Delay < 0 || c.Delay > time.Minute, "delay", "from 0 to 1m", "150ms")
	bad(c.Hang < 0 || c.Hang > 5*time.Minute, "hang", "from 0 to 5m", "2s")
	bad(c.UnknownAsks < 0 || c.UnknownAsks > 1000, "unknownAsks", "from 0 to 1000", "2")
	if u, err := url.Parse(c.CallbackURL); c.CallbackURL != "" {
		bad(err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "",
			"callbackUrl", "an http or https URL", "http://127.0.0.1:8080/v1/financeiro/retornos")
	}
	bad(c.CallbackTimeout < 10*time.Millisecond, "callbackTimeout", "at least 10ms", "5s")
	bad(c.CallbackBackoff < time.Millisecond, "callbackBackoff", "at least 1ms", "1s")
	bad(c.CallbackMaxBackoff < c.CallbackBackoff, "callbackMaxBackoff", "not below callbackBackoff", "1m")
	bad(!ascii(c.MerchantName, 25), "merchantName", "1 to 25 printable ASCII characters", "TRAMA SIMULADOR")
	bad(!ascii(c.MerchantCity, 15), "merchantCity", "1 to 15 printable ASCII characters", "SAO PAULO")
	return out
}

func ascii(s string, most int) bool {
	for _, b := range []byte(s) {
		if b < 0x20 || b > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= most
}
