// Package smtptest is a small mail server for tests: it speaks enough of SMTP
// (RFC 5321) for a client that sends, with STARTTLS or TLS from the first byte
// and AUTH, and answers what the test wants where the test wants it.
package smtptest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options shape a server.
type Options struct {
	StartTLS bool // offer STARTTLS
	Implicit bool // TLS from the first byte
	// User and Password are wanted by AUTH PLAIN when User is not empty.
	User, Password string
	// Reply gives the answer to a command ("RCPT", "TO:<a@b.br>") or to the end of
	// the data ("DATA-END"); "" is the ordinary one. It may be called concurrently.
	Reply func(verb, arg string) string
}

// Received is a mail that the server took.
type Received struct {
	From, To string // as in the envelope
	Data     string
	TLS      bool
	User     string // who authenticated
}

// Server is a running server; it ends with the test.
type Server struct {
	opt   Options
	l     net.Listener
	tls   *tls.Config
	roots *x509.CertPool

	mu    sync.Mutex
	mails []Received
	took  chan struct{}
}

// Start runs a server on a free port of 127.0.0.1.
func Start(t testing.TB, opt Options) *Server {
	t.Helper()
	return StartAt(t, "127.0.0.1:0", opt)
}

// StartAt runs a server at an address.
func StartAt(t testing.TB, address string, opt Options) *Server {
	t.Helper()
	s := &Server{opt: opt, took: make(chan struct{}, 1024)}
	s.certify(t)
	var err error
	if s.l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	if opt.Implicit {
		s.l = tls.NewListener(s.l, s.tls)
	}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			c, err := s.l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		s.Stop()
		sessions.Wait()
	})
	return s
}

// Stop takes no more connections.
func (s *Server) Stop() { _ = s.l.Close() }

// Host and Port say where it listens.
func (s *Server) Host() string { return "127.0.0.1" }

// Port is the port it listens at.
func (s *Server) Port() int { return s.l.Addr().(*net.TCPAddr).Port }

// ClientTLS trusts the server's certificate.
func (s *Server) ClientTLS() *tls.Config {
	return &tls.Config{RootCAs: s.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}

// Mails gives what was taken so far.
func (s *Server) Mails() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Received(nil), s.mails...)
}

// Took gives one value for each mail taken.
func (s *Server) Took() <-chan struct{} { return s.took }

func (s *Server) certify(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(cert)
	s.tls = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

// session is one connection.
type session struct {
	s    *Server
	c    net.Conn
	r    *bufio.Reader
	mail Received
}

func (s *Server) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	x := &session{s: s, c: c, r: bufio.NewReader(c)}
	x.mail.TLS = s.opt.Implicit
	x.say("220 smtptest")
	for {
		line, err := x.r.ReadString('\n')
		if err != nil {
			return
		}
		verb, arg, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		verb = strings.ToUpper(verb)
		if s.opt.Reply != nil {
			if reply := s.opt.Reply(verb, arg); reply == "hang up" {
				return
			} else if reply != "" {
				x.say(reply)
				continue
			}
		}
		if !x.command(verb, arg) {
			return
		}
	}
}

func (x *session) say(line string) { _, _ = io.WriteString(x.c, line+"\r\n") }

// command answers one command as usual; false ends the session.
func (x *session) command(verb, arg string) bool {
	switch verb {
	case "EHLO", "HELO":
		x.greet()
	case "STARTTLS":
		x.say("220 go ahead")
		x.c = tls.Server(x.c, x.s.tls)
		x.r = bufio.NewReader(x.c)
		x.mail.TLS = true
	case "AUTH":
		x.authenticate(arg)
	case "MAIL":
		if x.s.opt.User != "" && x.mail.User == "" {
			x.say("530 authentication required")
			return true
		}
		x.mail.From = arg
		x.say("250 ok")
	case "RCPT":
		x.mail.To = arg
		x.say("250 ok")
	case "DATA":
		x.say("354 go ahead")
		return x.data()
	case "QUIT":
		x.say("221 bye")
		return false
	case "NOOP", "RSET":
		x.say("250 ok")
	default:
		x.say("500 unknown command")
	}
	return true
}

func (x *session) greet() {
	lines := []string{"smtptest", "8BITMIME"}
	if x.s.opt.StartTLS && !x.mail.TLS {
		lines = append(lines, "STARTTLS")
	}
	if x.s.opt.User != "" {
		lines = append(lines, "AUTH PLAIN")
	}
	for i, line := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		x.say("250" + sep + line)
	}
}

func (x *session) authenticate(arg string) {
	mechanism, initial, _ := strings.Cut(arg, " ")
	raw, err := base64.StdEncoding.DecodeString(initial)
	if mechanism != "PLAIN" || err != nil || string(raw) != fmt.Sprintf("\x00%s\x00%s", x.s.opt.User, x.s.opt.Password) {
		x.say("535 authentication failed")
		return
	}
	x.mail.User = x.s.opt.User
	x.say("235 welcome")
}

// data takes the content up to the lonely dot.
func (x *session) data() bool {
	var content strings.Builder
	for {
		line, err := x.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		content.WriteString(strings.TrimPrefix(line, "."))
	}
	if x.s.opt.Reply != nil {
		if reply := x.s.opt.Reply("DATA-END", content.String()); reply == "hang up" {
			return false
		} else if reply != "" {
			x.say(reply)
			return true
		}
	}
	x.mail.Data = content.String()
	x.s.mu.Lock()
	x.s.mails = append(x.s.mails, x.mail)
	x.s.mu.Unlock()
	x.say("250 taken")
	x.s.took <- struct{}{}
	return true
}
