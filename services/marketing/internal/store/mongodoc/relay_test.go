package mongodoc_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/store/mongostore/mongotest"
	"trama/services/marketing/internal/lead"
	"trama/services/marketing/internal/store/mongodoc"
)

// stumbling is a bus that fails every second time after it took the events, as
// one does whose confirmation gets lost.
type stumbling struct {
	mu    sync.Mutex
	calls int
	seen  map[string][]string // sequences by subject
	last  chan struct{}       // closed when the last expected event was confirmed
	want  int
}

func (b *stumbling) Publish(_ context.Context, all ...bus.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range all {
		b.seen[e.Subject] = append(b.seen[e.Subject], e.Sequence)
	}
	if b.calls++; b.calls%2 == 1 && b.want > 0 {
		return errors.New("no confirmation")
	}
	if b.want -= len(all); b.want == 0 {
		close(b.last)
	}
	return nil
}

// Two relays of two processes carry the events of one store; whatever is
// published more than once, nothing is lost, and a lead's events keep their order.
func TestTheRelayEmptiesTheStore(t *testing.T) {
	db := mongotest.Open(t).Database()
	ids := id.New(clock.System{}, rand.Reader)
	s := mongodoc.New(db, clock.System{}, ids)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const n = 5
	message := func(leadID string) outbox.Message {
		return outbox.Message{Type: events.TypeLeadRegistrado, Subject: leadID, Data: events.LeadRegistrado{LeadID: leadID}}
	}
	for i := range n {
		l := lead.New(ids.New(), clock.System{}.Now(), nil)
		l.Email = fmt.Sprintf("p%d@exemplo.com.br", i)
		if _, err := s.Register(ctx, l, nil, message(l.ID), message(l.ID)); err != nil {
			t.Fatal(err)
		}
		if err := s.EraseAddress(ctx, l.Email, "d", func(l lead.Lead) []outbox.Message { return []outbox.Message{message(l.ID), message(l.ID)} }); err != nil {
			t.Fatal(err)
		}
	}
	b := &stumbling{seen: map[string][]string{}, last: make(chan struct{}), want: 2 * n}
	run, stop := context.WithCancel(ctx)
	var relays sync.WaitGroup
	for range 2 {
		r := outbox.Relay{Source: mongodoc.New(db, clock.System{}, ids), Bus: b, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), Batch: 3}
		relays.Go(func() {
			if err := r.Run(run); err != nil {
				t.Error(err)
			}
		})
	}
	select {
	case <-b.last:
	case <-ctx.Done():
		t.Fatal("the relays do not finish")
	}
	stop()
	relays.Wait()
	if len(b.seen) != n {
		t.Errorf("events of %d leads, want %d", len(b.seen), n)
	}
	for subject, sequences := range b.seen {
		first := map[string]bool{}
		var order []string
		for _, q := range sequences {
			if !first[q] {
				first[q] = true
				order = append(order, q)
			}
		}
		if fmt.Sprint(order) != "[3 4]" {
			t.Errorf("%s: %v", subject, sequences)
		}
	}
	left, err := db.Collection("leads").CountDocuments(ctx, bson.D{})
	if err != nil || left != 0 {
		t.Errorf("%d tombstones are left, %v", left, err)
	}
}
