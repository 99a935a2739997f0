package pgbus_test

import (
	"testing"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/enginetest"
)

func TestContract(t *testing.T) {
	var url string // of the case under way
	bustest.Run(t, func(t *testing.T) func() bus.Bus {
		url = enginetest.PostgresDatabase(t)
		return func() bus.Bus { return open(t, url) }
	}, bustest.MayRepeat, bustest.Raw(func(t *testing.T, _ bus.Bus, _, typ string, body []byte) {
		execute(t, connect(t, url), byHand, enginetest.Suffix(), typ, "bruto", body)
	}))
}
