package natsbus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"trama/platform/bus"
)

// places are where things are at the server.
type places struct {
	stream  jetstream.Stream
	cursors jetstream.KeyValue
	// many says that the server filters by several subjects at once (2.10).
	many bool
}

func (b *Bus) streamName() string { return b.opt.Prefix + "_events" }

// subjectOf gives the NATS subject of an event type. Whatever cannot stand in one
// is written as %XX, also a dot that would leave a token empty.
func (b *Bus) subjectOf(typ string) string {
	var s strings.Builder
	s.WriteString(b.opt.Prefix + ".ev.")
	for i := range len(typ) {
		c := typ[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' ||
			c == '.' && i > 0 && i < len(typ)-1 && typ[i-1] != '.'
		if plain {
			s.WriteByte(c)
		} else {
			fmt.Fprintf(&s, "%%%02X", c)
		}
	}
	return s.String()
}

// bounded bounds one or a few questions to the server: in time, and by the
// connection, because the client waits for answers also when it is lost.
func (b *Bus) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	b.mu.Lock()
	link := b.link
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	stop := context.AfterFunc(link, cancel)
	return ctx, func() { stop(); cancel() }
}

// find gives the places, looking them up or making them after each connection.
func (b *Bus) find(ctx context.Context) (*places, error) {
	b.setup.Lock()
	defer b.setup.Unlock()
	b.mu.Lock()
	known, closed, link := b.places, b.closed, b.link
	b.mu.Unlock()
	switch {
	case closed:
		return nil, unavailable("find the stream", errClosed)
	case known != nil:
		return known, nil
	case !b.conn.IsConnected():
		return nil, unavailable("find the stream", errors.New("there is no connection to the server"))
	}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	p, err := b.make(ctx)
	if err != nil {
		return nil, unavailable("find the stream", err)
	}
	b.mu.Lock()
	if b.link == link { // else look again: the server may be another
		b.places = p
	}
	b.mu.Unlock()
	return p, nil
}

func (b *Bus) make(ctx context.Context) (*places, error) {
	p := &places{many: !strings.HasPrefix(b.conn.ConnectedServerVersion(), "2.9.")}
	var err error
	p.stream, err = b.js.Stream(ctx, b.streamName())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		p.stream, err = b.js.CreateStream(ctx, jetstream.StreamConfig{Name: b.streamName(),
			Description: "events of Trama, for ever", Subjects: []string{b.opt.Prefix + ".ev.>"},
			Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Replicas: b.opt.Replicas,
			Duplicates: 2 * time.Minute})
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", b.streamName(), err)
	}
	if c := p.stream.CachedInfo().Config; c.Retention != jetstream.LimitsPolicy || c.MaxAge > 0 || c.Storage != jetstream.FileStorage ||
		c.Discard == jetstream.DiscardOld && (c.MaxMsgs > 0 || c.MaxBytes > 0) || c.MaxMsgsPerSubject > 0 {
		b.log.Warn("event bus: the stream may discard events that a subscription has not seen", "stream", c.Name)
	}
	bucket := b.opt.Prefix + "_cursors"
	p.cursors, err = b.js.KeyValue(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		p.cursors, err = b.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket,
			Description: "cursors of Trama's subscriptions", Storage: jetstream.FileStorage, Replicas: b.opt.Replicas, History: 1})
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", bucket, err)
	}
	return p, nil
}

// known gives a subscription that was declared in this process.
func (b *Bus) known(name string) (bus.Subscription, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.subs[name]
	if !ok {
		return s, bus.ErrSubscription.Wrap(fmt.Errorf("%s is not declared", name))
	}
	return s, nil
}
