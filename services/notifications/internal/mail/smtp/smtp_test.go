package smtp_test

import (
	"context"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"trama/platform/fault"
	ours "trama/services/notifications/internal/mail"
	"trama/services/notifications/internal/mail/smtp"
	"trama/services/notifications/internal/mail/smtp/smtptest"
)

var from = &mail.Address{Name: "Escola Trama", Address: "escola@trama.example"}

func letter() ours.Mail {
	return ours.Mail{ID: "01980a53-2000-7000-8000-0000000000b1", ToName: "João Souza", ToEmail: "joao@exemplo.com.br", Subject: "Matrícula confirmada: Pães",
		Text: "Olá, João!\n.\numa linha só com um ponto não acaba a mensagem\n", HTML: "<p>Olá, João!</p>", Date: time.Date(2026, 11, 20, 14, 5, 0, 0, time.UTC),
		Unsubscribe: "https://escola.example/v1/marketing/descadastro?token=abc"}
}

func send(t *testing.T, s *smtptest.Server, change func(*smtp.Options)) error {
	t.Helper()
	opt := smtp.Options{Host: s.Host(), Port: s.Port(), From: from, TLS: s.ClientTLS(), Timeout: 10 * time.Second}
	if change != nil {
		change(&opt)
	}
	m, err := smtp.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return m.Send(t.Context(), letter())
}

func TestAMailArrivesEncrypted(t *testing.T) {
	for name, test := range map[string]struct {
		server smtptest.Options
		change func(*smtp.Options)
	}{
		"STARTTLS": {smtptest.Options{StartTLS: true, User: "u", Password: "p"}, func(o *smtp.Options) { o.User, o.Password = "u", "p" }},
		"TLS":      {smtptest.Options{Implicit: true}, func(o *smtp.Options) { o.Security = smtp.Implicit }},
	} {
		s := smtptest.Start(t, test.server)
		if err := send(t, s, test.change); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := s.Mails()
		if len(got) != 1 || !got[0].TLS || got[0].User != test.server.User || !strings.Contains(got[0].To, "<joao@exemplo.com.br>") || !strings.Contains(got[0].From, "<escola@trama.example>") {
			t.Fatalf("%s: %+v", name, got)
		}
		m, err := mail.ReadMessage(strings.NewReader(got[0].Data))
		if err != nil {
			t.Fatal(err)
		}
		for header, want := range map[string]string{
			"Message-Id": "<01980a53-2000-7000-8000-0000000000b1@trama.example>", "Auto-Submitted": "auto-generated", "Content-Language": "pt-BR",
			"List-Unsubscribe":      "<https://escola.example/v1/marketing/descadastro?token=abc>",
			"List-Unsubscribe-Post": "List-Unsubscribe=One-Click", "Mime-Version": "1.0",
		} {
			if v := m.Header.Get(header); v != want {
				t.Errorf("%s: %s is %q, want %q", name, header, v, want)
			}
		}
		if at, err := m.Header.Date(); err != nil || !at.Equal(letter().Date) {
			t.Errorf("%s: Date %v %v", name, at, err)
		}
	}
}

func TestEncryptionIsRequired(t *testing.T) {
	plain := smtptest.Start(t, smtptest.Options{})
	if err := send(t, plain, nil); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a server without STARTTLS: %v", err)
	}
	stranger := smtptest.Start(t, smtptest.Options{StartTLS: true})
	if err := send(t, stranger, func(o *smtp.Options) { o.TLS = plain.ClientTLS() }); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	if n := len(plain.Mails()) + len(stranger.Mails()); n != 0 {
		t.Errorf("%d mails went out unprotected", n)
	}
	if err := send(t, plain, func(o *smtp.Options) { o.Security = smtp.None }); err != nil || len(plain.Mails()) != 1 {
		t.Errorf("where it is not wanted: %v", err)
	}
}

func TestWhatTheServerSaysDecides(t *testing.T) {
	for name, test := range map[string]struct {
		verb, reply string
		want        fault.Kind
	}{
		"recipient unknown":  {"RCPT", "550 5.1.1 no such person", fault.Invalid},
		"greylisted":         {"RCPT", "450 4.7.1 try again later", fault.Unavailable},
		"mailbox full":       {"RCPT", "452 4.2.2 full", fault.Unavailable},
		"content refused":    {"DATA-END", "554 5.7.1 spam", fault.Invalid},
		"content later":      {"DATA-END", "451 4.3.0 later", fault.Unavailable},
		"no confirmation":    {"DATA-END", "hang up", fault.Unavailable},
		"sender refused":     {"MAIL", "550 5.7.1 not you", fault.Unavailable},
		"connection refused": {"EHLO", "hang up", fault.Unavailable},
		"shutting down":      {"MAIL", "421 4.3.2 going down", fault.Unavailable},
	} {
		s := smtptest.Start(t, smtptest.Options{StartTLS: true, Reply: func(verb, _ string) string {
			if verb == test.verb {
				return test.reply
			}
			return ""
		}})
		err := send(t, s, nil)
		if err == nil || fault.KindOf(err) != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
		if len(s.Mails()) != 0 {
			t.Errorf("%s: a mail was taken", name)
		}
	}
}

func TestAFailureAfterTheMailWasTakenIsNone(t *testing.T) {
	for _, verb := range []string{"QUIT", "RSET"} {
		s := smtptest.Start(t, smtptest.Options{StartTLS: true, Reply: func(v, _ string) string {
			if v == verb {
				return "hang up"
			}
			return ""
		}})
		if err := send(t, s, nil); err != nil || len(s.Mails()) != 1 {
			t.Errorf("%s: %v, %d mails", verb, err, len(s.Mails()))
		}
	}
}

func TestAWrongPasswordIsNotTheMailsFault(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{StartTLS: true, User: "u", Password: "p"})
	err := send(t, s, func(o *smtp.Options) { o.User, o.Password = "u", "wrong" })
	if err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestAServerThatIsDownOrSilentIsUnavailable(t *testing.T) {
	s := smtptest.Start(t, smtptest.Options{StartTLS: true})
	s.Stop()
	if err := send(t, s, nil); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("down: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	m, err := smtp.New(smtp.Options{Host: "127.0.0.1", Port: silent.Addr().(*net.TCPAddr).Port, From: from, Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := m.Send(t.Context(), letter()); err == nil || fault.KindOf(err) != fault.Unavailable || time.Since(begun) > 5*time.Second {
		t.Errorf("silent: %v after %v", err, time.Since(begun))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Send(ctx, letter()); err == nil {
		t.Error("a cancelled call sends")
	}
}

func TestAnUnknownSecurityIsAnError(t *testing.T) {
	if _, err := smtp.New(smtp.Options{Host: "x", From: from, Security: "maybe"}); err == nil {
		t.Error("accepted")
	}
}
