package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// shape is how producers publish.
type shape struct{ producers, batch int }

func (s shape) work() string { return fmt.Sprintf("publish %d x %d", s.producers, s.batch) }

var shapes = []shape{{1, 1}, {1, batchSize}, {16, 1}, {16, batchSize}}

// measurePublish counts what is confirmed, with nobody consuming.
func (b *bench) measurePublish(ctx context.Context, s side) (out []sample, err error) {
	for _, sh := range shapes {
		runtime.GC()
		var count atomic.Int64
		m := begin()
		err := produce(ctx, sh.producers, func(p int) (bool, error) {
			if time.Since(m.at) >= b.order.Span {
				return false, nil
			}
			err := s.publish(ctx, p, b.events(sh.batch))
			count.Add(int64(sh.batch))
			return true, err
		})
		if err != nil {
			return nil, err
		}
		out = append(out, m.end(sh.work(), count.Load()))
	}
	return out, nil
}

// produce calls step in several goroutines, in each until it says no more. The
// first error is returned, after all have ended.
func produce(ctx context.Context, producers int, step func(p int) (more bool, err error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for ctx.Err() == nil {
				more, err := step(p)
				if err != nil {
					cancel(err)
				}
				if !more {
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
