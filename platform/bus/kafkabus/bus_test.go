package kafkabus_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
)

// located is a bus that knows its cluster.
type located struct {
	bus.Bus
	*cluster
}

func TestBus(t *testing.T) {
	bustest.Run(t, func(t *testing.T) func() bus.Bus {
		c := newCluster(t)
		return func() bus.Bus { return located{c.open(nil), c} }
	}, bustest.MayRepeat, bustest.Raw(func(_ *testing.T, b bus.Bus, _, typ string, body []byte) {
		b.(located).put(&kgo.Record{Value: body, Headers: []kgo.RecordHeader{{Key: "ce_type", Value: []byte(typ)}}})
	}))
}
