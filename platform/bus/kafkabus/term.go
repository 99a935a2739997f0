package kafkabus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"trama/platform/bus"
	"trama/platform/bus/lane"
)

const (
	saveEvery   = 500 * time.Millisecond
	renewEvery  = time.Hour // see the package comment on offsets.retention.minutes
	pollRecords = 256
)

// term is one term of a subscription: a lane.Stream.
type term struct {
	b        *Bus
	sub      bus.Subscription
	topic    *topic
	client   *kgo.Client
	progress *progress

	life context.Context // of the saver
	end  context.CancelFunc
	work sync.WaitGroup

	// The saver's, and Close's after it.
	saved   map[int32]kadm.Offset
	savedAt time.Time
	failing bool
}

func (b *Bus) openTerm(ctx context.Context, s bus.Subscription) (lane.Stream, error) {
	b.forgetTopic() // it may have been made anew
	topic, err := b.find(ctx)
	if err != nil {
		return nil, err
	}
	at, err := b.committed(ctx, topic, s.Name)
	if err != nil {
		return nil, unavailable("offsets of "+s.Name, err)
	}
	from := map[int32]kgo.Offset{}
	for p, o := range at {
		from[p] = begin(o)
		if o.At < 0 {
			delete(at, p)
		}
	}
	client, err := b.reader(from)
	if err != nil {
		return nil, unavailable("read for "+s.Name, err)
	}
	t := &term{b: b, sub: s, topic: topic, client: client, progress: newProgress(), saved: at}
	t.life, t.end = context.WithCancel(context.Background())
	t.work.Go(t.saver)
	return t, nil
}

// Run implements lane.Stream. While no broker answers, the client goes on trying.
func (t *term) Run(ctx context.Context, d *lane.Dispatcher) error {
	for {
		fetches := t.client.PollRecords(ctx, pollRecords)
		if ctx.Err() != nil {
			return nil
		}
		if err := t.judge(fetches); err != nil {
			return unavailable("read for "+t.sub.Name, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			err := t.offer(ctx, d, it.Next())
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return unavailable("read for "+t.sub.Name, err)
			}
		}
	}
}

// judge gives the error that the client cannot overcome by itself.
func (t *term) judge(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		var lost *kgo.ErrDataLoss
		if !errors.As(e.Err, &lost) {
			return e.Err
		}
		t.b.log.Error("event bus: the broker lost records", "subscription", t.sub.Name, "partition", e.Partition, "error", e.Err)
	}
	return nil
}

// offer waits until there is room for the record.
func (t *term) offer(ctx context.Context, d *lane.Dispatcher, r *kgo.Record) error {
	for t.progress.full() {
		select {
		case <-t.progress.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	x, wanted := delivery(t.sub, r)
	if !t.progress.see(r, !wanted) {
		return fmt.Errorf("partition %d went back to offset %d", r.Partition, r.Offset)
	}
	for wanted && !d.Offer(x) {
		select {
		case <-d.Room():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Settle implements lane.Stream. What is Returned keeps the mark where it is.
func (t *term) Settle(x lane.Delivery, v lane.Verdict) {
	if v == lane.Done {
		t.progress.done(x.Ref)
	}
}

// saver commits the marks now and then.
func (t *term) saver() {
	for t.b.opt.Clock.Wait(t.life, saveEvery) == nil {
		err := t.save(t.life)
		if err != nil && !t.failing && t.life.Err() == nil {
			t.b.log.Warn("event bus: cannot commit offsets", "subscription", t.sub.Name, "error", err)
		}
		t.failing = err != nil
	}
}

func (t *term) save(ctx context.Context) error {
	marks := maps.Clone(t.saved)
	maps.Copy(marks, t.progress.marks())
	now := t.b.opt.Clock.Now()
	if len(marks) == 0 || same(marks, t.saved) && now.Sub(t.savedAt).Abs() < renewEvery {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	offsets := kadm.Offsets{}
	for p, o := range marks {
		offsets.Add(kadm.Offset{Topic: t.b.topicName(), Partition: p, At: o.At, LeaderEpoch: o.LeaderEpoch, Metadata: t.topic.id})
	}
	t.b.opt.Crash.At("bus.cursor")
	if err := t.b.admin.CommitAllOffsets(ctx, t.b.group(t.sub.Name), offsets); err != nil {
		return err
	}
	t.b.opt.Crash.At("bus.acked")
	t.saved, t.savedAt = marks, now
	return nil
}

func same(a, b map[int32]kadm.Offset) bool {
	return maps.EqualFunc(a, b, func(x, y kadm.Offset) bool { return x.At == y.At })
}

// Close implements lane.Stream.
func (t *term) Close(ctx context.Context) error {
	t.end()
	t.work.Wait()
	t.client.Close()
	if err := t.save(ctx); err != nil {
		return unavailable("offsets of "+t.sub.Name, err)
	}
	return nil
}
