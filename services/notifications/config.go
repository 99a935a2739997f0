package notifications

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"trama/platform/config"
	"trama/services/notifications/internal/mail"
	"trama/services/notifications/internal/mail/smtp"
)

// Config is what can be set of notifications.
type Config struct {
	School   string `key:"school" default:"Escola Trama" help:"name of the school, in every mail"`
	From     string `key:"from" default:"Escola Trama <nao-responda@trama.localhost>" help:"sender of every mail, name and address; with SMTP an address of your own domain"`
	Parallel int    `key:"parallel" default:"4" help:"mails sent at the same time, 1 to 64"`
	Retry    Retry  `key:"retry"`
	SMTP     SMTP   `key:"smtp"`

	// PublicURL is the address people reach the site and the public routes at,
	// without a path, for links. The host sets it; defaults to DefaultPublicURL.
	PublicURL string
	// MailboxDir is the folder for mail when there is no SMTP server. The host sets it.
	MailboxDir string
}

// DefaultPublicURL is where an installation that nobody configured listens.
const DefaultPublicURL = "http://127.0.0.1:8080"

// Retry is how a mail that could not be sent is tried again.
type Retry struct {
	First   time.Duration `key:"first" default:"250ms" help:"pause after the first failure; it doubles with each"`
	Longest time.Duration `key:"longest" default:"5m" help:"longest pause"`
	GiveUp  time.Duration `key:"giveUp" default:"120h" help:"age at which a mail is given up"`
}

// SMTP is the mail server. Without a host, mail is kept in the data folder.
type SMTP struct {
	Host     string        `key:"host" help:"mail server; empty: mail is kept in the data folder and shown at /correio"`
	Port     int           `key:"port" default:"587" help:"port of the mail server"`
	Security string        `key:"security" default:"starttls" help:"starttls (required, not merely tried), tls (from the first byte, port 465) or none (a server on this machine)"`
	User     string        `key:"user" help:"user at the mail server; empty: no authentication"`
	Password config.Secret `key:"password" help:"password at the mail server"`
	Timeout  time.Duration `key:"timeout" default:"30s" help:"for handing over one mail, connection included"`
}

// Check tells what cannot work.
func (c Config) Check() []config.Problem {
	var out []config.Problem
	add := func(ok bool, key, value, rule, try string) {
		if !ok {
			out = append(out, config.Problem{Key: key, Value: value, Rule: rule, Try: try})
		}
	}
	_, err := mail.ParseSender(c.From)
	add(err == nil, "from", c.From, "a name and an address", "Escola Trama <escola@exemplo.com.br>")
	add(err != nil || c.SMTP.Host == "" || !strings.HasSuffix(strings.TrimRight(c.From, ">"), ".localhost"), "from", c.From,
		"with an SMTP server, an address of your own domain", "Escola Trama <escola@exemplo.com.br>")
	add(strings.TrimSpace(c.School) != "", "school", c.School, "a name", "Escola Trama")
	add(c.Parallel >= 1 && c.Parallel <= 64, "parallel", strconv.Itoa(c.Parallel), "a whole number from 1 to 64", "4")
	r := c.Retry
	add(r.First >= time.Millisecond, "retry.first", r.First.String(), "at least 1ms", "250ms")
	add(r.Longest >= r.First, "retry.longest", r.Longest.String(), "at least retry.first", "5m")
	add(r.GiveUp >= time.Minute, "retry.giveUp", r.GiveUp.String(), "at least 1m", "120h")
	return append(out, c.SMTP.check()...)
}

func (s SMTP) check() []config.Problem {
	if s.Host == "" {
		return nil
	}
	var out []config.Problem
	add := func(ok bool, key, value, rule, try string) {
		if !ok {
			out = append(out, config.Problem{Key: "smtp." + key, Value: value, Rule: rule, Try: try})
		}
	}
	u, err := url.Parse("smtp://" + net.JoinHostPort(s.Host, "25"))
	add(err == nil && u.Hostname() == s.Host, "host", s.Host, "a host name or address without a port", "smtp.exemplo.com.br")
	add(s.Port >= 1 && s.Port <= 65535, "port", strconv.Itoa(s.Port), "a port from 1 to 65535", "587")
	add(s.Security == smtp.StartTLS || s.Security == smtp.Implicit || s.Security == smtp.None, "security", s.Security, "starttls, tls or none", "starttls")
	add(s.Timeout >= time.Second, "timeout", s.Timeout.String(), "at least 1s", "30s")
	add(s.User != "" || s.Password == "", "user", s.User, "a user, where there is a password", "escola@exemplo.com.br")
	return out
}
