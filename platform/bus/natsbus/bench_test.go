package natsbus_test

import (
	"testing"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
)

func BenchmarkBus(b *testing.B) {
	bustest.Bench(b, func(b *testing.B) bus.Bus { return running(b).open(nil) })
}
