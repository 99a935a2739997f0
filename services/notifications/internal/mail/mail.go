// Package mail owns the form of a mail on the wire: a MIME message of plain text
// and HTML, in UTF-8, with the headers that automatic mail should have. Adapters
// of the Mailer port (smtp, mailbox) send what Message builds.
package mail

import (
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
)

// Mail is one mail, ready to be sent.
type Mail struct {
	ID      string // UUID of the message: a mail that is sent twice can be recognised
	ToName  string
	ToEmail string
	Subject string
	Text    string
	HTML    string
	Date    time.Time
	// Unsubscribe is the address that takes the one click of RFC 8058; empty: none.
	Unsubscribe string
}

// ParseSender reads "Escola <escola@exemplo.com.br>".
func ParseSender(from string) (*mail.Address, error) {
	a, err := mail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("sender %q: %w", from, err)
	}
	return a, nil
}

// Message builds the MIME message. The Message-ID is made of the message's id and
// the sender's host, so that a repetition has the same.
func Message(from *mail.Address, m Mail) (*gomail.Msg, error) {
	if strings.ContainsFunc(m.ToEmail+m.Unsubscribe, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return nil, fmt.Errorf("mail %s: the address holds characters that no address has", m.ID)
	}
	if _, host, ok := strings.Cut(m.ToEmail, "@"); !ok || host == "" {
		return nil, fmt.Errorf("mail %s: the address has no host", m.ID)
	}
	_, host, _ := strings.Cut(from.Address, "@")
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(from)
	msg.ToMailAddress(&mail.Address{Name: oneLine(m.ToName), Address: m.ToEmail})
	msg.Subject(oneLine(m.Subject))
	msg.SetMessageIDWithValue(m.ID + "@" + host)
	msg.SetDateWithValue(m.Date)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's absence note answers it
	msg.SetGenHeader("Content-Language", "pt-BR")
	if m.Unsubscribe != "" {
		msg.SetGenHeaderPreformatted(gomail.HeaderListUnsubscribe, "<"+m.Unsubscribe+">")
		msg.SetGenHeaderPreformatted(gomail.HeaderListUnsubscribePost, "List-Unsubscribe=One-Click")
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return msg, nil
}

// oneLine keeps a header within its line.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == ' ' }), " ")
}
