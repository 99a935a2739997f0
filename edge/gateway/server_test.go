package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"trama/edge/gateway"
	"trama/platform/httpx"
)

// dial opens a connection to the gateway.
func dial(t testing.TB, r *rig) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// raw sends bytes as they are and gives all that comes back until the server
// closes the connection.
func raw(t testing.TB, r *rig, message string) string {
	t.Helper()
	c := dial(t, r)
	if _, err := io.WriteString(c, message); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("the connection was not closed: %v; got %q", err, data)
	}
	return string(data)
}

// rawProblem checks that an answer on the wire is a whole problem.
func rawProblem(t *testing.T, name, answer string, status int, code string) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	if err != nil {
		t.Errorf("%s: %v: %q", name, err, answer)
		return
	}
	defer res.Body.Close()
	var p httpx.Problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
		t.Errorf("%s: %v: %q", name, err, answer)
	}
	if res.StatusCode != status || p.Status != status || p.Type != httpx.TypePrefix+code || res.Header.Get("Content-Type") != httpx.ContentType || !res.Close {
		t.Errorf("%s: %d %+v %v; want %d %s and a closed connection", name, res.StatusCode, p, res.Header, status, code)
	}
}

// TestSmuggling: messages whose length two programs may read differently do not
// pass, and nothing that follows on their connection is served.
func TestSmuggling(t *testing.T) {
	var paths []string
	r := inside(t, gateway.Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		echoHandler(w, r)
	}))
	const post = "POST /marketing/x HTTP/1.1\r\nHost: a\r\n"
	const next = "GET /marketing/smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for name, c := range map[string]struct {
		message string
		status  int
		code    string
	}{
		"CL and TE":            {post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next, 400, "tamanho-ambiguo"},
		"TE and CL":            {post + "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n" + next, 400, "tamanho-ambiguo"},
		"TE, CL, HTTP/1.0":     {"POST /marketing/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + next, 400, "tamanho-ambiguo"},
		"CL and folded TE":     {post + "Content-Length: 4\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + next, 400, "tamanho-ambiguo"},
		"two CL":               {post + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd" + next, 400, "pedido-ilegivel"},
		"CL list":              {post + "Content-Length: 4, 5\r\n\r\nabcd" + next, 400, "pedido-ilegivel"},
		"CL with plus":         {post + "Content-Length: +4\r\n\r\nabcd" + next, 400, "pedido-ilegivel"},
		"space before colon":   {post + "Content-Length : 4\r\n\r\nabcd" + next, 400, "pedido-ilegivel"},
		"TE unknown":           {post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + next, 501, "pedido-ilegivel"},
		"TE twice":             {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + next, 501, "pedido-ilegivel"},
		"TE list":              {post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + next, 501, "pedido-ilegivel"},
		"two hosts":            {"GET /marketing/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + next, 400, "pedido-ilegivel"},
		"no host":              {"GET /marketing/x HTTP/1.1\r\n\r\n" + next, 400, "pedido-ilegivel"},
		"bad host":             {"GET /marketing/x HTTP/1.1\r\nHost: a b\r\n\r\n" + next, 400, "pedido-ilegivel"},
		"bad header name":      {"GET /marketing/x HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n" + next, 400, "pedido-ilegivel"},
		"NUL in a header":      {"GET /marketing/x HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n" + next, 400, "pedido-ilegivel"},
		"garbage":              {"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "pedido-ilegivel"},
		"bad version":          {"GET /marketing/x HTTP/3.7\r\nHost: a\r\n\r\n" + next, 505, "pedido-ilegivel"},
		"line break in target": {"GET /marketing/x\rGET HTTP/1.1\r\nHost: a\r\n\r\n" + next, 400, "pedido-ilegivel"},
	} {
		answer := raw(t, r, c.message)
		rawProblem(t, name, answer, c.status, c.code)
		if strings.Count(answer, "HTTP/1.") != 1 {
			t.Errorf("%s: more than one answer: %q", name, answer)
		}
	}
	if len(paths) != 0 {
		t.Errorf("reached the service: %v", paths)
	}
	// A chunked message is served, and is the last one on its connection.
	answer := raw(t, r, post+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"+next)
	if strings.Count(answer, "HTTP/1.1 200") != 1 || len(paths) != 1 {
		t.Errorf("a chunked message: %q, served %v", answer, paths)
	}
}

// TestKeepAliveConnectionsAreWatched: also the second message on a connection,
// in small pieces, and not a body that only looks like one.
func TestKeepAliveConnectionsAreWatched(t *testing.T) {
	r := inside(t, gateway.Config{}, http.HandlerFunc(echoHandler))
	c := dial(t, r)
	answers := bufio.NewReader(c)
	body := "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
	for i := range 3 {
		fmt.Fprintf(c, "POST /marketing/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 200 || readEcho(t, string(data)).Body != body {
			t.Fatalf("message %d: %d %s %v", i, res.StatusCode, data, err)
		}
	}
	for _, b := range []byte("POST /marketing/x HTTP/1.1\r\nHost: a\r\nContent-LENGTH: 5\r\nTransfer-ENCODING: chunked\r\n\r\n0\r\n\r\n") {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	rest, err := io.ReadAll(answers)
	if err != nil {
		t.Fatal(err)
	}
	rawProblem(t, "fourth message", string(rest), 400, "tamanho-ambiguo")
}

func TestHeaderLimits(t *testing.T) {
	r := inside(t, gateway.Config{}, http.HandlerFunc(echoHandler))
	head := func(n int) string {
		return "GET /marketing/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Long: " + strings.Repeat("x", n) + "\r\n\r\n"
	}
	if answer := raw(t, r, head(gateway.MaxHeader-1024)); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
		t.Errorf("a header within the limit: %.100q", answer)
	}
	rawProblem(t, "large header", raw(t, r, head(gateway.MaxHeader+8192)), 431, "cabecalho-grande-demais")

	var many strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&many, "X-%d: %d\r\n", i, i)
	}
	rawProblem(t, "many headers", raw(t, r, "GET / HTTP/1.1\r\nHost: a\r\n"+many.String()+"\r\n"), 431, "cabecalho-grande-demais")
}

func TestOptionsOfTheServer(t *testing.T) {
	r := inside(t, gateway.Config{}, http.HandlerFunc(echoHandler))
	answer := raw(t, r, "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 204 ") || !strings.Contains(answer, "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n") {
		t.Errorf("%q", answer)
	}
	rawProblem(t, "GET *", raw(t, r, "GET * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), 400, "caminho-invalido")
	rawProblem(t, "CONNECT", raw(t, r, "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n\r\n"), 405, "metodo-nao-permitido")
}

// TestSlowClients: one that dawdles over its head is cut off; one that dawdles
// over its body costs its own request.
func TestSlowClients(t *testing.T) {
	r := serve(t, gateway.Config{Timeout: 200 * time.Millisecond}, func(d *gateway.Deps) {
		d.Local = func(string) http.Handler { return service(http.HandlerFunc(echoHandler)) }
	}, func(s *http.Server) {
		if s.ReadHeaderTimeout != gateway.ReadHeaderTimeout || s.IdleTimeout != gateway.IdleTimeout || s.MaxHeaderBytes != gateway.MaxHeader {
			t.Errorf("limits %v %v %v", s.ReadHeaderTimeout, s.IdleTimeout, s.MaxHeaderBytes)
		}
		s.ReadHeaderTimeout = 100 * time.Millisecond
	})
	if answer := raw(t, r, "GET /marketing/x HTTP/1.1\r\nHost: a\r\nX-Slow: "); answer != "" {
		t.Errorf("half a head got %q", answer)
	}
	rawProblem(t, "half a body", raw(t, r, "POST /marketing/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"), 504, "tempo-esgotado")
}
