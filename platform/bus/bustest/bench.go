package bustest

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/id"
)

// Bench measures a driver: open gives a bus on empty storage. Run it with
// -benchtime=1s or so; the figures of interest are events/s.
func Bench(b *testing.B, open func(b *testing.B) bus.Bus) {
	for _, publishers := range []int{1, 16, 64} {
		for _, size := range []int{1, 100} {
			b.Run(fmt.Sprintf("publish/goroutines=%d/batch=%d", publishers, size), func(b *testing.B) {
				x := open(b)
				if err := x.Declare(b.Context(), bus.Subscription{Name: "bench.guarda", Types: []string{TypeA}}); err != nil {
					b.Fatal(err)
				}
				benchPublish(b, x, publishers, size)
			})
		}
	}
	b.Run("consume", func(b *testing.B) { benchConsume(b, open(b), false) })
	b.Run("consume/batches", func(b *testing.B) { benchConsume(b, open(b), true) })
	b.Run("end to end/goroutines=64/batch=1", func(b *testing.B) { benchThrough(b, open(b), 64, 1) })
	b.Run("end to end/goroutines=4/batch=100", func(b *testing.B) { benchThrough(b, open(b), 4, 100) })
	b.Run("latency/one at a time", func(b *testing.B) { benchLatency(b, open(b)) })
}

// benchPublish publishes b.N batches.
func benchPublish(b *testing.B, x bus.Bus, publishers, size int) {
	ids := id.New(clock.System{}, rand.Reader)
	share := make(chan struct{}, b.N)
	for range b.N {
		share <- struct{}{}
	}
	close(share)
	b.ResetTimer()
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for range share {
				events := make([]bus.Event, size)
				for i := range events {
					events[i] = benchEvent(ids, p, i)
				}
				if err := x.Publish(b.Context(), events...); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
}

// benchEvent has about 512 bytes.
func benchEvent(ids id.Source, p, i int) bus.Event {
	e := NewEvent(ids, TypeA, fmt.Sprintf("s%d-%d", p, i%50), i)
	e.Data = benchData
	return e
}

var benchData = fmt.Appendf(nil, `{"texto":"%0300d"}`, 7)

// benchConsume consumes b.N events that are waiting.
func benchConsume(b *testing.B, x bus.Bus, batches bool) {
	var got sync.WaitGroup
	got.Add(b.N)
	sub := bus.Subscription{Name: "bench.toma", Types: []string{TypeA}}
	if batches {
		sub.Batch = func(_ context.Context, events []bus.Event) error { got.Add(-len(events)); return nil }
	} else {
		sub.Handler = func(context.Context, bus.Event) error { got.Done(); return nil }
	}
	if err := x.Declare(b.Context(), sub); err != nil {
		b.Fatal(err)
	}
	ids := id.New(clock.System{}, rand.Reader)
	for left := b.N; left > 0; left -= 500 {
		events := make([]bus.Event, min(left, 500))
		for i := range events {
			events[i] = benchEvent(ids, 0, i)
		}
		if err := x.Publish(b.Context(), events...); err != nil {
			b.Fatal(err)
		}
	}
	sub.Parking = NewLot(b)
	b.ResetTimer()
	benchSubscribe(b, x, sub)
	got.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func benchSubscribe(b *testing.B, x bus.Bus, sub bus.Subscription) {
	if sub.Parking == nil {
		sub.Parking = NewLot(b)
	}
	c, err := x.Subscribe(b.Context(), sub)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Drain(context.Background()) })
}

// benchThrough publishes b.N batches and waits until all were handled.
func benchThrough(b *testing.B, x bus.Bus, publishers, size int) {
	var got sync.WaitGroup
	got.Add(b.N * size)
	benchSubscribe(b, x, bus.Subscription{Name: "bench.passa", Types: []string{TypeA},
		Handler: func(context.Context, bus.Event) error { got.Done(); return nil }})
	benchPublish(b, x, publishers, size)
	got.Wait()
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
}

// benchLatency measures from before Publish to the handler.
func benchLatency(b *testing.B, x bus.Bus) {
	got := make(chan struct{}, 1)
	benchSubscribe(b, x, bus.Subscription{Name: "bench.pressa", Types: []string{TypeA},
		Handler: func(context.Context, bus.Event) error { got <- struct{}{}; return nil }})
	ids := id.New(clock.System{}, rand.Reader)
	var worst time.Duration
	b.ResetTimer()
	for i := range b.N {
		start := time.Now()
		if err := x.Publish(b.Context(), benchEvent(ids, 0, i)); err != nil {
			b.Fatal(err)
		}
		<-got
		worst = max(worst, time.Since(start))
	}
	b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
}
