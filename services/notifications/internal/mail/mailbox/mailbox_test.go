package mailbox_test

import (
	"errors"
	"mime"
	stdmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trama/platform/fault"
	"trama/services/notifications/internal/mail"
	"trama/services/notifications/internal/mail/mailbox"
)

const one, two = "01980a53-2000-7000-8000-0000000000b1", "01980a53-2000-7000-8000-0000000000b2"

var from = &stdmail.Address{Name: "Escola Trama", Address: "escola@trama.example"}

func letter(id string) mail.Mail {
	return mail.Mail{ID: id, ToName: `Zoë "Ç" <b> 🎓, d'Ávila`, ToEmail: "zoe@exemplo.com.br", Subject: "Matrícula: não é só inglês 🎓 " + strings.Repeat("ção ", 30),
		Text: "Olá, Zoë!\nÇedilha = e um ponto:\n.\nfim\n", HTML: "<p style=\"color:#000\">Olá, Zoë! &lt;b&gt; 🎓 " + strings.Repeat("á", 2000) + "</p>",
		Date: time.Date(2026, 11, 20, 14, 5, 0, 0, time.UTC)}
}

func TestAMailIsAFileThatReadsBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "correio")
	b := mailbox.New(dir, from)
	for range 2 { // sent twice, one file
		if err := b.Send(t.Context(), letter(one)); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != one+".eml" {
		t.Fatalf("%v %v", entries, err)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	text, html, err := b.Read(t.Context(), one)
	if err != nil || text != letter(one).Text || html != letter(one).HTML {
		t.Errorf("%v\n%q\n%q", err, text, html)
	}
	raw, err := os.ReadFile(filepath.Join(dir, one+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(raw), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("line %d is no line of a mail: %d bytes", i+1, len(line))
		}
		for _, c := range []byte(line) {
			if c > 126 {
				t.Fatalf("line %d is not ASCII", i+1)
			}
		}
	}
	m, err := stdmail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != strings.TrimSpace(letter(one).Subject) {
		t.Errorf("subject %q %v", subject, err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Address != "zoe@exemplo.com.br" || to[0].Name != letter(one).ToName {
		t.Errorf("To %v %v", to, err)
	}
}

func TestNobodySmugglesAHeader(t *testing.T) {
	dir := t.TempDir()
	b := mailbox.New(dir, from)
	m := letter(one)
	m.ToName = "Ana\r\nBcc: all@x.br\r\n\r\nhello"
	m.Subject = "Oi\r\nX-Evil: 1\nY-Evil: 2"
	if err := b.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, one+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := stdmail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{"Bcc", "X-Evil", "Y-Evil"} {
		if v := got.Header.Get(header); v != "" {
			t.Errorf("%s: %q", header, v)
		}
	}
	for _, bad := range []func(*mail.Mail){
		func(m *mail.Mail) { m.ToEmail = "ana@x.br>\r\nBcc: all@x.br" },
		func(m *mail.Mail) { m.ToEmail = "ana@x.br, bia@x.br" },
		func(m *mail.Mail) { m.ToEmail = "" },
		func(m *mail.Mail) { m.Unsubscribe = "https://x\r\nX-Evil: 1" },
	} {
		m := letter(two)
		bad(&m)
		if err := b.Send(t.Context(), m); err == nil || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q %q: %v", m.ToEmail, m.Unsubscribe, err)
		}
	}
}

func TestAnIdIsNoPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret.eml"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := mailbox.New(filepath.Join(dir, "correio"), from)
	for _, id := range []string{"../secret", "", "secret", one, strings.ToUpper(one)} {
		if _, _, err := b.Read(t.Context(), id); !errors.Is(err, mailbox.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
		if id == one {
			continue
		}
		if err := b.Send(t.Context(), mail.Mail{ID: id, ToEmail: "a@b.br"}); err == nil {
			t.Errorf("%q was written", id)
		}
	}
}

func TestAFolderThatCannotBeWrittenIsUnavailable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "correio")
	if err := os.WriteFile(file, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	if err := mailbox.New(file, from).Send(t.Context(), letter(one)); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+\r\n--b--\r\n")
	f.Add("Subject: x\r\n\r\nplain")
	f.Add("Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n")
	f.Fuzz(func(t *testing.T, raw string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, one+".eml"), []byte(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, _ = mailbox.New(dir, from).Read(t.Context(), one) // it must return, whatever the file holds
	})
}
