package amqpbus_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/bus/amqpbus"
	"trama/platform/bus/bustest"
	"trama/platform/fault"
)

var errDown = fault.New(fault.Unavailable, "teste-fora-do-ar", fault.Text{EN: "down"})

func through(x *proxy) func(*amqpbus.Options) {
	return func(o *amqpbus.Options) { o.URL = x.url }
}

// Whatever was confirmed while the wire was cut again and again is delivered.
func TestPublishingThroughCuts(t *testing.T) {
	p := newPlace(t)
	x := newProxy(p)
	b := p.open(through(x))
	sub := bus.Subscription{Name: "teste.cortes", Types: []string{bustest.TypeA}}
	if err := b.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed, confirmed := 0, 0
	for g := range 4 {
		wg.Go(func() {
			for n := 1; n <= 100; n++ {
				e := event(bustest.TypeA, fmt.Sprintf("g%d", g), n)
				for { // as the relay does: the same event until it is confirmed
					err := b.Publish(t.Context(), e)
					mu.Lock()
					if err == nil {
						if confirmed++; confirmed%80 == 0 {
							x.cut()
						}
						mu.Unlock()
						break
					}
					failed++
					mu.Unlock()
					if !fault.KindOf(err).Transient() {
						t.Errorf("publish: %v, want a transient fault", err)
						return
					}
					bustest.Pause(5 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	if failed == 0 {
		t.Error("no Publish met a cut: the test proves nothing")
	}
	r := bustest.NewRecorder()
	sub.Handler = r.Handle(nil)
	subscribe(t, p.open(nil), sub)
	r.AwaitDone(t, 400)
	r.CheckOrder(t)
}

// A consumer whose wire is cut again and again handles everything, in order, and
// never two events of a subject at a time.
func TestConsumingThroughCuts(t *testing.T) {
	p := newPlace(t)
	x := newProxy(p)
	r := bustest.NewRecorder()
	var mu sync.Mutex
	handled := 0
	sub := bus.Subscription{Name: "teste.fio", Types: []string{bustest.TypeA}, MaxInFlight: 8, Backoff: time.Millisecond,
		Handler: r.Handle(func(_ context.Context, e bus.Event, try int) error {
			mu.Lock()
			if handled++; handled%100 == 50 {
				x.cut()
			}
			mu.Unlock()
			if try == 1 && bustest.Number(e)%10 == 0 {
				return errDown
			}
			return nil
		})}
	here := p.open(nil)
	if err := here.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 50; n++ {
		var events []bus.Event
		for s := range 10 {
			events = append(events, event(bustest.TypeA, fmt.Sprint("s", s), n))
		}
		publish(t, here, events...)
	}
	subscribe(t, p.open(through(x)), sub)
	r.AwaitDone(t, 500)
	r.CheckOrder(t)
}

// With the broker down at Open everything is remembered, Publish refuses at once,
// and all begins by itself when the broker is there.
func TestBrokerDownAtOpen(t *testing.T) {
	p := newPlace(t)
	x := newProxy(p)
	x.setDown(true)
	b := p.open(through(x))
	if err := b.Ping(t.Context()); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("ping: %v, want Unavailable", err)
	}
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.depois", Types: []string{bustest.TypeA}, Handler: r.Handle(nil)})
	start := time.Now()
	e := event(bustest.TypeA, "s", 1)
	if err := b.Publish(t.Context(), e); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("publish: %v, want Unavailable", err)
	}
	if _, err := b.Backlog(t.Context(), "teste.depois"); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("backlog: %v, want Unavailable", err)
	}
	if err := b.Read(t.Context(), bus.Query{}, nil); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("read: %v, want Unavailable", err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("refusing took %s", took)
	}
	x.setDown(false)
	bustest.Eventually(t, "publish works", func() bool { return b.Publish(t.Context(), e) == nil })
	r.AwaitDone(t, 1)
	bustest.Eventually(t, "ping is well", func() bool { return b.Ping(t.Context()) == nil })

	x.setDown(true) // and once more while running
	bustest.Eventually(t, "publish refuses", func() bool { return b.Publish(t.Context(), e) != nil })
	x.setDown(false)
	e = event(bustest.TypeA, "s", 2)
	bustest.Eventually(t, "publish works again", func() bool { return b.Publish(t.Context(), e) == nil })
	r.AwaitDone(t, 2)
}

// A connection that is silent without being closed is given up by heartbeat.
func TestSilentBrokerIsNoticed(t *testing.T) {
	p := newPlace(t)
	x := newProxy(p)
	b := p.open(func(o *amqpbus.Options) { o.URL, o.Heartbeat = x.url, time.Second })
	if err := b.Declare(t.Context(), bus.Subscription{Name: "teste.mudo", Types: []string{bustest.TypeA}}); err != nil {
		t.Fatal(err)
	}
	x.silence(true)
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := b.Publish(short, event(bustest.TypeA, "s", 1)); err == nil || fault.KindOf(err) != fault.Timeout {
		t.Errorf("with a deadline: %v, want Timeout", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the deadline of 200 ms took %s", took)
	}
	if err := b.Publish(t.Context(), event(bustest.TypeA, "s", 2)); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("without one: %v, want Unavailable when the heartbeat fails", err)
	}
	x.silence(false)
	bustest.Eventually(t, "publish works again", func() bool { return b.Publish(t.Context(), event(bustest.TypeA, "s", 3)) == nil })
}

func TestOpenRefusesBadURL(t *testing.T) {
	_, err := amqpbus.Open(t.Context(), amqpbus.Options{URL: "http://user:geheim@host/"})
	if err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("%v: want an error without the password", err)
	}
}
