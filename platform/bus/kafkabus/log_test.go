package kafkabus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/fault"
)

// read gives the numbers of what q selects, per subject, and the last position.
func read(t *testing.T, b bus.Bus, q bus.Query) (got map[string][]int, n int, last string) {
	t.Helper()
	got = map[string][]int{}
	err := b.Read(t.Context(), q, func(e bus.LogEntry) error {
		got[e.Event.Subject] = append(got[e.Event.Subject], bustest.Number(e.Event))
		n, last = n+1, e.Position
		return nil
	})
	if err != nil {
		t.Fatalf("read %+v: %v", q, err)
	}
	return got, n, last
}

func TestReadSelects(t *testing.T) {
	b := newCluster(t).open(nil)
	if err := b.Declare(t.Context(), bus.Subscription{Name: "teste.a", Types: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	if _, n, _ := read(t, b, bus.Query{}); n != 0 {
		t.Errorf("empty log: %d", n)
	}
	var events []bus.Event
	for i := range 900 {
		events = append(events, event([]string{bustest.TypeA, bustest.TypeB, "outro"}[i/30%3], fmt.Sprint("s", i%30), i/30))
	}
	publish(t, b, events...)
	all, n, _ := read(t, b, bus.Query{})
	if n != 900 {
		t.Errorf("%d events, want 900", n)
	}
	// In two portions the same, none twice and none left out.
	first, n1, at := read(t, b, bus.Query{Limit: 333})
	rest, n2, _ := read(t, b, bus.Query{After: at})
	if n1 != 333 || n2 != 567 {
		t.Errorf("%d and %d, want 333 and 567", n1, n2)
	}
	for s := range all {
		if both := append(first[s], rest[s]...); !slices.Equal(both, all[s]) || !slices.IsSorted(both) {
			t.Errorf("subject %s: %v, in one go %v", s, both, all[s])
		}
	}
	if got, _, _ := read(t, b, bus.Query{Types: []string{"outro"}, Subject: "s7", Limit: 2}); !slices.Equal(got["s7"], []int{2, 5}) {
		t.Errorf("of one type and subject: %v", got)
	}
	if _, n, _ := read(t, b, bus.Query{ID: events[899].ID, From: events[899].Time}); n != 1 {
		t.Errorf("by id and time: %d", n)
	}
	if _, n, _ := read(t, b, bus.Query{From: events[0].Time.AddDate(1, 0, 0)}); n != 0 {
		t.Errorf("from next year: %d", n)
	}
	enough := errors.New("enough")
	if err := b.Read(t.Context(), bus.Query{}, func(bus.LogEntry) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("fn's error: %v", err)
	}
	for _, foreign := range []string{"agora", "1-", "1-2-3-4-5-6-7-8-9"} {
		if err := b.Read(t.Context(), bus.Query{After: foreign}, nil); fault.KindOf(err) != fault.Malformed {
			t.Errorf("position %s: %v", foreign, err)
		}
	}
}

func TestReadFollows(t *testing.T) {
	c := newCluster(t)
	b := c.open(nil)
	publish(t, b, event(bustest.TypeA, "s", 1))
	c.put(&kgo.Record{Value: []byte("no event")})
	ctx, cancel := context.WithCancel(t.Context())
	err := b.Read(ctx, bus.Query{Follow: true}, func(e bus.LogEntry) error {
		n := bustest.Number(e.Event)
		if n == 3 {
			cancel()
		}
		publish(t, b, event(bustest.TypeA, fmt.Sprint("s", n), n+1))
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's end", err)
	}
}
