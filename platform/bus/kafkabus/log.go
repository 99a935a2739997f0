package kafkabus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"trama/platform/bus"
)

// earlier is how much another process's clock may be behind ours.
const earlier = time.Minute

// countable is how many records Backlog reads in order to count.
const countable = 10_000

// errEnough ends a scan that has all it wants.
var errEnough = errors.New("enough")

// Read implements bus.Bus. A position is where each partition goes on. What is no
// event is left out.
func (b *Bus) Read(ctx context.Context, q bus.Query, fn func(bus.LogEntry) error) error {
	t, err := b.find(ctx)
	if err != nil {
		return err
	}
	next, ends, err := b.bounds(ctx, t, q)
	if err != nil {
		return err
	}
	given := 0
	return b.scan(ctx, next, ends, q.Follow, func(r *kgo.Record) error {
		e, bad := eventOf(r)
		if bad != nil || !q.Selects(e) {
			return nil
		}
		if err := fn(bus.LogEntry{Position: position(next), Event: e}); err != nil {
			return err
		}
		if given++; given == q.Limit {
			return errEnough
		}
		return nil
	})
}

// scan calls fn for every record from next up to ends, or with follow until ctx
// ends, and keeps next behind the latest.
func (b *Bus) scan(ctx context.Context, next, ends []int64, follow bool, fn func(*kgo.Record) error) error {
	if !follow && reached(next, ends) {
		return nil
	}
	from := map[int32]kgo.Offset{}
	for p, at := range next {
		from[int32(p)] = kgo.NewOffset().At(at)
	}
	client, err := b.reader(from)
	if err != nil {
		return unavailable("read", err)
	}
	defer client.Close()
	for follow || !reached(next, ends) {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fetches.Err(); err != nil {
			return unavailable("read", err)
		}
		for _, r := range byTime(fetches) {
			if next[r.Partition] = r.Offset + 1; r.Attrs.IsControl() {
				continue
			}
			if err := fn(r); errors.Is(err, errEnough) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// bounds gives where each partition begins for q, and where it ends now.
func (b *Bus) bounds(ctx context.Context, t *topic, q bus.Query) (next, ends []int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	last, err := b.admin.ListEndOffsets(ctx, b.topicName())
	if err == nil {
		err = last.Error()
	}
	if err != nil {
		return nil, nil, unavailable("read", err)
	}
	first, err := b.admin.ListStartOffsets(ctx, b.topicName())
	if err == nil && q.After == "" && !q.From.IsZero() {
		first, err = b.admin.ListOffsetsAfterMilli(ctx, q.From.Add(-earlier).UnixMilli(), b.topicName())
	}
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		return nil, nil, unavailable("read", err)
	}
	next, ends = make([]int64, t.partitions), make([]int64, t.partitions)
	for p := range t.partitions {
		f, _ := first.Lookup(b.topicName(), p)
		l, _ := last.Lookup(b.topicName(), p)
		next[p], ends[p] = f.Offset, l.Offset
	}
	if q.After == "" {
		return next, ends, nil
	}
	after, err := places(q.After)
	if err != nil || len(after) > len(next) {
		return nil, nil, bus.ErrMalformed.Wrap(fmt.Errorf("position %.200q is none of this topic", q.After))
	}
	for p, at := range after {
		next[p] = max(next[p], at)
	}
	return next, ends, nil
}

func reached(next, ends []int64) bool {
	for p := range ends {
		if next[p] < ends[p] {
			return false
		}
	}
	return true
}

func position(next []int64) string {
	var out strings.Builder
	for p, at := range next {
		if p > 0 {
			out.WriteByte('-')
		}
		out.WriteString(strconv.FormatInt(at, 10))
	}
	return out.String()
}

// places reads what position wrote.
func places(position string) (out []int64, err error) {
	for part := range strings.SplitSeq(position, "-") {
		at, err := strconv.ParseInt(part, 10, 48)
		if err != nil {
			return nil, err
		}
		out = append(out, at)
	}
	return out, nil
}

// byTime merges what the partitions gave. A record never overtakes an earlier one
// of its partition, whatever the producers' clocks said.
func byTime(fetches kgo.Fetches) []*kgo.Record {
	type timed struct {
		r  *kgo.Record
		at time.Time
	}
	var all []timed
	latest := map[int32]time.Time{}
	for it := fetches.RecordIter(); !it.Done(); {
		r := it.Next()
		at := r.Timestamp
		if before := latest[r.Partition]; before.After(at) {
			at = before
		}
		latest[r.Partition] = at
		all = append(all, timed{r, at})
	}
	slices.SortStableFunc(all, func(x, y timed) int { return x.at.Compare(y.at) })
	out := make([]*kgo.Record, len(all))
	for i, x := range all {
		out[i] = x.r
	}
	return out
}

// Backlog implements bus.Bus. Of up to countable records behind the subscription's
// offsets it counts those of its types; of more it gives how many there are, of
// all types, since only reading them would tell.
func (b *Bus) Backlog(ctx context.Context, subscription string) (int64, error) {
	s, err := b.known(subscription)
	if err != nil {
		return 0, err
	}
	t, err := b.find(ctx)
	if err != nil {
		return 0, err
	}
	at, err := b.committed(ctx, t, subscription)
	if err != nil {
		return 0, unavailable("backlog of "+subscription, err)
	}
	next, ends, err := b.bounds(ctx, t, bus.Query{})
	if err != nil {
		return 0, err
	}
	var all, wanted int64
	for p := range t.partitions {
		next[p] = max(next[p], at[p].At)
		all += max(0, ends[p]-next[p])
	}
	if all > countable {
		return all, nil
	}
	err = b.scan(ctx, next, ends, false, func(r *kgo.Record) error {
		if _, ok := delivery(s, r); ok && r.Offset < ends[r.Partition] {
			wanted++
		}
		return nil
	})
	return wanted, err
}
