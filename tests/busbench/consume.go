package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// measureConsume counts what is handled of events that are waiting. The clock
// starts with the first one.
func (b *bench) measureConsume(ctx context.Context, s side) ([]sample, error) {
	total := int64(b.contender.stock) * int64(b.order.Span) / int64(time.Second)
	for left := int(total); left > 0; left -= 500 {
		events := b.events(min(left, 500))
		var err error
		if st, ok := s.(stocker); ok {
			err = st.stock(ctx, events)
		} else {
			err = s.publish(ctx, 0, events)
		}
		if err != nil {
			return nil, fmt.Errorf("lay in: %w", err)
		}
	}
	runtime.GC()
	var count atomic.Int64
	first, all := make(chan struct{}), make(chan struct{})
	var once, last sync.Once
	err := s.consume(ctx, func(ids ...string) {
		if count.Add(int64(len(ids))) >= total {
			last.Do(func() { close(all) })
		}
		once.Do(func() { close(first) })
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-first:
	case <-time.After(patience):
		return nil, fmt.Errorf("nothing was handled in %v", patience)
	}
	m, from := begin(), count.Load()
	select {
	case <-all:
	case <-time.After(b.order.Span):
	}
	return []sample{m.end("consume", count.Load()-from)}, nil
}

// flow is publishing and consuming at the same time.
type flow struct {
	b       *bench
	s       side
	due     []atomic.Int64 // by number of the event, modulo: when it was due; 0: none under way
	handled atomic.Int64
	room    *semaphore.Weighted // events under way; nil: any number
	mu      sync.Mutex
	waits   []time.Duration // nil: nobody wants them
}

const underWay = 1000

func newFlow(ctx context.Context, b *bench, s side) (*flow, error) {
	f := &flow{b: b, s: s, due: make([]atomic.Int64, 1<<21)}
	return f, s.consume(ctx, f.done)
}

func (f *flow) slot(id string) *atomic.Int64 { return &f.due[number(id)%len(f.due)] }

func (f *flow) done(ids ...string) {
	now := time.Now().UnixNano()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		due := f.slot(id).Swap(0)
		if due == 0 {
			continue // delivered twice, or not of this flow
		}
		f.handled.Add(1)
		if f.room != nil {
			f.room.Release(1)
		} else {
			f.waits = append(f.waits, time.Duration(now-due))
		}
	}
}

// full publishes as much as can be under way, and counts what is handled.
func (f *flow) full(ctx context.Context, sh shape, work string) (sample, error) {
	const warmUp = 500 * time.Millisecond
	f.mu.Lock()
	f.room = semaphore.NewWeighted(underWay)
	f.mu.Unlock()
	deadline := time.Now().Add(warmUp + f.b.order.Span)
	failed := make(chan error, 1)
	go func() {
		failed <- produce(ctx, sh.producers, func(p int) (bool, error) {
			wait, cancel := context.WithDeadline(ctx, deadline)
			defer cancel()
			if f.room.Acquire(wait, int64(sh.batch)) != nil {
				return false, nil
			}
			events := f.b.events(sh.batch)
			for _, e := range events {
				f.slot(e.ID).Store(time.Now().UnixNano())
			}
			return true, f.s.publish(ctx, p, events)
		})
	}()
	time.Sleep(warmUp)
	m, from := begin(), f.handled.Load()
	time.Sleep(f.b.order.Span)
	result := m.end(work, f.handled.Load()-from)
	if err := <-failed; err != nil {
		return sample{}, err
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := f.room.Acquire(wait, underWay); err != nil {
		return sample{}, fmt.Errorf("events were lost or are late: %w", err)
	}
	return result, nil
}

// paced publishes single events at a rate, whether earlier ones were handled or
// not, and measures from when each was due to its commit.
func (f *flow) paced(ctx context.Context, rate float64, work string) (sample, error) {
	total := int64(rate * f.b.order.Span.Seconds())
	f.mu.Lock()
	f.room, f.waits = nil, make([]time.Duration, 0, total)
	f.mu.Unlock()
	var next atomic.Int64
	from := f.handled.Load()
	m := begin()
	err := produce(ctx, 16, func(p int) (bool, error) {
		i := next.Add(1) - 1
		if i >= total {
			return false, nil
		}
		due := m.at.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		time.Sleep(time.Until(due))
		events := f.b.events(1)
		f.slot(events[0].ID).Store(due.UnixNano())
		return true, f.s.publish(ctx, p, events)
	})
	if err != nil {
		return sample{}, err
	}
	for end := time.Now().Add(patience); f.handled.Load()-from < total; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return sample{}, fmt.Errorf("%s: events were lost or are late", work)
		}
	}
	result := m.end(work, total)
	f.mu.Lock()
	defer f.mu.Unlock()
	result.P50, result.P99 = quantile(f.waits, 0.5), quantile(f.waits, 0.99)
	return result, nil
}

func (b *bench) measureThrough(ctx context.Context, s side) ([]sample, error) {
	f, err := newFlow(ctx, b, s)
	if err != nil {
		return nil, err
	}
	full, err := f.full(ctx, shape{16, 1}, "through")
	if err != nil {
		return nil, err
	}
	half, err := f.paced(ctx, full.PerSecond/2, "through, half")
	if err != nil {
		return nil, err
	}
	same, err := f.paced(ctx, float64(b.order.Rate), "through, same")
	return []sample{full, half, same}, err
}

func (b *bench) measureEmbedded(ctx context.Context, s side) (out []sample, err error) {
	f, err := newFlow(ctx, b, s)
	if err != nil {
		return nil, err
	}
	for _, sh := range []shape{{64, 1}, {4, batchSize}} {
		one, err := f.full(ctx, sh, fmt.Sprintf("embedded %d x %d", sh.producers, sh.batch))
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}
