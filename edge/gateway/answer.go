package gateway

import (
	"bytes"
	"context"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"trama/platform/httpx"
)

// grace is how long after its time limit a service may still answer by itself
// (it has seen its context end); then the gateway answers for it.
const grace = 250 * time.Millisecond

// drainTime is how long after the time limit a slow client may take to receive
// the answer.
const drainTime = 10 * time.Second

// errAnswered is what a service gets when it writes after the gateway has
// answered in its place.
var errAnswered = errors.New("gateway: the request was answered already")

// answer stands between a service and the client. It keeps the service's headers
// to itself until the answer begins, and until then it can answer instead: when
// time is over, when the body broke its limit, when the error has no problem.
// After that it passes everything through. The service uses it like any
// ResponseWriter; time may run out beside it.
type answer struct {
	w    http.ResponseWriter
	r    *http.Request // the client's, with the time limit
	api  bool
	body *body // nil when the request has none

	header   http.Header // the service's
	trailers []string    // announced by the service

	mu    sync.Mutex // guards state, and w until state is passing
	state state

	late    bool  // the answer began when time was over: the service's own words about it
	cutOff  bool  // a write was refused because time was over
	length  int64 // as the service announced it; -1 when it did not
	written int64 // of the body; the service's goroutine alone uses it
}

type state uint8

const (
	open      state = iota // nothing was sent
	passing                // the service's answer is being sent
	swallowed              // a problem stands for the service's answer, whose body is dropped
	overdue                // the gateway answered because time was over
)

func newAnswer(w http.ResponseWriter, r *http.Request, api bool, b *body) *answer {
	return &answer{w: w, r: r, api: api, body: b, header: http.Header{}}
}

// Header gives the service's headers.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader begins the answer.
func (a *answer) WriteHeader(status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin(status)
}

// begin is WriteHeader with the lock held.
func (a *answer) begin(status int) {
	if a.state != open {
		return
	}
	if status >= 100 && status < 200 {
		a.inform(status)
		return
	}
	if err := a.instead(status); err != nil {
		a.state = swallowed
		if allow := a.header.Values("Allow"); len(allow) > 0 {
			a.w.Header()["Allow"] = allow
		}
		httpx.WriteProblem(a.w, a.r, err)
		return
	}
	a.state = passing
	a.late = a.r.Context().Err() != nil
	a.commit()
	a.w.WriteHeader(status)
}

// instead says which problem takes the place of the service's answer.
func (a *answer) instead(status int) error {
	if status < http.StatusBadRequest {
		return nil
	}
	if err := a.body.fault(); err != nil {
		return err // whatever the service made of half a body
	}
	if !a.api {
		return nil
	}
	mediaType, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if mediaType != "" && mediaType != "text/plain" {
		return nil
	}
	if f := bareFault(status); f != nil {
		return f.Wrap(errors.New("a service answered " + strconv.Itoa(status) + " without a problem"))
	}
	return nil
}

// inform passes an informational answer (103) with its headers and nothing else.
func (a *answer) inform(status int) {
	if status == http.StatusContinue || status == http.StatusSwitchingProtocols {
		return // the server's own business
	}
	h := a.w.Header()
	kept := h.Clone()
	clear(h)
	for name, values := range a.header {
		h[name] = values
	}
	dropHops(h)
	a.w.WriteHeader(status)
	clear(h)
	for name, values := range kept {
		h[name] = values
	}
}

// commit moves the service's headers into the answer.
func (a *answer) commit() {
	for _, list := range a.header["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			a.trailers = append(a.trailers, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	a.length = -1
	if n, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64); err == nil {
		a.length = n
	}
	dropHops(a.header)
	h := a.w.Header()
	for name, values := range a.header {
		switch name {
		case httpx.RequestIDHeader, "Traceresponse":
			// The gateway's own are in place: the first server's are the client's.
		default:
			h[name] = values
		}
	}
	a.secure(h)
}

// secure adds what every answer should say and the service did not.
func (a *answer) secure(h http.Header) {
	byDefault := func(name, value string) {
		if len(h[name]) == 0 {
			h[name] = []string{value}
		}
	}
	byDefault("X-Content-Type-Options", "nosniff")
	if !a.api {
		return // pages bring a policy of their own
	}
	byDefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	byDefault("Cross-Origin-Resource-Policy", "same-origin")
	byDefault("Referrer-Policy", "no-referrer")
	if len(h["Etag"]) > 0 {
		byDefault("Cache-Control", "private, no-cache") // may be kept by its reader, and is asked for again
	} else {
		byDefault("Cache-Control", "no-store")
	}
}

// Write sends a part of the body.
func (a *answer) Write(p []byte) (int, error) {
	a.mu.Lock()
	a.begin(http.StatusOK)
	state := a.state
	a.mu.Unlock()
	switch state {
	case passing:
		if !a.late && a.timeOver() {
			a.cutOff = true
			return 0, context.DeadlineExceeded
		}
		n, err := a.w.Write(p)
		a.written += int64(n)
		return n, err
	case overdue:
		return 0, errAnswered
	default:
		return len(p), nil
	}
}

func (a *answer) timeOver() bool {
	return errors.Is(a.r.Context().Err(), context.DeadlineExceeded)
}

// Flush sends what is buffered.
func (a *answer) Flush() { _ = a.FlushError() }

// FlushError sends what is buffered.
func (a *answer) FlushError() error {
	a.mu.Lock()
	a.begin(http.StatusOK)
	state := a.state
	a.mu.Unlock()
	switch state {
	case passing:
		return http.NewResponseController(a.w).Flush()
	case overdue:
		return errAnswered
	default:
		return nil
	}
}

// expire answers 504 if nothing was sent yet. It runs beside the service.
func (a *answer) expire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state != open {
		return
	}
	a.state = overdue
	a.w.Header().Set("Connection", "close") // the service still holds this one
	whole := &wholeAnswer{header: a.w.Header()}
	httpx.WriteProblem(whole, a.r, ErrTimeout)
	whole.send(a.w)
	_ = http.NewResponseController(a.w).Flush() // the client waits; the service may take longer
}

// finish ends the answer after the service returned. It panics with
// http.ErrAbortHandler when the client must not take what it got for a whole
// answer.
func (a *answer) finish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state == open {
		a.unanswered()
	}
	if a.state != passing {
		return
	}
	if a.cutOff || !a.late && a.timeOver() && a.written != a.length && a.r.Method != http.MethodHead {
		panic(http.ErrAbortHandler)
	}
	h := a.w.Header()
	for _, name := range a.trailers {
		if values := a.header[name]; len(values) > 0 {
			h[name] = values
		}
	}
	for name, values := range a.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			h[name] = values
		}
	}
}

// settle ends the time limit's right to answer, whatever became of the service.
func (a *answer) settle() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state == open {
		a.state = swallowed
	}
}

// unanswered is a service that returned without a word: out of time, gone with
// its client, or an empty 200.
func (a *answer) unanswered() {
	err := a.r.Context().Err()
	if err == nil {
		a.begin(http.StatusOK)
		return
	}
	a.state = swallowed
	httpx.WriteProblem(a.w, a.r, a.ended(err))
}

// ended says what the end of the request's context means.
func (a *answer) ended(err error) error {
	if f := a.body.fault(); f != nil {
		return f
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return ErrTimeout.Wrap(err)
	}
	return httpx.ErrGone.Wrap(err)
}

// wholeAnswer collects an answer, so that it can be sent with its length.
type wholeAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *wholeAnswer) Header() http.Header         { return b.header }
func (b *wholeAnswer) WriteHeader(status int)      { b.status = status }
func (b *wholeAnswer) Write(p []byte) (int, error) { return b.body.Write(p) }

func (b *wholeAnswer) send(w http.ResponseWriter) {
	b.header.Set("Content-Length", strconv.Itoa(b.body.Len()))
	w.WriteHeader(b.status)
	_, _ = w.Write(b.body.Bytes()) // the client may be gone; nobody is left to tell
}
