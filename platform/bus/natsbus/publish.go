package natsbus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"trama/platform/bus"
)

// windowEvents bounds the unconfirmed events of a process, chunkEvents those that
// one caller sends at once.
const (
	windowEvents = 1024
	chunkEvents  = 256
)

// Publish implements bus.Publisher.
func (b *Bus) Publish(ctx context.Context, events ...bus.Event) error {
	bodies := make([][]byte, len(events))
	for i, e := range events {
		body, err := bus.Encode(e)
		if err != nil {
			return err
		}
		bodies[i] = body
	}
	if err := ctx.Err(); err != nil {
		return waited("publish", err)
	}
	if len(events) == 0 {
		return nil
	}
	if _, err := b.find(ctx); err != nil {
		return err
	}
	for _, chunk := range chunks(events) {
		msgs := make([]*nats.Msg, len(chunk))
		for k, i := range chunk {
			msg, err := b.message(events[i], bodies[i])
			if err != nil {
				return err
			}
			msgs[k] = msg
		}
		if err := b.send(ctx, msgs); err != nil {
			return err
		}
	}
	b.opt.Crash.At("bus.published")
	return nil
}

// chunks groups events, by index, so that no two of a chunk have the same subject
// and a subject's events are in chunks of rising number.
func chunks(events []bus.Event) [][]int {
	var out [][]int
	next := map[string]int{} // by subject: the first chunk that may take its next event
	open := 0                // all chunks before this one are full
	for i, e := range events {
		n := max(next[e.Subject], open)
		for n < len(out) && len(out[n]) == chunkEvents {
			n++
		}
		if n == len(out) {
			out = append(out, nil)
		}
		out[n] = append(out[n], i)
		next[e.Subject] = n + 1
		for open < len(out) && len(out[open]) == chunkEvents {
			open++
		}
	}
	return out
}

// send publishes a chunk and waits for all its confirms.
func (b *Bus) send(ctx context.Context, msgs []*nats.Msg) error {
	n := int64(len(msgs))
	if err := b.window.Acquire(ctx, n); err != nil {
		return waited("publish", err)
	}
	defer b.window.Release(n)
	b.mu.Lock()
	link := b.link
	b.mu.Unlock()
	sent := make([]jetstream.PubAckFuture, 0, len(msgs))
	for _, m := range msgs {
		f, err := b.js.PublishMsgAsync(m)
		if err != nil {
			return unavailable("publish", err)
		}
		sent = append(sent, f)
	}
	for _, f := range sent {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
				b.forgetPlaces() // the stream is gone: make it anew
			}
			return unavailable("publish", err)
		case <-link.Done():
			return unavailable("publish", errLost)
		case <-ctx.Done():
			return waited("publish", ctx.Err())
		}
	}
	return nil
}

func (b *Bus) forgetPlaces() {
	b.mu.Lock()
	b.places = nil
	b.mu.Unlock()
}

// message makes the message of an event.
func (b *Bus) message(e bus.Event, body []byte) (*nats.Msg, error) {
	m := &nats.Msg{Subject: b.subjectOf(e.Type), Data: body, Header: nats.Header{
		jetstream.MsgIDHeader:          {e.ID},
		jetstream.ExpectedStreamHeader: {b.streamName()},
		contentType:                    {eventContent},
	}}
	if room := int(b.conn.MaxPayload()) - headerRoom; len(body) > room {
		m.Data = compress(body)
		m.Header[contentEncoding] = []string{"gzip"}
		if len(m.Data) > room {
			return nil, bus.ErrMalformed.Wrap(fmt.Errorf("event %s: %d bytes are more than the server's max_payload takes, also compressed", e.ID, len(body)))
		}
	}
	return m, nil
}
