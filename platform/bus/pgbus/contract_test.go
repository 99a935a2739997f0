package pgbus_test

import (
	"testing"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/enginetest"
)

func TestContract(t *testing.T) {
	bustest.Run(t, func(t *testing.T) func() bus.Bus {
		url := enginetest.PostgresDatabase(t)
		return func() bus.Bus { return open(t, url) }
	})
}
