package simulation

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// doors is where outgoing HTTP of all worlds goes, by the host's name: to the
// gateway of the world that it belongs to.
type doors struct {
	mu     sync.Mutex
	worlds map[string]*world
}

func (d *doors) open(host string, w *world) (shut func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.worlds[host] = w
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.worlds, host)
	}
}

var errNoRoute = errors.New("simulation: connection refused")

// RoundTrip implements http.RoundTripper: it carries the acquirer's notices, which
// may get lost on the way or on the way back.
func (d *doors) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	w := d.worlds[r.URL.Host]
	d.mu.Unlock()
	if w == nil {
		return nil, errNoRoute
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	res, err := w.send(w.noticeName(body), r.Method, r.URL.String(), body, r.Header)
	if err != nil {
		return nil, err
	}
	return res.Result(), nil
}

// send is one request over a network that loses some. Whoever was not answered
// does not know whether it was executed.
func (w *world) send(name, method, url string, body []byte, header http.Header) (rec *httptest.ResponseRecorder, err error) {
	w.mu.Lock()
	inc, n := w.inc, w.passed["request "+name]
	w.passed["request "+name]++
	w.mu.Unlock()
	blow := w.plan.request(name, n)
	if w.happened("requests"); blow != unhurt {
		w.happened("requests or answers lost")
	}
	if inc == nil || blow == lostBefore {
		return nil, errNoRoute
	}
	r := httptest.NewRequest(method, url, bytes.NewReader(body))
	for k, v := range header {
		r.Header[k] = v
	}
	rec = httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != nil {
				err = errNoRoute
				if p != http.ErrAbortHandler {
					w.fail("%s: panic: %v", name, p)
				}
			}
		}()
		inc.handler.ServeHTTP(rec, r)
	}()
	if err == nil && (inc.dead.Load() || blow == lostAfter) {
		err = errNoRoute
	}
	return rec, err
}

// noticeName names a notice after its payment.
func (w *world) noticeName(body []byte) string {
	var n struct {
		Payment string `json:"pagamentoId"`
		State   string `json:"situacao"`
	}
	_ = json.Unmarshal(body, &n) // whatever it is, it has a name
	w.broker.mu.Lock()
	defer w.broker.mu.Unlock()
	return "notice of " + w.broker.names[n.Payment] + " " + n.State
}

// patience is how often a client repeats itself before the run has failed.
const patience = 400

// ask sends a request until it is answered for good.
func (w *world) ask(name, method, path string, body any, header ...string) (status int, answer []byte) {
	text := []byte{}
	if body != nil {
		text, _ = json.Marshal(body) // made of strings: cannot fail
	}
	h := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + w.dir.OperatorToken()}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	last := "not answered"
	for n := range patience {
		rec, err := w.send(name, method, "http://127.0.0.1"+path, text, h)
		if err == nil && rec.Code < 500 && rec.Code != http.StatusTooManyRequests && !strings.Contains(rec.Body.String(), "pedido-em-andamento") {
			w.note("%s: %d %s", name, rec.Code, rec.Body.String())
			return rec.Code, rec.Body.Bytes()
		}
		if err == nil {
			last = rec.Body.String()
		}
		w.note("%s: %v, %s", name, err, last)
		time.Sleep(time.Duration(min(200+100*n, 3000))*time.Millisecond + time.Duration(w.plan.dice(9_000_000, "again", name, n)))
	}
	w.fail("%s: no answer: %s", name, last)
	return 0, nil
}
