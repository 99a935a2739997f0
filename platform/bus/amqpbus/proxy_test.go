package amqpbus_test

import (
	"io"
	"net"
	"net/url"
	"sync"
)

// proxy stands between a bus and the broker and can cut the wire.
type proxy struct {
	url    string
	target string
	ln     net.Listener

	mu    sync.Mutex
	conns map[net.Conn]bool
	down  bool
	mute  chan struct{} // not nil: nothing passes until it is closed
}

func newProxy(p *place) *proxy {
	p.t.Helper()
	u, err := url.Parse(p.url)
	if err != nil {
		p.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	x := &proxy{target: u.Host, ln: ln, conns: map[net.Conn]bool{}}
	u.Host = ln.Addr().String()
	x.url = u.String()
	go x.accept()
	p.t.Cleanup(func() { _ = ln.Close(); x.silence(false); x.cut() })
	return x
}

func (x *proxy) accept() {
	for {
		in, err := x.ln.Accept()
		if err != nil {
			return
		}
		x.mu.Lock()
		down := x.down
		x.mu.Unlock()
		out, err := net.Dial("tcp", x.target)
		if down || err != nil {
			_ = in.Close()
			if err == nil {
				_ = out.Close()
			}
			continue
		}
		x.mu.Lock()
		x.conns[in], x.conns[out] = true, true
		x.mu.Unlock()
		go x.copy(in, out)
		go x.copy(out, in)
	}
}

func (x *proxy) copy(to, from net.Conn) {
	_, _ = io.Copy(gated{to, x}, from)
	_ = to.Close()
	_ = from.Close()
	x.mu.Lock()
	delete(x.conns, to)
	delete(x.conns, from)
	x.mu.Unlock()
}

// gated holds back what is written while the proxy is silent.
type gated struct {
	net.Conn
	x *proxy
}

func (g gated) Write(b []byte) (int, error) {
	g.x.mu.Lock()
	mute := g.x.mute
	g.x.mu.Unlock()
	if mute != nil {
		<-mute
	}
	return g.Conn.Write(b)
}

// silence lets nothing through, without closing anything.
func (x *proxy) silence(on bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case on && x.mute == nil:
		x.mute = make(chan struct{})
	case !on && x.mute != nil:
		close(x.mute)
		x.mute = nil
	}
}

// cut drops every connection.
func (x *proxy) cut() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.conns {
		_ = c.Close()
	}
}

// setDown makes the broker unreachable, or reachable again.
func (x *proxy) setDown(down bool) {
	x.mu.Lock()
	x.down = down
	x.mu.Unlock()
	if down {
		x.cut()
	}
}
