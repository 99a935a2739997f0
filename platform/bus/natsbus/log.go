package natsbus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"trama/platform/bus"
)

// earlier is how much the server's clock may be behind ours.
const earlier = time.Minute

// errEnough ends a Read that has all it wants.
var errEnough = errors.New("enough")

// Read implements bus.Bus. Positions are sequence numbers of the stream. What is
// no event is left out. A lost connection is Unavailable: read on behind the last
// position.
func (b *Bus) Read(ctx context.Context, q bus.Query, fn func(bus.LogEntry) error) error {
	from, err := begin(q)
	if err != nil {
		return err
	}
	b.mu.Lock()
	link := b.link
	b.mu.Unlock()
	p, err := b.find(ctx)
	if err != nil {
		return err
	}
	asking, answered := b.bounded(ctx)
	defer answered()
	info, err := p.stream.Info(asking)
	if err != nil {
		return unavailable("read", err)
	}
	r, err := b.read(asking, p, q.Types, from)
	if err != nil {
		return unavailable("read", err)
	}
	answered()
	defer r.close(context.WithoutCancel(ctx))
	if !q.Follow && r.consumer.CachedInfo().NumPending == 0 {
		return nil
	}
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(link, cancel)()
	return b.each(ctx, reading, r, q, info.State.LastSeq, fn)
}

// begin says where q begins.
func begin(q bus.Query) (jetstream.ConsumerConfig, error) {
	var from jetstream.ConsumerConfig
	switch {
	case q.After != "":
		seq, err := strconv.ParseUint(q.After, 10, 64)
		if err != nil {
			return from, bus.ErrMalformed.Wrap(fmt.Errorf("position %.40q is none of this driver", q.After))
		}
		from = after(seq)
	case !q.From.IsZero():
		start := q.From.Add(-earlier)
		from = jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &start}
	default:
		from = after(0)
	}
	from.InactiveThreshold = time.Minute
	return from, nil
}

// each calls fn for what r reads and q selects. reading ends with ctx, or before
// it when the connection is lost. last is where the log ended at the beginning.
func (b *Bus) each(ctx, reading context.Context, r *reader, q bus.Query, last uint64, fn func(bus.LogEntry) error) error {
	given := 0
	var fault error // of fn
	for {
		err := r.next(reading, func(m jetstream.Msg, meta *jetstream.MsgMetadata) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			e, _, bad := eventOf(m)
			if bad == nil && q.Selects(e) {
				if fault = fn(bus.LogEntry{Position: strconv.FormatUint(meta.Sequence.Stream, 10), Event: e}); fault != nil {
					return fault
				}
				given++
			}
			if q.Limit > 0 && given == q.Limit || !q.Follow && (meta.NumPending == 0 || meta.Sequence.Stream >= last) {
				return errEnough
			}
			return nil
		})
		switch {
		case fault != nil:
			return fault
		case errors.Is(err, errEnough):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case reading.Err() != nil:
			return unavailable("read", errLost)
		case err != nil:
			return unavailable("read", err)
		}
	}
}

// Backlog implements bus.Bus: what of its types is behind the subscription's
// cursor. The subscription must have been declared in this process.
func (b *Bus) Backlog(ctx context.Context, subscription string) (int64, error) {
	s, err := b.known(subscription)
	if err != nil {
		return 0, err
	}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	p, err := b.find(ctx)
	if err != nil {
		return 0, err
	}
	at, err := loadCursor(ctx, p, subscription)
	if err != nil {
		return 0, unavailable("backlog of "+subscription, err)
	}
	var n int64
	for _, typ := range s.Types {
		from := after(at.Seq)
		from.InactiveThreshold = 10 * time.Second
		r, err := b.read(ctx, p, []string{typ}, from)
		if err != nil {
			return 0, unavailable("backlog of "+subscription, err)
		}
		n += int64(r.consumer.CachedInfo().NumPending)
		r.close(ctx)
	}
	return n, nil
}
