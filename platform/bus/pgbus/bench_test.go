package pgbus_test

import (
	"testing"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/enginetest"
)

func BenchmarkBus(b *testing.B) {
	bustest.Bench(b, func(b *testing.B) bus.Bus { return open(b, enginetest.PostgresDatabase(b)) })
}
