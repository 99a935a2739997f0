package kafkabus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"trama/platform/bus"
)

// recordBytes bounds a batch of records: an event of bus.MaxEventBytes must fit.
const recordBytes = 2 * bus.MaxEventBytes

// topic is the log as it was found.
type topic struct {
	id         string // empty when the broker gives none
	partitions int32
}

func (b *Bus) topicName() string { return b.opt.Prefix + ".events" }

func (b *Bus) group(subscription string) string { return b.opt.Prefix + "." + subscription }

// find gives the topic, looking it up or making it the first time.
func (b *Bus) find(ctx context.Context) (*topic, error) {
	b.setup.Lock()
	defer b.setup.Unlock()
	b.mu.Lock()
	known, closed := b.topic, b.closed
	b.mu.Unlock()
	if closed {
		return nil, unavailable("find the topic", errClosed)
	}
	if known != nil {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	t, err := b.look(ctx)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if err = b.create(ctx); err == nil {
			t, err = b.look(ctx)
		}
		for errors.Is(err, kerr.UnknownTopicOrPartition) { // not yet known to every broker
			if err = b.opt.Clock.Wait(ctx, 100*time.Millisecond); err == nil {
				t, err = b.look(ctx)
			}
		}
	}
	if err != nil {
		return nil, unavailable("find the topic", err)
	}
	b.mu.Lock()
	b.topic = t
	b.mu.Unlock()
	return t, nil
}

func (b *Bus) look(ctx context.Context) (*topic, error) {
	details, err := b.admin.ListTopics(ctx, b.topicName())
	if err != nil {
		return nil, err
	}
	d := details[b.topicName()]
	if d.Err != nil {
		return nil, d.Err
	}
	if len(d.Partitions) == 0 {
		return nil, kerr.UnknownTopicOrPartition
	}
	t := &topic{partitions: int32(len(d.Partitions))}
	if d.ID != (kadm.TopicID{}) {
		t.id = d.ID.String()
	}
	return t, nil
}

func (b *Bus) create(ctx context.Context) error {
	ever, size := "-1", strconv.Itoa(recordBytes+1024)
	_, err := b.admin.CreateTopic(ctx, int32(b.opt.Partitions), int16(b.opt.Replicas), map[string]*string{
		"cleanup.policy": kadm.StringPtr("delete"), "retention.ms": &ever, "retention.bytes": &ever,
		"max.message.bytes": &size,
	}, b.topicName())
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	return err
}

func (b *Bus) forgetTopic() {
	b.mu.Lock()
	b.topic = nil
	b.mu.Unlock()
}

// committed gives where a subscription goes on in each partition: the offset, or
// -1 for the beginning.
func (b *Bus) committed(ctx context.Context, t *topic, subscription string) (map[int32]kadm.Offset, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	all, err := b.admin.FetchOffsetsForTopics(ctx, b.group(subscription), b.topicName())
	if err == nil {
		err = all.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // nothing was ever committed
		return nil, err
	}
	out := map[int32]kadm.Offset{}
	for p := range t.partitions {
		r, ok := all.Lookup(b.topicName(), p)
		if !ok || r.At < 0 {
			r.Offset = kadm.Offset{At: -1}
		} else if r.Metadata != "" && t.id != "" && r.Metadata != t.id {
			b.log.Error("event bus: the topic is not the one that the cursor belongs to; the subscription begins again at its beginning",
				"subscription", subscription, "partition", p)
			r.Offset = kadm.Offset{At: -1}
		}
		out[p] = r.Offset
	}
	return out, nil
}

// begin is where a client reads on from a committed offset.
func begin(o kadm.Offset) kgo.Offset {
	if o.At < 0 {
		return kgo.NewOffset().AtStart()
	}
	return kgo.NewOffset().At(o.At).WithEpoch(o.LeaderEpoch)
}

// reader makes a client that reads the topic's partitions from the given offsets.
func (b *Bus) reader(from map[int32]kgo.Offset) (*kgo.Client, error) {
	return kgo.NewClient(b.basics(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{b.topicName(): from}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // rather again than never
		kgo.FetchMaxBytes(4<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.KeepControlRecords())...)
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
