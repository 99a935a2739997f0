package sqlitebus

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"trama/platform/bus"
)

// Read implements bus.Bus. A position is the decimal number of the event in the
// log. A stored row that is no event is logged and passed over.
func (b *Bus) Read(ctx context.Context, q bus.Query, fn func(bus.LogEntry) error) error {
	end, err := b.head(ctx)
	if err != nil {
		return readError(ctx, err)
	}
	pos, err := b.begin(ctx, q, end)
	if err != nil {
		return err
	}
	w := b.walk(q, pos)
	defer w.close()
	q.From = time.Time{} // is in the position
	for given := 0; ; {
		var got []entry
		if q.Follow {
			got, err = w.next(ctx)
		} else {
			got, err = w.file(ctx, end)
		}
		if err != nil {
			return readError(ctx, err)
		}
		for _, e := range got {
			event, err := e.rec.decode()
			if err != nil {
				b.log.Error("event bus: stored event cannot be read; passed over", "position", e.seq, "error", err)
				continue
			}
			if !q.Selects(event) {
				continue
			}
			if err := fn(bus.LogEntry{Position: strconv.FormatInt(e.seq, 10), Event: event}); err != nil {
				return err
			}
			if given++; given == q.Limit {
				return nil
			}
		}
		switch {
		case len(got) > 0:
		case !q.Follow:
			return nil
		default:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-b.life.Done():
				return unavailable("read", errClosed)
			case <-w.reader.wake:
			}
		}
	}
}

// begin gives the position after which q's events are.
func (b *Bus) begin(ctx context.Context, q bus.Query, head int64) (pos int64, err error) {
	if q.After != "" {
		if pos, err = strconv.ParseInt(q.After, 10, 64); err != nil || pos < 0 {
			return 0, fmt.Errorf("sqlitebus: %w", bus.ErrMalformed.Wrap(fmt.Errorf("position %q is none of this log", q.After)))
		}
	}
	if q.From.IsZero() {
		return pos, nil
	}
	older, err := b.olderThan(ctx, q.From, head)
	if err != nil {
		return 0, readError(ctx, err)
	}
	return max(pos, older), nil
}

// olderThan gives a position up to which everything was published before t, and
// nothing after it. Times never fall along the log, so halving finds it.
func (b *Bus) olderThan(ctx context.Context, t time.Time, head int64) (int64, error) {
	older, notOlder := int64(0), head
	for older < notOlder {
		middle := older + (notOlder-older)/2
		var seq, at int64
		err := b.reads.QueryRowContext(ctx, `SELECT seq, at FROM event WHERE seq > ? ORDER BY seq LIMIT 1`, middle).Scan(&seq, &at)
		switch {
		case errors.Is(err, sql.ErrNoRows), err == nil && at >= t.UnixMilli():
			notOlder = middle
		case err != nil:
			return 0, err
		default:
			older = seq
		}
	}
	return older, nil
}

// Backlog implements bus.Bus. It counts from the cursor, which stands below the
// oldest event in hand and is written every 100 ms: what others were handled
// above it counts, too.
func (b *Bus) Backlog(ctx context.Context, subscription string) (n int64, err error) {
	err = b.reads.QueryRowContext(ctx, sqlBacklog, subscription).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("sqlitebus: %w", bus.ErrSubscription.Wrap(fmt.Errorf("%q is not declared", subscription)))
	}
	if err != nil {
		return 0, readError(ctx, err)
	}
	return n, nil
}

// readError is ctx's own error when it has ended, whatever the driver made of it.
func readError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable("read", err)
}
