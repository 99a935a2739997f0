package natsbus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/natsbus"
	"trama/platform/fault"
)

// The server goes away while events are published and handled, and comes back on
// its folder. Nothing is lost, and no subject's order is broken.
func TestServerRestart(t *testing.T) {
	n := newNode(t)
	b := newPlace(t, n.url(), false).open(nil)
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.queda", Types: []string{bustest.TypeA, bustest.TypeB}, Handler: r.Handle(nil)})
	const batches, size = 40, 50
	for i := range batches {
		if i == batches/4 {
			r.AwaitDone(t, 1) // its term is under way
			n.stop()
			if err := b.Publish(t.Context(), event(bustest.TypeA, "s0", -1)); fault.KindOf(err) != fault.Unavailable {
				t.Fatalf("publish without a server: %v, want Unavailable", err)
			}
			if err := b.Ping(t.Context()); fault.KindOf(err) != fault.Unavailable {
				t.Fatalf("ping without a server: %v, want Unavailable", err)
			}
			n.start()
		}
		var events []bus.Event
		for k := range size {
			events = append(events, event([]string{bustest.TypeA, bustest.TypeB}[k%2], fmt.Sprint("s", k%7), i*size+k))
		}
		bustest.Eventually(t, "published", func() bool { // as a relay does: the same again
			err := b.Publish(t.Context(), events...)
			if err != nil && fault.KindOf(err) != fault.Unavailable {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	r.AwaitDone(t, batches*size)
	r.CheckOrder(t)
	if err := b.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// A cursor goes with the log it was made for. When that one was lost and another
// is in its place, with as many events, none of them may be passed over.
func TestLogMadeAnew(t *testing.T) {
	p := newPlace(t, newNode(t).url(), false)
	r := bustest.NewRecorder()
	sub := bus.Subscription{Name: "teste.outro-log", Types: []string{bustest.TypeA}, Parking: bustest.NewLot(t)}
	for _, first := range []int{1, 100} {
		b := p.open(nil)
		for i := range 10 {
			publish(t, b, event(bustest.TypeA, "s", first+i))
		}
		sub.Handler = r.Handle(nil)
		c := subscribe(t, b, sub)
		done, _ := r.Done()
		r.AwaitDone(t, done/10*10+10)
		if err := c.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err := b.Backlog(t.Context(), sub.Name); n != 0 || err != nil {
			t.Errorf("backlog after an orderly drain: %d, %v", n, err)
		}
		if err := p.jetStream().DeleteStream(t.Context(), p.prefix+"_events"); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A stream that an operator deletes while we run is made anew by the next Publish.
func TestStreamDeletedUnderWay(t *testing.T) {
	p := newPlace(t, newNode(t).url(), false)
	b := p.open(nil)
	publish(t, b, event(bustest.TypeA, "s", 1))
	if err := p.jetStream().DeleteStream(t.Context(), p.prefix+"_events"); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), event(bustest.TypeA, "s", 2)); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v, want Unavailable", err)
	}
	publish(t, b, event(bustest.TypeA, "s", 2))
}

// What comes on a wanted subject and is no event is parked dead with what came; an
// event of a former type is passed over; the subscription goes on.
func TestForeignMessages(t *testing.T) {
	for name, at := range places(t) {
		t.Run(name, func(t *testing.T) {
			p := at(t)
			b := p.open(nil)
			r := bustest.NewRecorder()
			park := bustest.NewLot(t)
			subscribe(t, b, bus.Subscription{Name: "teste.lixo", Types: []string{bustest.TypeA}, Former: []string{"antigo"},
				Parking: park, Handler: r.Handle(nil)})
			js := p.jetStream()
			wrong, former := event(bustest.TypeB, "s", 1), event("antigo", "s", 1)
			for _, m := range []*nats.Msg{
				{Data: []byte(`{"half`)}, {Data: []byte(`{}`)}, {Data: nil}, {Data: encode(t, wrong)}, {Data: encode(t, former)},
				{Data: []byte("<x/>"), Header: nats.Header{"Content-Type": {"text/xml"}}},
				{Data: []byte("not gzip"), Header: nats.Header{"Content-Encoding": {"gzip"}}},
			} {
				m.Subject = p.prefix + ".ev." + bustest.TypeA
				if _, err := js.PublishMsg(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			publish(t, b, event(bustest.TypeA, "s", 2))
			r.AwaitDone(t, 1)
			bustest.Eventually(t, "six dead letters", func() bool {
				blocked, err := park.Blocked(t.Context(), "teste.lixo")
				if err != nil {
					t.Fatal(err)
				}
				return len(blocked) == 6 && !slices.ContainsFunc(blocked, func(b bus.Blocked) bool { return b.State != bus.Dead })
			})
			bustest.Eventually(t, "nothing behind", func() bool {
				n, err := b.Backlog(t.Context(), "teste.lixo")
				return n == 0 && err == nil
			})
		})
	}
}

// An address where nobody answers is no error of Open; everything says Unavailable
// until somebody does.
func TestServerComesLater(t *testing.T) {
	n := newNode(t)
	p := newPlace(t, n.url(), false)
	n.stop()
	b := p.open(nil)
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.cedo", Types: []string{bustest.TypeA}, Handler: r.Handle(nil)})
	if err := b.Ping(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("ping: %v, want Unavailable", err)
	}
	n.start()
	bustest.Eventually(t, "published", func() bool { return b.Publish(t.Context(), event(bustest.TypeA, "s", 1)) == nil })
	r.AwaitDone(t, 1)
	if _, err := natsbus.Open(t.Context(), natsbus.Options{}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("open without an address: %v", err)
	}
}

// A handler that hangs holds up its subject alone; what is behind it in the log is
// done once, also when the term ends before the hanging one does.
func TestCursorWaitsForTheOldest(t *testing.T) {
	b := newPlace(t, newNode(t).url(), false).open(nil)
	r := bustest.NewRecorder()
	entered := make(chan struct{}, 1)
	sub := bus.Subscription{Name: "teste.marca", Types: []string{bustest.TypeA}, Parking: bustest.NewLot(t),
		Handler: r.Handle(func(ctx context.Context, e bus.Event, try int) error {
			if e.Subject == "lento" && try == 1 {
				entered <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})}
	c := subscribe(t, b, sub)
	publish(t, b, event(bustest.TypeA, "lento", 1))
	<-entered
	for i := 1; i <= 300; i++ {
		publish(t, b, event(bustest.TypeA, fmt.Sprint("s", i%3), i))
	}
	r.AwaitDone(t, 300)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Drain(ended); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n, err := b.Backlog(t.Context(), sub.Name); n != 301 || err != nil {
		t.Errorf("backlog %d, %v; want 301: the oldest was not done", n, err)
	}
	subscribe(t, b, sub)
	r.AwaitDone(t, 301)
	r.CheckOrder(t)
}

func encode(t *testing.T, e bus.Event) []byte {
	t.Helper()
	body, err := bus.Encode(e)
	if err != nil || !strings.Contains(string(body), e.Type) {
		t.Fatal(err)
	}
	return body
}
