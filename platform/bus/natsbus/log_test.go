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
	"trama/platform/fault"
)

// read gives the numbers of what q selects, and the last position.
func read(t *testing.T, b bus.Bus, q bus.Query) (got []int, last string) {
	t.Helper()
	err := b.Read(t.Context(), q, func(e bus.LogEntry) error {
		got, last = append(got, bustest.Number(e.Event)), e.Position
		return nil
	})
	if err != nil {
		t.Fatalf("read %+v: %v", q, err)
	}
	return got, last
}

func TestReadSelects(t *testing.T) {
	for name, p := range places(t) {
		t.Run(name, func(t *testing.T) {
			b := p(t).open(nil)
			publish(t, b)
			if got, _ := read(t, b, bus.Query{}); got != nil {
				t.Errorf("empty log: %v", got)
			}
			for i := 1; i <= 600; i++ { // more than one fetch brings
				publish(t, b, event([]string{bustest.TypeA, bustest.TypeB, "outro tipo.>*..ção."}[i%3], fmt.Sprint("s", i%2), i))
			}
			if got, _ := read(t, b, bus.Query{}); len(got) != 600 || !slices.IsSorted(got) {
				t.Errorf("%d events, sorted %t", len(got), slices.IsSorted(got))
			}
			got, at := read(t, b, bus.Query{Limit: 7, Types: []string{bustest.TypeA, bustest.TypeB}})
			if !slices.Equal(got, []int{1, 3, 4, 6, 7, 9, 10}) {
				t.Errorf("first seven of two types: %v", got)
			}
			if got, _ := read(t, b, bus.Query{After: at, Limit: 3}); !slices.Equal(got, []int{11, 12, 13}) {
				t.Errorf("after the tenth: %v", got)
			}
			if got, _ := read(t, b, bus.Query{Types: []string{"outro tipo.>*..ção."}, Subject: "s1", Limit: 2}); !slices.Equal(got, []int{5, 11}) {
				t.Errorf("of a strange type and one subject: %v", got)
			}
			if got, _ := read(t, b, bus.Query{From: event("x", "s", 1).Time.AddDate(1, 0, 0)}); got != nil {
				t.Errorf("from next year: %v", got)
			}
			enough := errors.New("enough")
			if err := b.Read(t.Context(), bus.Query{}, func(bus.LogEntry) error { return enough }); !errors.Is(err, enough) {
				t.Errorf("fn's error: %v", err)
			}
			if err := b.Read(t.Context(), bus.Query{After: "agora"}, nil); fault.KindOf(err) != fault.Malformed {
				t.Errorf("a foreign position: %v", err)
			}
		})
	}
}

func TestReadFollows(t *testing.T) {
	b := newPlace(t, newNode(t).url(), false).open(nil)
	publish(t, b, event(bustest.TypeA, "s", 1))
	ctx, cancel := context.WithCancel(t.Context())
	err := b.Read(ctx, bus.Query{Follow: true}, func(e bus.LogEntry) error {
		n := bustest.Number(e.Event)
		if n == 3 {
			cancel()
		}
		publish(t, b, event(bustest.TypeA, "s", n+1))
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's end", err)
	}
}

// An event of MaxEventBytes is as large as the server's max_payload, which counts
// headers too; text that hardly shrinks must pass all the same.
func TestLargestEvent(t *testing.T) {
	b := newPlace(t, newNode(t).url(), false).open(nil)
	e := event(bustest.TypeA, "s", 1)
	var noise strings.Builder
	for i := range bus.MaxEventBytes {
		noise.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[(i*i/7+i/3+i*i*i%61)%64])
	}
	e.Data = []byte(`""`)
	body, err := bus.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	e.Data = []byte(`"` + noise.String()[:bus.MaxEventBytes-len(body)] + `"`)
	publish(t, b, e)
	err = b.Read(t.Context(), bus.Query{}, func(got bus.LogEntry) error {
		if string(got.Event.Data) != string(e.Data) {
			t.Errorf("%d bytes came back, not the %d sent", len(got.Event.Data), len(e.Data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBacklog(t *testing.T) {
	for name, p := range places(t) {
		t.Run(name, func(t *testing.T) {
			b := p(t).open(nil)
			if _, err := b.Backlog(t.Context(), "teste.conta"); fault.KindOf(err) != fault.Invalid {
				t.Errorf("of an unknown subscription: %v", err)
			}
			if err := b.Declare(t.Context(), bus.Subscription{Name: "teste.conta", Types: []string{bustest.TypeA, bustest.TypeB}}); err != nil {
				t.Fatal(err)
			}
			publish(t, b, event(bustest.TypeA, "s", 1), event(bustest.TypeB, "s", 2), event("terceiro", "s", 3), event(bustest.TypeB, "s", 4))
			if n, err := b.Backlog(t.Context(), "teste.conta"); n != 3 || err != nil {
				t.Errorf("%d, %v; want 3", n, err)
			}
		})
	}
}

// What a foreigner puts into the stream and is no event is left out of the log.
func TestReadLeavesForeignOut(t *testing.T) {
	p := newPlace(t, newNode(t).url(), false)
	b := p.open(nil)
	publish(t, b, event(bustest.TypeA, "s", 1))
	js := p.jetStream()
	for _, m := range []*nats.Msg{
		{Data: []byte(`{"half`)},
		{Data: []byte("not gzip"), Header: nats.Header{"Content-Encoding": {"gzip"}}},
		{Data: []byte("<x/>"), Header: nats.Header{"Content-Type": {"text/xml"}}},
	} {
		m.Subject = p.prefix + ".ev." + bustest.TypeA
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, b, event(bustest.TypeA, "s", 2))
	if got, _ := read(t, b, bus.Query{}); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("%v, want the two events", got)
	}
}
