package natsbus

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"trama/platform/bus"
)

// Headers of our messages. headerRoom is more than they ever need.
const (
	contentType     = "Content-Type"
	contentEncoding = "Content-Encoding"
	eventContent    = "application/cloudevents+json"
	headerRoom      = 2048
)

// compress makes JSON text smaller: text never uses all values of a byte.
func compress(body []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(body) // a bytes.Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// bodyOf gives the event's text as it was published. On an error it gives what
// came.
func bodyOf(m jetstream.Msg) ([]byte, error) {
	body := m.Data()
	if m.Headers().Get(contentEncoding) == "gzip" {
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return body, err
		}
		plain, err := io.ReadAll(io.LimitReader(r, bus.MaxEventBytes+1)) // a small message may unfold to anything
		if err != nil {
			return body, err
		}
		body = plain
	}
	if len(body) > bus.MaxEventBytes {
		return m.Data(), fmt.Errorf("more than %d bytes", bus.MaxEventBytes)
	}
	return body, nil
}

// eventOf reads a message of the log.
func eventOf(m jetstream.Msg) (e bus.Event, body []byte, err error) {
	if body, err = bodyOf(m); err != nil {
		return e, body, bus.ErrMalformed.Wrap(err)
	}
	if ct := m.Headers().Get(contentType); ct != "" && ct != eventContent {
		return e, body, bus.ErrMalformed.Wrap(fmt.Errorf("content type %.100q, not %s", ct, eventContent))
	}
	e, err = bus.Decode(body)
	return e, body, err
}

// check says why a subscription cannot handle an event that came on the subject of
// one of its types.
func check(s bus.Subscription, e bus.Event) error {
	if !slices.Contains(s.Types, e.Type) {
		return bus.ErrMalformed.Wrap(fmt.Errorf("type %s on the subject of another", e.Type))
	}
	return nil
}
