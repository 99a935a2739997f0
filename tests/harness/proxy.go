package harness

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Proxy stands in front of an engine, so that a test can take the engine away
// and give it back without touching the real one.
type Proxy struct {
	target   string
	listener net.Listener

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]struct{}
}

// NewProxy makes a proxy to the host of engineURL, and gives the URL by which
// the engine is reached through it.
func NewProxy(t testing.TB, engineURL string) (*Proxy, string) {
	t.Helper()
	u, err := url.Parse(engineURL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: u.Host, listener: l, conns: map[net.Conn]struct{}{}}
	t.Cleanup(func() { _ = l.Close(); p.Cut() })
	go p.accept()
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if !p.add(client) {
			continue
		}
		go p.carry(client)
	}
}

// add takes a connection into the books; one that comes during a cut is closed.
func (p *Proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) carry(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil || !p.add(server) {
		_ = client.Close()
		return
	}
	var wg sync.WaitGroup
	copyThen := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src)
		_ = dst.Close()
		_ = src.Close()
	}
	wg.Go(func() { copyThen(server, client) })
	wg.Go(func() { copyThen(client, server) })
	wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, client)
	delete(p.conns, server)
}

// Cut takes the engine away: open connections break, new ones are refused.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.conns {
		_ = c.Close()
	}
}

// Restore gives the engine back.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}
