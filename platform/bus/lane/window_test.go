package lane

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trama/platform/bus"
)

// However many events there are, no more than the bounds say is in hand, and the
// stream goes on when there is room again.
func TestBackPressure(t *testing.T) {
	big := delivery("x", 1)
	big.Event.Data = []byte(`"` + strings.Repeat("x", 1000) + `"`)
	for name, c := range map[string]struct {
		cfg   Config
		fails bool
		takes int
	}{
		"window":           {Config{Window: 10}, false, 10},
		"window of one":    {Config{Window: 1}, false, 1},
		"bytes":            {Config{WindowBytes: 5 * (&big).bytes()}, false, 5},
		"subjects waiting": {Config{MaxWaiting: 7, Subscription: bus.Subscription{Backoff: time.Minute}}, true, 7},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				running, most := 0, 0
				h := newDeeds(func(context.Context, bus.Event, int) error { return nil })
				handler := func(ctx context.Context, e bus.Event) error {
					if c.fails {
						select {
						case <-gate:
							return h.handle(ctx, e)
						default:
							return errDown
						}
					}
					running++ // MaxInFlight is 1
					most = max(most, running)
					<-gate
					running--
					return h.handle(ctx, e)
				}
				c.cfg.Subscription.MaxInFlight = 1
				r := newRig(t, c.cfg, handler)
				for n := range 50 {
					x := big
					x.Event.Subject, x.Event.ID = fmt.Sprint("s", n), fmt.Sprintf("s%d-0", n)
					r.publish(x)
					settle(0)
				}
				settle(30 * time.Second)
				d, unlock := r.dispatcher()
				taken := d.held + d.failing
				unlock()
				if taken != c.takes || r.refused != 1 {
					t.Errorf("%d taken, want %d; refused %d times", taken, c.takes, r.refused)
				}
				close(gate)
				settle(time.Hour)
				checkEffects(t, h, 50, 1)
				if most > 1 || r.left() != 0 {
					t.Errorf("%d at a time, %d left", most, r.left())
				}
			})
		})
	}
}

// Dead subjects are not ill work: they do not stop the stream.
func TestDeadOnesDoNotCountAsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{MaxWaiting: 2}, func(context.Context, bus.Event) error { return errInvalid })
		for n := range 10 {
			r.publish(delivery(fmt.Sprint("s", n), 1))
		}
		settle(0)
		if n := len(r.lot.all()); n != 10 || r.left() != 0 {
			t.Errorf("%d dead, %d left", n, r.left())
		}
	})
}

func TestDefaults(t *testing.T) {
	for inFlight, window := range map[int]int{0: 512, 1: 128, 20: 320, 500: 2000} {
		c := Config{Subscription: bus.Subscription{MaxInFlight: inFlight}}.withDefaults()
		if c.Window != window || c.WindowBytes != 16<<20 || c.MaxWaiting != 1024 || !strings.Contains(c.Process, ":") {
			t.Errorf("%d in flight: %+v, want a window of %d", inFlight, c, window)
		}
	}
}
