package faults

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"trama/platform/enginetest"
	"trama/tests/harness"
)

// throughProxies gives the configuration of a system that reaches its broker and
// the databases of payments and academics through proxies.
func throughProxies(t *testing.T) ([]*harness.Proxy, map[string]string) {
	t.Helper()
	broker, set := onBroker(t)
	set = maps.Clone(set)
	proxies := []*harness.Proxy{broker}
	for _, service := range []string{"payments", "academics"} {
		p, through := harness.NewProxy(t, enginetest.PostgresDatabase(t))
		set["stores."+service] = through
		proxies = append(proxies, p)
	}
	return proxies, set
}

func TestSlowNetwork(t *testing.T) {
	t.Parallel()
	proxies, set := throughProxies(t)
	x := start(t, false, set)
	slow := func(delay time.Duration, rate int) {
		for _, p := range proxies {
			p.Slow(delay, rate)
		}
	}
	slow(100*time.Millisecond, 0) // there and back: 200 ms
	x.crowd(6, 3)
	slow(0, 10_000)
	x.crowd(6, 3)
	slow(0, 0)
	report(t, faultSlow, "PostgreSQL + RabbitMQ behind proxies", "6 clients at 200 ms round trip, 6 at 10 kB/s per connection", x.verify())
	x.stop()
}

func TestNetworkCutInTheMiddle(t *testing.T) {
	t.Parallel()
	proxies, set := throughProxies(t)
	x := start(t, false, set)
	cuts := 3 * kills(t)
	for i := range cuts {
		p := proxies[i%len(proxies)]
		cut := p.CutAfter(1 + rand.IntN(6000))
		var clients sync.WaitGroup
		clients.Go(func() { x.crowd(3, 3) })
		select {
		case <-cut:
		case <-time.After(patience):
			t.Error("nothing went to the engine")
		}
		p.Restore()
		clients.Wait()
	}
	report(t, faultCut, "PostgreSQL + RabbitMQ behind proxies", fmt.Sprintf("%d cuts after a random number of bytes", cuts), x.verify())
	x.stop()
}
