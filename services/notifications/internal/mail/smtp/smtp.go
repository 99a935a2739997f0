// Package smtp is the Mailer for a mail server: one connection for each mail,
// encrypted by STARTTLS unless configured otherwise.
//
// What the server says decides: a recipient or a content that it refuses for
// good (5xx to RCPT or DATA) is Refused; everything else (no connection, no
// encryption, wrong password, sender refused, 4xx) is Unavailable, because it is
// the installation's trouble and passes when somebody mends it. A mail whose
// confirmation is lost may arrive twice, with the same Message-ID.
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	stdmail "net/mail"
	"slices"
	"time"

	gomail "github.com/wneessen/go-mail"

	"trama/services/notifications/internal/mail"
)

// The ways of encryption.
const (
	StartTLS = "starttls" // required: no mail goes out if the server cannot
	Implicit = "tls"      // from the first byte (port 465)
	None     = "none"     // for a server on this machine
)

// Options say how to reach the server. Host and From are required.
type Options struct {
	Host     string
	Port     int    // defaults to 587
	Security string // StartTLS, Implicit or None; defaults to StartTLS
	User     string // empty: no authentication
	Password string
	From     *stdmail.Address
	Timeout  time.Duration // for the whole of one mail; defaults to 30 s
	TLS      *tls.Config   // nil: the machine's roots, the server's name is Host
}

// Mailer sends mail by SMTP. It is safe for concurrent use.
type Mailer struct {
	opt  Options
	with []gomail.Option
}

// New makes a mailer; it connects to nothing.
func New(opt Options) (*Mailer, error) {
	if opt.Port == 0 {
		opt.Port = 587
	}
	if opt.Timeout <= 0 {
		opt.Timeout = 30 * time.Second
	}
	with := []gomail.Option{gomail.WithPort(opt.Port), gomail.WithTimeout(opt.Timeout)}
	switch opt.Security {
	case "", StartTLS:
		with = append(with, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case Implicit:
		with = append(with, gomail.WithSSL())
	case None:
		with = append(with, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		return nil, fmt.Errorf("smtp: security %q: want starttls, tls or none", opt.Security)
	}
	if opt.TLS != nil {
		with = append(with, gomail.WithTLSConfig(opt.TLS))
	}
	if opt.User != "" {
		with = append(with, gomail.WithUsername(opt.User), gomail.WithPassword(opt.Password), gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover))
	}
	m := &Mailer{opt: opt, with: with}
	if _, err := m.client(nil); err != nil {
		return nil, err
	}
	return m, nil
}

// client makes the client of one mail. dialled hears of its connection, except
// under Implicit, where the library must dial by itself to know that it is safe
// to send a password.
func (s *Mailer) client(dialled func(net.Conn)) (*gomail.Client, error) {
	with := s.with
	if dialled != nil && s.opt.Security != Implicit {
		with = append(slices.Clone(with), gomail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil {
				dialled(c)
			}
			return c, err
		}))
	}
	client, err := gomail.NewClient(s.opt.Host, with...)
	if err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	return client, nil
}

// Send hands one mail over to the server.
func (s *Mailer) Send(ctx context.Context, m mail.Mail) error {
	msg, err := mail.Message(s.opt.From, m)
	if err != nil {
		return mail.Refused(err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	// The library forgets a connection whose greeting failed, and does not look at
	// ctx once it is connected: both end with ctx, at the latest when we return.
	client, err := s.client(func(c net.Conn) { context.AfterFunc(ctx, func() { _ = c.Close() }) })
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, msg)
	switch {
	case err == nil, msg.IsDelivered(): // the server has it, though saying goodbye failed
		return nil
	case forGood(err):
		return mail.Refused(err)
	}
	return mail.Unavailable(err)
}

// forGood says whether the server will never take this mail.
func forGood(err error) bool {
	var e *gomail.SendError
	if !errors.As(err, &e) || e.IsTemp() || e.ErrorCode() < 500 {
		return false
	}
	return e.Reason == gomail.ErrSMTPRcptTo || e.Reason == gomail.ErrSMTPData || e.Reason == gomail.ErrSMTPDataClose
}
