package amqpbus_test

import (
	"testing"

	"trama/platform/bus"
	"trama/platform/bus/amqpbus"
	"trama/platform/bus/bustest"
)

// BenchmarkBus also tells what the log costs.
func BenchmarkBus(b *testing.B) {
	for name, off := range map[string]bool{"with log": false, "without log": true} {
		b.Run(name, func(b *testing.B) {
			bustest.Bench(b, func(b *testing.B) bus.Bus {
				return newPlace(b).open(func(o *amqpbus.Options) { o.LogOff = off })
			})
		})
	}
}
