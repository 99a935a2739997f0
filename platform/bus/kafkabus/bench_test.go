package kafkabus_test

import (
	"testing"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
)

// It measures client and driver: the fake stores nothing durably.
func BenchmarkBus(b *testing.B) {
	bustest.Bench(b, func(b *testing.B) bus.Bus { return newCluster(b).open(nil) })
}
