package pgbus

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"trama/platform/bus"
)

// skew is how much the clocks of publishing processes may differ without Read
// missing anything of Query.From.
const skew = 30 * time.Second

// sqlOlder gives a position of which everything up to it is older than a time:
// each row has the time of its publisher's clock, so it looks skew twice earlier.
const sqlOlder = `SELECT coalesce((SELECT seq FROM event WHERE at < $1 ORDER BY at DESC, seq DESC LIMIT 1), 0)`

// Read implements bus.Bus. A position is the decimal number of the event in the
// log. A stored row that is no event is logged and passed over.
func (b *Bus) Read(ctx context.Context, q bus.Query, fn func(bus.LogEntry) error) error {
	pos, err := b.begin(ctx, q)
	if err != nil {
		return err
	}
	var wake chan struct{}
	if q.Follow {
		w, err := b.watch(q.Types)
		if err != nil {
			return failed(ctx, "read", err)
		}
		defer b.bell.leave(w)
		wake = w.wake
	}
	from := q.From.Truncate(time.Millisecond) // what rows have
	q.From = time.Time{}
	s := selectionOf(q)
	for given := 0; ; {
		got, passed, more, err := b.page(ctx, s, pos)
		if err != nil {
			return readError(ctx, err)
		}
		for _, r := range got {
			if r.at.Before(from) {
				continue
			}
			event, err := bus.Decode(r.body)
			if err != nil {
				b.log.Error("event bus: stored event cannot be read; passed over", "position", r.seq, "error", err)
				continue
			}
			if err := fn(bus.LogEntry{Position: strconv.FormatInt(r.seq, 10), Event: event}); err != nil {
				return err
			}
			if given++; given == q.Limit {
				return nil
			}
		}
		pos = passed
		switch {
		case more:
		case !q.Follow:
			return nil
		default:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-b.life.Done():
				return failed(ctx, "read", errClosed)
			case <-wake:
			}
		}
	}
}

// begin gives the position after which q's events are.
func (b *Bus) begin(ctx context.Context, q bus.Query) (pos int64, err error) {
	if q.After != "" {
		if pos, err = strconv.ParseInt(q.After, 10, 64); err != nil || pos < 0 {
			return 0, fmt.Errorf("pgbus: %w", bus.ErrMalformed.Wrap(fmt.Errorf("position %q is none of this log", q.After)))
		}
	}
	if q.From.IsZero() {
		return pos, nil
	}
	if err := b.prepare(ctx); err != nil {
		return 0, readError(ctx, err)
	}
	var older int64
	if err := b.pool.QueryRow(ctx, sqlOlder, q.From.Add(-2*skew)).Scan(&older); err != nil {
		return 0, readError(ctx, err)
	}
	return max(pos, older), nil
}

// readError is ctx's own error when it has ended, whatever the driver made of it.
func readError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return failed(ctx, "read", err)
}
