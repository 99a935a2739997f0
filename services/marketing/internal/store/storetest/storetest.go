// Package storetest is the contract of marketing's store: every adapter passes
// it, over every engine it runs on.
package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"trama/contracts/events"
	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/idempotency"
	"trama/platform/outbox"
	"trama/services/marketing/internal/app"
	"trama/services/marketing/internal/lead"
)

// Kit is one fresh store and what a test must see of it.
type Kit struct {
	Store  app.Store
	Source outbox.Source
	// Dump gives everything the engine keeps for the service, as text.
	Dump func(t *testing.T) string
}

// Open makes a store that is the test's own and goes away with it.
type Open func(t *testing.T, c clock.Clock, ids id.Source) Kit

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"a lead comes back as it was stored, with its event", registers},
		{"of concurrent registrations one makes the lead", concurrentRegistrations},
		{"address and course together make a lead", uniqueness},
		{"a key has one answer", keys},
		{"a key that has expired is free", expiredKeys},
		{"concurrent uses of a key make one lead", concurrentKeys},
		{"pages are newest first and complete", pages},
		{"an update and its events are one", updates},
		{"concurrent updates are all seen", concurrentUpdates},
		{"due reminders are found in order", due},
		{"enrolment ends the right reminders", enrols},
		{"enrolment is remembered by digest", remembersEnrolment},
		{"erasure leaves nothing", erases},
		{"the outbox gives events in order until they are done", relays},
		{"a call whose context is over does nothing", cancelled},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &bench{clock: &clock.Shifted{}}
			b.ids = id.New(b.clock, rand.Reader)
			b.Kit = open(t, b.clock, b.ids)
			var cancel context.CancelFunc
			b.ctx, cancel = context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			test.run(t, b)
		})
	}
}

// bench is a kit with its clock and ids.
type bench struct {
	Kit
	ctx   context.Context
	clock *clock.Shifted
	ids   *id.Generator
}

const (
	courseA = "01980a52-7c00-7000-8000-00000000000a"
	courseB = "01980a52-7c00-7000-8000-00000000000b"
)

var schedule = lead.Schedule{24 * time.Hour, 72 * time.Hour}

// lead makes a lead that is not stored.
func (b *bench) lead(email, course string) lead.Lead {
	l := lead.New(b.ids.New(), b.clock.Now(), schedule)
	l.Name, l.Email, l.CourseID, l.Origin, l.Phone = "Ana Souza", email, course, "site", "+5511987654321"
	return l
}

// register stores a lead without a key.
func (b *bench) register(t *testing.T, l lead.Lead) app.Registered {
	t.Helper()
	r, err := b.Store.Register(b.ctx, l, nil, event(l.ID))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func event(leadID string) outbox.Message {
	return outbox.Message{Type: events.TypeLeadRegistrado, Subject: leadID, Data: events.LeadRegistrado{LeadID: leadID}}
}

func numbered(leadID string, n int) outbox.Message {
	return outbox.Message{Type: events.TypeLembreteDevido, Subject: leadID, Data: events.LembreteDevido{LeadID: leadID, Passo: n,
		Pessoa: events.Pessoa{Nome: "Ana Souza", Email: "ana@exemplo.com.br"}}}
}

func key(value, body string) *idempotency.Key {
	return &idempotency.Key{Scope: "POST /v1/marketing/leads ", Value: value, Request: body}
}

// pending gives all waiting events.
func (b *bench) pending(t *testing.T) []outbox.Entry {
	t.Helper()
	entries, err := b.Source.Pending(b.ctx, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func (b *bench) get(t *testing.T, id string) lead.Lead {
	t.Helper()
	l, err := b.Store.Get(b.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}
