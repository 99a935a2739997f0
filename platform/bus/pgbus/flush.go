package pgbus

import (
	"context"
	"time"
)

// flushEvery is how long what is done may wait to be written down.
const flushEvery = 100 * time.Millisecond

// sqlCursors writes cursors; they never go back. Its commit need not wait for the
// disk: a cursor lost with the server's power only repeats events.
const sqlCursors = `UPDATE subscription s SET cursor = m.cursor
	FROM unnest($1::text[], $2::bigint[]) AS m (name, cursor), (SELECT set_config('synchronous_commit', 'off', true)) quick
	WHERE s.name = m.name AND s.cursor < m.cursor`

// keepCursors writes the cursors down, off the handlers' path, while there is work.
func (b *Bus) keepCursors() {
	failing := false
	for {
		select {
		case <-b.life.Done():
			return
		case <-b.soon:
		}
		if b.clock.Wait(b.life, flushEvery) != nil {
			return
		}
		err := b.flush(b.life)
		if b.life.Err() != nil {
			return
		}
		switch {
		case err != nil && !failing:
			b.log.Error("event bus: cannot write cursors down; will go on trying, and events may be delivered again", "error", err)
		case err == nil && failing:
			b.log.Info("event bus: cursors are written down again")
		}
		if failing = err != nil; failing {
			signal(b.soon)
		}
	}
}

// flush writes the cursors of all streams that have moved, in one commit.
func (b *Bus) flush(ctx context.Context) error {
	var names []string
	var lows []int64
	var moved []*stream
	b.mu.Lock()
	for s := range b.streams {
		if low, dirty := s.low(); dirty {
			names, lows, moved = append(names, s.sub.Name), append(lows, low), append(moved, s)
		}
	}
	b.mu.Unlock()
	if len(moved) == 0 {
		return nil
	}
	b.opt.Crash.At("bus.cursor")
	if _, err := b.pool.Exec(ctx, sqlCursors, names, lows); err != nil {
		return failed(ctx, "write cursors", err)
	}
	for i, s := range moved {
		s.written(lows[i])
	}
	return nil
}
