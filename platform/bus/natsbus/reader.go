package natsbus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// What one question for more brings at most, and how long it waits for it. The
// server gives a sign of life every heartbeat; two missing ones are an error.
const (
	fetchEvents    = 256
	fetchBytes     = 4 << 20
	fetchWait      = 10 * time.Second
	fetchHeartbeat = 2 * time.Second
)

// reader reads the log in order through an ephemeral consumer.
type reader struct {
	bus      *Bus
	places   *places
	consumer jetstream.Consumer
	bytes    int    // of one question
	last     uint64 // latest number the consumer gave; it must count without a gap
}

// read makes a reader of types (none: all); cfg says where it begins.
func (b *Bus) read(ctx context.Context, p *places, types []string, cfg jetstream.ConsumerConfig) (*reader, error) {
	cfg.AckPolicy = jetstream.AckNonePolicy
	cfg.MemoryStorage = true
	cfg.Replicas = 1
	if len(types) == 1 {
		cfg.FilterSubject = b.subjectOf(types[0])
	} else if p.many {
		for _, t := range types {
			cfg.FilterSubjects = append(cfg.FilterSubjects, b.subjectOf(t))
		}
	}
	c, err := p.stream.CreateConsumer(ctx, cfg)
	if err != nil {
		return nil, err
	}
	// The server gives nothing rather than one message larger than asked for.
	return &reader{bus: b, places: p, consumer: c, bytes: max(fetchBytes, 2*int(b.conn.MaxPayload()))}, nil
}

// after is where a reader begins behind a place in the log.
func after(seq uint64) jetstream.ConsumerConfig {
	if seq == 0 {
		return jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy}
	}
	return jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: seq + 1}
}

// next asks for more and calls fn with what comes. Nothing at all is no error;
// after an error the reader is of no use.
func (r *reader) next(ctx context.Context, fn func(jetstream.Msg, *jetstream.MsgMetadata) error) error {
	ctx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	batch, err := r.consumer.Fetch(fetchEvents, jetstream.FetchMaxBytes(r.bytes), jetstream.FetchHeartbeat(fetchHeartbeat),
		jetstream.FetchContext(ctx))
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != r.last+1 {
			return fmt.Errorf("delivery %d after %d: something was lost on the way", meta.Sequence.Consumer, r.last)
		}
		r.last = meta.Sequence.Consumer
		if err := fn(m, meta); err != nil {
			return err
		}
	}
	return batch.Error()
}

// close removes the consumer. When it cannot, the server does, later.
func (r *reader) close(ctx context.Context) {
	ctx, cancel := r.bus.bounded(ctx)
	defer cancel()
	_ = r.places.stream.DeleteConsumer(ctx, r.consumer.CachedInfo().Name)
}
