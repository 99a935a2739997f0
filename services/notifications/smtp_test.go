package notifications_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trama/contracts/events"
	"trama/platform/module"
	"trama/services/notifications"
	"trama/services/notifications/internal/mail/smtp/smtptest"
)

// bySMTP makes a service that sends to the server.
func bySMTP(t testing.TB, server *smtptest.Server) *service {
	return newService(t, openSQLite(t, t.TempDir()), func(c *notifications.Config, _ *module.Deps) {
		c.SMTP.Host, c.SMTP.Port, c.SMTP.Security = server.Host(), server.Port(), "none"
		c.From = "Escola <escola@trama.example>"
	})
}

func (s *service) states(t testing.TB, state string) int {
	return s.count(t, `SELECT COUNT(*) FROM message WHERE state = $1`, state)
}

func TestATroubleThatPassesDelaysAMail(t *testing.T) {
	var tries atomic.Int32
	server := smtptest.Start(t, smtptest.Options{Reply: func(verb, _ string) string {
		if verb == "RCPT" && tries.Add(1) <= 3 {
			return "450 4.2.1 ana@exemplo.com.br: try again"
		}
		return ""
	}})
	s := bySMTP(t, server)
	s.event(t, "notifications.estornos", events.TypePagamentoEstornado, refunded())
	s.start(t)
	eventually(t, "the mail is sent", func() bool { return s.states(t, "enviada") == 1 })
	want(t, "mails taken", len(server.Mails()), 1)
	want(t, "tries", tries.Load(), 4)
	if log := s.log.String(); !strings.Contains(log, "correio-indisponivel") || strings.Contains(log, "ana@") || strings.Contains(log, "Ana") {
		t.Errorf("log:\n%s", log)
	}
}

func TestARefusalForGoodEndsAMail(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{Reply: func(verb, arg string) string {
		if verb == "RCPT" && strings.Contains(arg, "ana@") {
			return "550 5.1.1 <ana@exemplo.com.br>: no such person"
		}
		return ""
	}})
	s := bySMTP(t, server)
	s.event(t, "notifications.estornos", events.TypePagamentoEstornado, refunded())
	other := refunded()
	other.Pagador = events.Pessoa{Nome: "Bia", Email: "bia@exemplo.com.br"}
	s.event(t, "notifications.estornos", events.TypePagamentoEstornado, other)
	s.start(t)
	eventually(t, "both are settled", func() bool { return s.states(t, "enviada") == 1 && s.states(t, "falhou") == 1 })
	var reason, facts, name string
	if err := s.db.QueryRow(t.Context(), `SELECT reason, facts, name FROM message WHERE state = 'falhou'`).Scan(&reason, &facts, &name); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(reason, "550") || strings.Contains(reason, "ana@") || facts+name != "" {
		t.Errorf("reason %q, facts %q, name %q", reason, facts, name)
	}
}

func TestAServerThatComesBackGetsWhatWaited(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := bySMTP(t, server)
	address := fmt.Sprintf("%s:%d", server.Host(), server.Port())
	server.Stop()
	for range 3 {
		s.event(t, "notifications.boas-vindas", events.TypeContaCriada, accountCreated())
	}
	s.start(t)
	eventually(t, "tries have failed", func() bool { return s.count(t, `SELECT COUNT(*) FROM message WHERE attempts > 1`) == 3 })
	back := smtptest.StartAt(t, address, smtptest.Options{})
	eventually(t, "all are sent", func() bool { return s.states(t, "enviada") == 3 })
	want(t, "mails", len(back.Mails()), 3)
	want(t, "warnings", strings.Count(s.log.String(), "a mail was not sent"), 3) // one for each mail, not for each try
}

func TestWhatWaitsTooLongIsGivenUp(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	server.Stop()
	s := bySMTP(t, server)
	s.event(t, "notifications.estornos", events.TypePagamentoEstornado, refunded())
	s.clock.Jump(120*time.Hour + time.Second)
	s.start(t)
	eventually(t, "it is given up", func() bool { return s.states(t, "falhou") == 1 })
}

func TestWithSMTPTheMailboxSaysSo(t *testing.T) {
	s := bySMTP(t, smtptest.Start(t, smtptest.Options{}))
	for _, path := range []string{messages, messages + "/" + lead} {
		status, text, _ := s.get(path, true)
		if status != http.StatusNotFound || !strings.Contains(text, "correio-por-smtp") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	status, _, _ := s.get(messages, false)
	want(t, "remote", status, http.StatusUnauthorized)
}

func TestSoManyMailsAtATimeAndNoMore(t *testing.T) {
	const parallel, mails = 3, 12
	var now, most atomic.Int32
	gate := make(chan struct{})
	server := smtptest.Start(t, smtptest.Options{Reply: func(verb, _ string) string {
		if verb == "MAIL" {
			n := now.Add(1)
			for {
				m := most.Load()
				if n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			<-gate
			now.Add(-1)
		}
		return ""
	}})
	s := newService(t, openSQLite(t, t.TempDir()), func(c *notifications.Config, _ *module.Deps) {
		c.SMTP.Host, c.SMTP.Port, c.SMTP.Security, c.Parallel = server.Host(), server.Port(), "none", parallel
	})
	for range mails {
		s.event(t, "notifications.estornos", events.TypePagamentoEstornado, refunded())
	}
	s.start(t)
	open := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	eventually(t, "all hands are full", func() bool { return now.Load() == parallel })
	want(t, "sent while they are", s.states(t, "enviada"), 0)
	open()
	eventually(t, "all are sent", func() bool { return s.states(t, "enviada") == mails })
	want(t, "at a time", most.Load(), parallel)
	want(t, "taken", len(server.Mails()), mails)
}

func TestAMailInHandIsFinishedBeforeTheEnd(t *testing.T) {
	reached, gate := make(chan struct{}), make(chan struct{})
	server := smtptest.Start(t, smtptest.Options{Reply: func(verb, _ string) string {
		if verb == "DATA-END" {
			close(reached)
			<-gate
		}
		return ""
	}})
	s := bySMTP(t, server)
	s.event(t, "notifications.estornos", events.TypePagamentoEstornado, refunded())
	s.start(t)
	<-reached
	ended := make(chan struct{})
	go func() {
		s.stop()
		close(ended)
	}()
	close(gate)
	<-ended
	want(t, "recorded as sent", s.states(t, "enviada"), 1)
}

func TestAStoreThatIsDownWhileRecordingMakesNoSecondMail(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	db := &failing{DB: openSQLite(t, t.TempDir())}
	s := newService(t, db, func(c *notifications.Config, _ *module.Deps) {
		c.SMTP.Host, c.SMTP.Port, c.SMTP.Security = server.Host(), server.Port(), "none"
	})
	s.event(t, "notifications.estornos", events.TypePagamentoEstornado, refunded())
	db.left.Store(2)
	s.start(t)
	eventually(t, "it is recorded", func() bool { return s.states(t, "enviada") == 1 })
	want(t, "mails", len(server.Mails()), 1)
}
