package lane

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"trama/platform/bus"
)

// null is a stream whose verdicts nobody hears.
type null struct{ done *sync.WaitGroup }

func (null) Run(context.Context, *Dispatcher) error { return nil }
func (n null) Settle(Delivery, Verdict)             { n.done.Done() }
func (null) Close(context.Context) error            { return nil }

// BenchmarkDispatch is what lane itself costs per event.
func BenchmarkDispatch(b *testing.B) {
	for _, subjects := range []int{1, 50, 10_000} {
		for _, batch := range []bool{false, true} {
			b.Run(fmt.Sprintf("subjects=%d/batch=%t", subjects, batch), func(b *testing.B) {
				sub := bus.Subscription{Name: "bench", Types: []string{typ}, Handler: func(context.Context, bus.Event) error { return nil }}
				if batch {
					sub.Batch = func(context.Context, []bus.Event) error { return nil }
				}
				var done sync.WaitGroup
				done.Add(b.N)
				d := newDispatcher(Config{Subscription: sub, Logger: slog.New(slog.DiscardHandler)}.withDefaults(), null{&done}, nil)
				xs := make([]Delivery, subjects)
				for i := range xs {
					xs[i] = delivery(fmt.Sprint("s", i), 1)
					xs[i].Event.Time = time.Now()
				}
				ids := make([]string, 4096)
				for i := range ids {
					ids[i] = fmt.Sprint("e", i)
				}
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					x := xs[i%subjects]
					x.Event.ID = ids[i%len(ids)]
					for !d.Offer(x) {
						<-d.Room()
					}
				}
				done.Wait()
			})
		}
	}
}
