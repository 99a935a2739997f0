package gateway

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"trama/platform/httpx"
)

// body is a request's body that remembers why it could not be read, so that the
// client is told its own mistake and not what the service made of it.
type body struct {
	io.ReadCloser
	failed atomic.Pointer[error]
}

// Read reads on.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

// fault gives the fault of the client's body; nil when there is none. A nil body
// has none.
func (b *body) fault() error {
	if b == nil {
		return nil
	}
	failed := b.failed.Load()
	if failed == nil || errors.Is(*failed, http.ErrBodyReadAfterClose) {
		return nil
	}
	var tooLarge *http.MaxBytesError
	if errors.As(*failed, &tooLarge) {
		return httpx.ErrBodyTooLarge
	}
	return httpx.ErrBodyBroken.Wrap(*failed)
}

// replay lets a body be sent again as long as little of it was read. The
// transport asks for that only when it can prove that no byte left, for example
// because a kept connection turned out to be closed.
type replay struct {
	src io.ReadCloser

	mu    sync.Mutex // a reader that was given up may still be reading
	total int        // read from src so far
	kept  []byte     // all of it, as long as it is not more than maxReplay
}

// maxReplay is how much of a body is kept for sending it again, in bytes.
const maxReplay = 64 << 10

var errSpent = errors.New("gateway: too much of the body was read to send it again")

// reader gives the body from its beginning.
func (b *replay) reader() (io.ReadCloser, error) { return &replayReader{replay: b}, nil }

type replayReader struct {
	*replay
	pos int
}

// Read gives what another reader has read before, then reads on.
func (r *replayReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pos < r.total {
		if r.total > len(r.kept) {
			return 0, errSpent
		}
		n := copy(p, r.kept[r.pos:])
		r.pos += n
		return n, nil
	}
	n, err := r.src.Read(p)
	r.total += n
	r.pos = r.total
	if r.total <= maxReplay {
		r.kept = append(r.kept, p[:n]...)
	} else {
		r.kept = nil
	}
	return n, err
}

// Close does nothing: the transport closes the body of a try that failed, and
// the body itself belongs to the server.
func (r *replayReader) Close() error { return nil }
