package amqpbus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
	"trama/platform/bus/amqpbus"
	"trama/platform/bus/bustest"
	"trama/platform/fault"
)

// read gives the numbers of the events that q selects, and their positions.
func read(t *testing.T, b bus.Bus, q bus.Query) (numbers []int, positions []string) {
	t.Helper()
	err := b.Read(t.Context(), q, func(l bus.LogEntry) error {
		numbers = append(numbers, bustest.Number(l.Event))
		positions = append(positions, l.Position)
		return nil
	})
	if err != nil {
		t.Fatalf("read %+v: %v", q, err)
	}
	return numbers, positions
}

func series(from, to int) []int {
	var out []int
	for n := from; n <= to; n++ {
		out = append(out, n)
	}
	return out
}

// The log holds every event, wanted or not, in order; reading begins and ends
// where it is told, also at the edges, where the broker alone would wait for ever.
func TestReadingTheLog(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil)
	if got, _ := read(t, b, bus.Query{}); got != nil {
		t.Errorf("an empty log: %v", got)
	}
	if err := b.Declare(t.Context(), bus.Subscription{Name: "teste.diario", Types: []string{bustest.TypeA}}); err != nil {
		t.Fatal(err)
	}
	var events []bus.Event
	for n := 1; n <= 600; n++ { // more than the reader's window
		events = append(events, event([]string{bustest.TypeA, bustest.TypeB}[n%2], fmt.Sprint("s", n%3), n))
	}
	publish(t, b, events[:500]...)
	for _, e := range events[500:510] {
		publish(t, b, e)
	}
	publish(t, b, events[510:]...)
	all, at := read(t, b, bus.Query{})
	if !slices.Equal(all, series(1, 600)) {
		t.Fatalf("%d events: %v", len(all), all)
	}
	last, err := strconv.Atoi(at[599])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		q    bus.Query
		want []int
	}{
		{"after one", bus.Query{After: at[9], Limit: 3}, series(11, 13)},
		{"after the last", bus.Query{After: at[599]}, nil},
		{"after the end", bus.Query{After: strconv.Itoa(last + 1_000_000)}, nil},
		{"from long ago", bus.Query{From: time.Now().Add(-time.Hour)}, all},
		{"from now on", bus.Query{From: time.Now().Add(time.Hour)}, nil},
		{"by id", bus.Query{ID: events[299].ID}, []int{300}},
		{"by subject and type", bus.Query{Subject: "s1", Types: []string{bustest.TypeA}, Limit: 3}, []int{4, 10, 16}},
	} {
		if got, _ := read(t, b, c.q); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	stop := errors.New("enough")
	if err := b.Read(t.Context(), bus.Query{}, func(bus.LogEntry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the caller's error: %v", err)
	}
	for _, after := range []string{"x", "-1", "1.5", "99999999999999999999"} {
		if err := b.Read(t.Context(), bus.Query{After: after}, nil); err == nil || fault.KindOf(err).Transient() {
			t.Errorf("position %q: %v", after, err)
		}
	}
}

// What somebody else puts into the log is passed over.
func TestForeignersInTheLog(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil)
	if err := b.Declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, b, event(bustest.TypeA, "s", 1))
	if err := p.channel().Publish("", p.queue("log"), true, false, amqp.Publishing{Body: []byte("no event")}); err != nil {
		t.Fatal(err)
	}
	publish(t, b, event(bustest.TypeA, "s", 2))
	if got, _ := read(t, b, bus.Query{}); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("read %v", got)
	}
}

// Publish does not say yes to what the log does not have.
func TestPublishWithoutLog(t *testing.T) {
	p := newPlace(t)
	b := p.open(nil)
	if err := b.Declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.channel().QueueDelete(p.queue("log"), false, false, false); err != nil {
		t.Fatal(err)
	}
	e := event(bustest.TypeA, "s", 1) // no queue wants it
	if err := b.Publish(t.Context(), e); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("publish: %v, want Unavailable", err)
	}
	bustest.Eventually(t, "publish works again", func() bool { return b.Publish(t.Context(), e) == nil })
	if got, _ := read(t, b, bus.Query{}); !slices.Equal(got, []int{1}) {
		t.Errorf("read %v", got)
	}
}

// A reader that follows sees what comes, also after the wire was cut, each event
// once and in order, until its context ends.
func TestFollowingThroughCuts(t *testing.T) {
	p := newPlace(t)
	x := newProxy(p)
	b, here := p.open(through(x)), p.open(nil)
	if err := here.Declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got, ended := make(chan int, 100), make(chan error, 1)
	go func() {
		ended <- b.Read(ctx, bus.Query{Follow: true}, func(l bus.LogEntry) error {
			got <- bustest.Number(l.Event)
			return nil
		})
	}()
	for n := 1; n <= 30; n++ {
		publish(t, here, event(bustest.TypeA, "s", n))
		select {
		case m := <-got:
			if m != n {
				t.Fatalf("read event %d, want %d", m, n)
			}
		case err := <-ended:
			t.Fatalf("ended with %v", err)
		case <-time.After(bustest.Patience):
			t.Fatalf("event %d was not read", n)
		}
		if n%10 == 0 {
			x.cut()
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	begun := make(chan struct{}, 100)
	go func() {
		ended <- b.Read(t.Context(), bus.Query{Follow: true}, func(bus.LogEntry) error { begun <- struct{}{}; return nil })
	}()
	<-begun
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; fault.KindOf(err) != fault.Unavailable {
		t.Errorf("after Close it ended with %v", err)
	}
}

// The log's bounds reach the broker, and it can be left out.
func TestLogOptions(t *testing.T) {
	p := newPlace(t)
	p.open(func(o *amqpbus.Options) { o.LogMaxBytes, o.LogMaxAge = 1<<30, 48*time.Hour })
	if _, err := p.channel().QueueDeclare(p.queue("log"), true, false, false, false, amqp.Table{
		"x-queue-type": "stream", "x-max-length-bytes": int64(1 << 30), "x-max-age": "172800s"}); err != nil {
		t.Errorf("the log has other arguments: %v", err)
	}
	off := newPlace(t)
	b := off.open(func(o *amqpbus.Options) { o.LogOff = true })
	if err := b.Declare(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, b, event(bustest.TypeA, "s", 1))
	if err := b.Read(t.Context(), bus.Query{}, nil); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("read: %v, want Unavailable", err)
	}
	if _, err := off.channel().QueueDeclarePassive(off.queue("log"), true, false, false, false, nil); err == nil {
		t.Error("there is a log")
	}
}
