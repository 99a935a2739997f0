package harness

import (
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Proxy stands in front of an engine, so that a test can take the engine away
// and give it back, or make the way to it long and narrow, without touching the
// real one.
type Proxy struct {
	target   string
	listener net.Listener

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]struct{}
	delay time.Duration // each way
	rate  int           // bytes per second, each way of each connection; 0: no limit
	left  int           // bytes to the engine until everything is cut
	cut   chan struct{} // closed by that; nil when nobody asked for it
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
	wg.Go(func() { p.pipe(server, client, true) })
	wg.Go(func() { p.pipe(client, server, false) })
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
	p.cutLocked()
}

func (p *Proxy) cutLocked() {
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

// Slow makes every way through the proxy take delay, and carry no more than rate
// bytes per second (0: any number), from now on.
func (p *Proxy) Slow(delay time.Duration, rate int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.rate = delay, rate
}

// CutAfter cuts when n more bytes have gone to the engine, wherever in a message
// that is. The channel is closed then.
func (p *Proxy) CutAfter(n int) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.cut = n, make(chan struct{})
	return p.cut
}

// piece is what was read at once, and when it is to come out.
type piece struct {
	text []byte
	due  time.Time
}

// pipe carries one way of a connection until either end closes.
func (p *Proxy) pipe(dst, src net.Conn, up bool) {
	under := make(chan piece, 64) // on the way
	var wg sync.WaitGroup
	wg.Go(func() {
		for x := range under {
			if !p.emit(dst, x, up) {
				_ = src.Close() // the reader ends, and closes under
			}
		}
		_ = dst.Close()
	})
	for {
		p.mu.Lock()
		delay, size := p.delay, 32<<10
		if p.rate > 0 {
			size = 512
		}
		p.mu.Unlock()
		text := make([]byte, size)
		n, err := src.Read(text)
		if n > 0 {
			under <- piece{text[:n], time.Now().Add(delay)}
		}
		if err != nil {
			break
		}
	}
	close(under)
	wg.Wait()
	_ = src.Close()
}

// emit writes a piece at its time; false: the connection is over.
func (p *Proxy) emit(dst net.Conn, x piece, up bool) bool {
	time.Sleep(time.Until(x.due)) // the fault itself: the way takes its time
	p.mu.Lock()
	rate, cutting := p.rate, false
	if up && p.cut != nil {
		if cutting = len(x.text) >= p.left; cutting {
			x.text = x.text[:p.left]
		}
		p.left -= len(x.text)
	}
	p.mu.Unlock()
	_, err := dst.Write(x.text)
	if cutting {
		p.mu.Lock()
		if p.cut != nil { // the first to get here; whoever waits may restore at once
			p.cutLocked()
			close(p.cut)
			p.cut = nil
		}
		p.mu.Unlock()
		return false
	}
	if rate > 0 {
		time.Sleep(time.Duration(len(x.text)) * time.Second / time.Duration(rate))
	}
	return err == nil
}
