package natsbus_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
)

// places gives the servers to test on: the machine's own, which may be old, and
// a new one of ours.
func places(testing.TB) map[string]func(testing.TB) *place {
	return map[string]func(testing.TB) *place{
		"running": running,
		"own":     func(t testing.TB) *place { return newPlace(t, newNode(t).url(), false) },
	}
}

// located is a bus that knows its place.
type located struct {
	bus.Bus
	p *place
}

func TestBus(t *testing.T) {
	for name, at := range places(t) {
		t.Run(name, func(t *testing.T) {
			bustest.Run(t, func(t *testing.T) func() bus.Bus {
				p := at(t)
				return func() bus.Bus { return located{p.open(nil), p} }
			}, bustest.MayRepeat, bustest.Raw(func(t *testing.T, b bus.Bus, _, typ string, body []byte) {
				p := b.(located).p
				m := &nats.Msg{Subject: p.prefix + ".ev." + typ, Data: body}
				if _, err := p.jetStream().PublishMsg(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}))
		})
	}
}
