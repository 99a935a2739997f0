package kafkabus

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"trama/platform/bus"
)

// Publish implements bus.Publisher. The client keeps each partition's order: when
// it gives a record up, it gives up all behind it.
func (b *Bus) Publish(ctx context.Context, events ...bus.Event) error {
	records := make([]*kgo.Record, len(events))
	for i, e := range events {
		body, err := bus.Encode(e)
		if err != nil {
			return err
		}
		records[i] = b.record(e, body)
	}
	if err := ctx.Err(); err != nil {
		return waited("publish", err)
	}
	if len(records) == 0 {
		return nil
	}
	if _, err := b.find(ctx); err != nil {
		return err
	}
	if err := b.produce(ctx, records); err != nil {
		return err
	}
	b.opt.Crash.At("bus.published")
	return nil
}

// produce waits until all is confirmed. A record whose fate is not known stays
// with the client, which goes on trying, also after produce has given up.
func (b *Bus) produce(ctx context.Context, records []*kgo.Record) error {
	bounded, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	results := make(chan error, len(records))
	for _, r := range records {
		b.client.Produce(bounded, r, func(_ *kgo.Record, err error) { results <- err })
	}
	for range records {
		select {
		case err := <-results:
			switch {
			case err == nil:
			case ctx.Err() != nil:
				return waited("publish", ctx.Err())
			default:
				if errors.Is(err, kerr.UnknownTopicOrPartition) {
					b.forgetTopic() // make it anew
				}
				return unavailable("publish", err)
			}
		case <-bounded.Done():
			if ctx.Err() != nil {
				return waited("publish", ctx.Err())
			}
			return unavailable("publish", errors.New("no confirm in time"))
		}
	}
	return nil
}
