package storetest

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"trama/services/payments/internal/app"
	"trama/services/payments/internal/fraud"
	"trama/services/payments/internal/payment"
)

func facts(t *testing.T, b *bench) {
	with := func(person int, card string) payment.Order {
		o := b.order(person, 1)
		o.Card.Fingerprint = card
		return o
	}
	large := with(1, "f3")
	large.Amount = 500000
	b.accept(t, large, b.approved) // two days ago: only the amount matters
	b.clock.Jump(47 * time.Hour)
	b.accept(t, with(2, "f1"))            // an hour ago and more: another person with the card
	b.accept(t, with(1, "f2"), b.refused) // another card of the person
	b.clock.Jump(time.Hour + time.Second)
	b.accept(t, with(3, "f1"), b.refused) // in the window: the card
	b.accept(t, with(1, "f1"), b.refused) // the card, the person and the address
	b.accept(t, with(1, "f1"), b.approved)
	fraudulent := with(4, "f1")
	b.accept(t, fraudulent, func(p *payment.Payment) { _ = p.Analyse(100, nil, true, time.Time{}, b.clock.Now()) })

	o := with(1, "f1")
	p := payment.Accept(o, b.clock.Now())
	if err := b.Insert(t.Context(), p, nil); err != nil {
		t.Fatal(err)
	}
	b.accept(t, with(1, "f1")) // came after it
	got, err := b.Facts(t.Context(), p.State(), limits)
	if err != nil {
		t.Fatal(err)
	}
	want := fraud.Facts{
		Amount: 116910, Card: true, Country: "BR", ByCard: 4, ByEmail: 2, ByCPF: 2, RefusedCard: 2, RefusedCPF: 1,
		OtherPeople: 3, OtherCards: 1, LargestApproved: 500000,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	pix := with(1, "")
	pix.Method, pix.Card = payment.Pix, payment.CardOnFile{}
	got, err = b.Facts(t.Context(), payment.Accept(pix, b.clock.Now()).State(), limits)
	if err != nil || got.Card || got.ByCard != 0 || got.ByCPF != 4 {
		t.Errorf("pix: %+v %v", got, err)
	}
}

func depth(t *testing.T, b *bench) {
	for range 9 {
		b.accept(t, b.order(1, 1))
	}
	p := payment.Accept(b.order(1, 1), b.clock.Now())
	got, err := b.Facts(t.Context(), p.State(), limits)
	if err != nil || got.ByCard != limits.Depth() || got.ByEmail != limits.Depth() {
		t.Errorf("looked at %d and %d, want %d (%v)", got.ByCard, got.ByEmail, limits.Depth(), err)
	}
}

func lists(t *testing.T, b *bench) {
	a := b.accept(t, b.order(1, 1), b.approved)
	c := b.accept(t, b.order(2, 1), b.refused)
	d := b.accept(t, b.order(1, 2))
	for _, q := range []struct {
		filter app.Filter
		want   []string
	}{
		{app.Filter{Limit: 9}, []string{d, c, a}},
		{app.Filter{Limit: 2}, []string{d, c}},
		{app.Filter{Limit: 9, Before: c}, []string{a}},
		{app.Filter{Limit: 9, Email: "p1@exemplo.com.br"}, []string{d, a}},
		{app.Filter{Limit: 9, Status: payment.Refused}, []string{c}},
		{app.Filter{Limit: 9, Status: payment.Approved, Email: "p2@exemplo.com.br"}, nil},
		{app.Filter{Limit: 9, Status: payment.Received, Email: "p1@exemplo.com.br", Before: "g"}, []string{d}},
	} {
		list, err := b.List(t.Context(), q.filter)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range list {
			got = append(got, p.ID())
		}
		if strings.Join(got, " ") != strings.Join(q.want, " ") {
			t.Errorf("%+v: %v, want %v", q.filter, got, q.want)
		}
	}
}

func overdue(t *testing.T, b *bench) {
	now := b.clock.Now()
	waiting := func(person int, end time.Time) string {
		o := b.order(person, 1)
		o.Method = payment.Pix
		return b.accept(t, o, b.analysed, func(p *payment.Payment) { _ = p.Issue("c", "0", end, now) })
	}
	late, early := waiting(1, now.Add(-time.Minute)), waiting(2, now.Add(-time.Hour))
	same := waiting(3, now.Add(-time.Minute))
	waiting(4, now.Add(time.Minute))
	b.accept(t, b.order(5, 1), b.approved)
	var got []string
	after := app.Deadline{}
	for {
		due, err := b.Overdue(t.Context(), now, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range due {
			got = append(got, d.ID)
			after = d
		}
		if len(due) < 2 {
			break
		}
	}
	if want := []string{early, late, same}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
