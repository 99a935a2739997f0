package kafkabus_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/kafkabus"
	"trama/platform/fault"
)

// Partitions and coordinators move, requests fail: nothing is lost and no subject's
// order is broken.
func TestUnrest(t *testing.T) {
	c := newCluster(t)
	b := c.open(nil)
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.queda", Types: []string{bustest.TypeA, bustest.TypeB}, Handler: r.Handle(nil)})
	const batches, size = 40, 50
	for i := range batches {
		switch i % 8 {
		case 3:
			c.ShufflePartitionLeaders()
		case 6:
			c.RehashCoordinators()
		}
		var events []bus.Event
		for k := range size {
			events = append(events, event([]string{bustest.TypeA, bustest.TypeB}[k%2], fmt.Sprint("s", k%7), i*size+k))
		}
		publish(t, b, events...)
	}
	r.AwaitDone(t, batches*size)
	r.CheckOrder(t)
}

// A cluster that stops and starts again on its folder loses neither events nor
// cursors; meanwhile everything says Unavailable.
func TestClusterRestart(t *testing.T) {
	dir := t.TempDir()
	c := newCluster(t, kfake.DataDir(dir), kfake.SyncWrites(), kfake.NumBrokers(1))
	at := c.ListenAddrs()
	var port int
	if _, err := fmt.Sscanf(at[0], "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	b := c.open(nil)
	r := bustest.NewRecorder()
	consumer := subscribe(t, b, bus.Subscription{Name: "teste.volta", Types: []string{bustest.TypeA}, Handler: r.Handle(nil)})
	publish(t, b, event(bustest.TypeA, "s", 1), event(bustest.TypeA, "s", 2))
	r.AwaitDone(t, 2)
	c.Close()
	short, cancel := context.WithTimeout(t.Context(), 1e9)
	defer cancel()
	if err := b.Publish(short, event(bustest.TypeA, "s", 3)); err == nil || !fault.KindOf(err).Transient() {
		t.Errorf("publish without a broker: %v, want a transient fault", err)
	}
	if err := b.Ping(short); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("ping without a broker: %v, want Unavailable", err)
	}
	newCluster(t, kfake.DataDir(dir), kfake.SyncWrites(), kfake.NumBrokers(1), kfake.Ports(port))
	publish(t, b, event(bustest.TypeA, "s", 4))
	bustest.Eventually(t, "the last event", func() bool { return slices.Contains(numbers(t, b), 4) })
	if got := numbers(t, b); !slices.Contains(got, 1) || !slices.Contains(got, 2) {
		t.Errorf("the log has %v", got)
	}
	r.AwaitDone(t, len(numbers(t, b)))
	r.CheckOrder(t)
	if err := consumer.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Backlog(t.Context(), "teste.volta"); n != 0 || err != nil {
		t.Errorf("backlog %d, %v", n, err)
	}
}

// A cursor goes with the topic it was made for. When that one was deleted and
// another is in its place, with as many events, none of them may be passed over.
func TestTopicMadeAnew(t *testing.T) {
	c := newCluster(t)
	r := bustest.NewRecorder()
	sub := bus.Subscription{Name: "teste.outro-log", Types: []string{bustest.TypeA}, Parking: bustest.NewLot(t), Handler: r.Handle(nil)}
	for round, first := range []int{1, 100} {
		b := c.open(nil)
		for i := range 10 {
			publish(t, b, event(bustest.TypeA, "s", first+i))
		}
		consumer := subscribe(t, b, sub)
		r.AwaitDone(t, 10*(round+1))
		if err := consumer.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err := b.Backlog(t.Context(), sub.Name); n != 0 || err != nil {
			t.Errorf("backlog after an orderly drain: %d, %v", n, err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.DeleteTopic("trama.events"); err != nil {
			t.Fatal(err)
		}
	}
}

// A record of a wanted type that is no event is parked dead, and so is one of which
// nobody can say whose it is; one of a former type is passed over.
func TestForeignRecords(t *testing.T) {
	c := newCluster(t)
	b := c.open(nil)
	r := bustest.NewRecorder()
	park := bustest.NewLot(t)
	publish(t, b, event(bustest.TypeB, "s", 1)) // somebody else's
	typed := func(body []byte, content string) *kgo.Record {
		return &kgo.Record{Value: body, Headers: []kgo.RecordHeader{{Key: "ce_type", Value: []byte(bustest.TypeA)}, {Key: "content-type", Value: []byte(content)}}}
	}
	const ours = "application/cloudevents+json"
	c.put(&kgo.Record{Value: []byte(`{"half`)}, &kgo.Record{Value: nil}, typed([]byte(`{}`), ours), typed([]byte("<x/>"), "text/xml"),
		typed(encode(t, event(bustest.TypeB, "s", 1)), ours),             // five dead ones so far
		typed(encode(t, event("antigo", "s", 1)), ours),                  // former
		&kgo.Record{Value: encode(t, event(bustest.TypeB, "s", 2))},      // somebody else's
		&kgo.Record{Value: encode(t, event(bustest.TypeA, "alheio", 3))}, // ours, though without headers
	)
	subscribe(t, b, bus.Subscription{Name: "teste.lixo", Types: []string{bustest.TypeA}, Former: []string{"antigo"}, Parking: park, Handler: r.Handle(nil)})
	publish(t, b, event(bustest.TypeA, "s", 4))
	r.AwaitDone(t, 2)
	bustest.Eventually(t, "five dead letters", func() bool {
		blocked, err := park.Blocked(t.Context(), "teste.lixo")
		if err != nil {
			t.Fatal(err)
		}
		return len(blocked) == 5 && !slices.ContainsFunc(blocked, func(b bus.Blocked) bool { return b.State != bus.Dead })
	})
	bustest.Eventually(t, "nothing behind", func() bool {
		n, err := b.Backlog(t.Context(), "teste.lixo")
		return n == 0 && err == nil
	})
}

// The mark of a partition waits for the oldest event in hand.
func TestMarkWaitsForTheOldest(t *testing.T) {
	b := newCluster(t).open(func(o *kafkabus.Options) { o.Partitions = 1 })
	r := bustest.NewRecorder()
	entered := make(chan struct{}, 1)
	sub := bus.Subscription{Name: "teste.marca", Types: []string{bustest.TypeA}, Parking: bustest.NewLot(t),
		Handler: r.Handle(func(ctx context.Context, e bus.Event, try int) error {
			if e.Subject == "lento" && try == 1 {
				entered <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})}
	c := subscribe(t, b, sub)
	publish(t, b, event(bustest.TypeA, "lento", 1))
	<-entered
	for i := 1; i <= 300; i++ {
		publish(t, b, event(bustest.TypeA, fmt.Sprint("s", i%3), i))
	}
	r.AwaitDone(t, 300)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Drain(ended); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Backlog(t.Context(), sub.Name); n != 301 || err != nil {
		t.Errorf("backlog %d, %v; want 301: the oldest was not done", n, err)
	}
	subscribe(t, b, sub)
	r.AwaitDone(t, 301)
	r.CheckOrder(t)
}

func encode(t *testing.T, e bus.Event) []byte {
	t.Helper()
	body, err := bus.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func numbers(t *testing.T, b bus.Bus) []int {
	got, _, _ := read(t, b, bus.Query{})
	return got["s"]
}
