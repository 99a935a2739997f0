package kafkabus_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/kafkabus"
	"trama/platform/clock"
	"trama/platform/id"
)

var ids = id.New(clock.System{}, rand.Reader)

// cluster is a fake Kafka of one test, with three brokers.
type cluster struct {
	*kfake.Cluster
	t testing.TB
}

func newCluster(t testing.TB, opts ...kfake.Opt) *cluster {
	t.Helper()
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &cluster{c, t}
}

// open opens a bus here; change may alter its options.
func (c *cluster) open(change func(*kafkabus.Options)) bus.Bus {
	c.t.Helper()
	opt := kafkabus.Options{Brokers: c.ListenAddrs(), Logger: slog.New(slog.NewTextHandler(c.t.Output(), nil))}
	if change != nil {
		change(&opt)
	}
	b, err := kafkabus.Open(c.t.Context(), opt)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = b.Close() })
	return b
}

// put writes records as a foreigner does.
func (c *cluster) put(records ...*kgo.Record) {
	c.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("trama.events"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(c.t.Context(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// subscribe consumes until the test's end; without a Parking it gets one.
func subscribe(t testing.TB, b bus.Bus, s bus.Subscription) bus.Consumer {
	t.Helper()
	if s.Parking == nil {
		s.Parking = bustest.NewLot(t)
	}
	c, err := b.Subscribe(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = c.Drain(ctx)
	})
	return c
}

func event(typ, subject string, n int) bus.Event { return bustest.NewEvent(ids, typ, subject, n) }

func publish(t testing.TB, b bus.Bus, events ...bus.Event) {
	t.Helper()
	if err := b.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}
