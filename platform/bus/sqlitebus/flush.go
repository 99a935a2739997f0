package sqlitebus

import (
	"context"
	"errors"
	"time"
)

// flushEvery is how long what is done may wait to be written down.
const flushEvery = 100 * time.Millisecond

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
		if errors.Is(err, errClosed) {
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
	b.mu.Lock()
	marks := map[*stream]int64{}
	for s := range b.streams {
		if low, dirty := s.low(); dirty {
			marks[s] = low
		}
	}
	b.mu.Unlock()
	if len(marks) == 0 {
		return nil
	}
	err := b.writer.do(ctx, &job{apply: func(x execer) error {
		b.opt.Crash.At("bus.cursor")
		for s, low := range marks {
			if err := x.exec(sqlCursor, s.name, low); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return err
	}
	for s, low := range marks {
		s.written(low)
	}
	return nil
}
