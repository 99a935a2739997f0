package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/outbox"
	"trama/services/marketing/internal/app"
	"trama/services/marketing/internal/lead"
)

func pages(t *testing.T, b *bench) {
	var want []string
	for i := range 7 {
		l := b.lead(fmt.Sprintf("p%d@exemplo.com.br", i), courseA)
		b.register(t, l)
		want = append([]string{l.ID}, want...)
	}
	var got []string
	for before := ""; ; {
		page, err := b.Store.List(b.ctx, before, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, l := range page {
			got = append(got, l.ID)
		}
		before = got[len(got)-1]
	}
	same(t, "pages", got, want)
}

func updates(t *testing.T, b *bench) {
	l := b.register(t, b.lead("ana@exemplo.com.br", courseA)).Lead
	changed, err := b.Store.Update(b.ctx, l.ID, func(l *lead.Lead) ([]outbox.Message, error) {
		l.Unsubscribe(b.clock.Now())
		return []outbox.Message{numbered(l.ID, 1), numbered(l.ID, 2)}, nil
	})
	if err != nil || changed.Version != 2 || changed.State() != lead.Unsubscribed {
		t.Fatalf("%+v %v", changed, err)
	}
	same(t, "read back", b.get(t, l.ID), changed)
	if n := len(b.pending(t)); n != 3 {
		t.Errorf("%d events wait, want 3", n)
	}
	refuse := errors.New("refused")
	if _, err := b.Store.Update(b.ctx, l.ID, func(l *lead.Lead) ([]outbox.Message, error) {
		l.Reminded = 9
		return []outbox.Message{numbered(l.ID, 3)}, refuse
	}); !errors.Is(err, refuse) {
		t.Errorf("the function's error: %v", err)
	}
	same(t, "after a refusal", b.get(t, l.ID), changed)
	if kept, err := b.Store.Update(b.ctx, l.ID, func(*lead.Lead) ([]outbox.Message, error) { return nil, nil }); err != nil || kept.Version != 2 {
		t.Errorf("no change: %+v %v", kept, err)
	}
	if n := len(b.pending(t)); n != 3 {
		t.Errorf("%d events wait, want 3", n)
	}
	if _, err := b.Store.Update(b.ctx, b.ids.New(), func(*lead.Lead) ([]outbox.Message, error) { return nil, nil }); !errors.Is(err, app.ErrNotFound) {
		t.Errorf("an unknown lead: %v", err)
	}
}

func concurrentUpdates(t *testing.T, b *bench) {
	l := b.register(t, b.lead("ana@exemplo.com.br", courseA)).Lead
	const n = 16
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			_, err := b.Store.Update(b.ctx, l.ID, func(l *lead.Lead) ([]outbox.Message, error) {
				l.Reminded++
				return []outbox.Message{numbered(l.ID, l.Reminded)}, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := b.get(t, l.ID); got.Reminded != n || got.Version != n+1 {
		t.Errorf("reminded %d, version %d", got.Reminded, got.Version)
	}
	for i, e := range b.pending(t) {
		if e.Event.Sequence != fmt.Sprint(i+1) {
			t.Errorf("event %d has sequence %s", i+1, e.Event.Sequence)
		}
		var r events.LembreteDevido
		if err := json.Unmarshal(e.Event.Data, &r); err != nil || (i > 0 && r.Passo != i) {
			t.Errorf("event %d is step %d (%v)", i+1, r.Passo, err)
		}
	}
}

func due(t *testing.T, b *bench) {
	if next, err := b.Store.NextDue(b.ctx); err != nil || !next.IsZero() {
		t.Errorf("of no leads: %v %v", next, err)
	}
	now := b.clock.Now()
	var want []string
	for i, in := range []time.Duration{3 * time.Hour, time.Hour, 0, 2 * time.Hour} {
		l := b.lead(fmt.Sprintf("p%d@exemplo.com.br", i), courseA)
		if l.Due = now.Add(in); in == 0 {
			l.Due = time.Time{}
		}
		b.register(t, l)
		want = append(want, l.ID)
	}
	want = []string{want[1], want[3], want[0]}
	for limit, at := range map[int]time.Duration{1: 3 * time.Hour, 2: 2 * time.Hour, 3: 4 * time.Hour, 0: time.Hour - time.Millisecond} {
		leads, err := b.Store.Due(b.ctx, now.Add(at), max(limit, 1))
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, l := range leads {
			got = append(got, l.ID)
		}
		same(t, fmt.Sprintf("due after %v", at), got, want[:limit])
	}
	if next, err := b.Store.NextDue(b.ctx); err != nil || !next.Equal(now.Add(time.Hour)) {
		t.Errorf("next due %v %v", next, err)
	}
}

func enrols(t *testing.T, b *bench) {
	enrolled := map[string]bool{}
	for _, l := range []struct {
		email, course string
		want          bool
	}{
		{"ana@exemplo.com.br", courseA, true}, {"ana@exemplo.com.br", "", true}, {"ana@exemplo.com.br", courseB, false},
		{"outra@exemplo.com.br", courseA, true}, {"bia@exemplo.com.br", courseA, false},
	} {
		enrolled[b.register(t, b.lead(l.email, l.course)).Lead.ID] = l.want
	}
	e := bus.Event{ID: b.ids.New()}
	what := app.Enrolment{CourseID: courseA, At: b.clock.Now(),
		Emails: []string{"ana@exemplo.com.br", "outra@exemplo.com.br"}, Digests: []string{"da", "do"}}
	for try := range 2 {
		if err := b.Store.Enrol(b.ctx, "marketing.matriculas", e, what); err != nil {
			t.Fatal(err)
		}
		for id, want := range enrolled {
			l := b.get(t, id)
			if (l.State() == lead.Enrolled) != want || l.Due.IsZero() != want {
				t.Errorf("delivery %d: %s for %q is %s, due %v", try+1, l.Email, l.CourseID, l.State(), l.Due)
			}
			if want && l.Version != 2 {
				t.Errorf("delivery %d: version %d", try+1, l.Version)
			}
		}
		b.clock.Jump(time.Hour)
	}
}

func remembersEnrolment(t *testing.T, b *bench) {
	for _, course := range []string{courseA, courseA} { // two events, one fact
		what := app.Enrolment{CourseID: course, At: b.clock.Now(), Emails: []string{"ana@exemplo.com.br"}, Digests: []string{"da"}}
		if err := b.Store.Enrol(b.ctx, "marketing.matriculas", bus.Event{ID: b.ids.New()}, what); err != nil {
			t.Fatal(err)
		}
	}
	for q, want := range map[[2]string]bool{{"da", courseA}: true, {"da", ""}: true, {"da", courseB}: false, {"db", courseA}: false, {"db", ""}: false} {
		if got, err := b.Store.IsEnrolled(b.ctx, q[0], q[1]); err != nil || got != want {
			t.Errorf("%v: %v %v", q, got, err)
		}
	}
	if strings.Contains(b.Dump(t), "ana@") {
		t.Error("the address of somebody who is no lead is kept")
	}
}

func erases(t *testing.T, b *bench) {
	l := b.lead("ana@exemplo.com.br", courseA)
	if _, err := b.Store.Register(b.ctx, l, key("k1", "b1"), numbered(l.ID, 1)); err != nil {
		t.Fatal(err)
	}
	other := b.register(t, b.lead("ana@exemplo.com.br", "")).Lead
	kept := b.register(t, b.lead("bia@exemplo.com.br", courseA)).Lead
	what := app.Enrolment{CourseID: courseB, At: b.clock.Now(), Emails: []string{"ana@exemplo.com.br"}, Digests: []string{"digest-of-ana"}}
	if err := b.Store.Enrol(b.ctx, "marketing.matriculas", bus.Event{ID: b.ids.New()}, what); err != nil {
		t.Fatal(err)
	}
	farewell := func(l lead.Lead) []outbox.Message { return []outbox.Message{event(l.ID)} }
	for range 2 {
		if err := b.Store.EraseAddress(b.ctx, "ana@exemplo.com.br", "digest-of-ana", farewell); err != nil {
			t.Fatal(err)
		}
	}
	dump := b.Dump(t)
	for _, trace := range []string{"ana@exemplo.com.br", "digest-of-ana", `"k1"`, "LembreteDevido"} {
		if strings.Contains(dump, trace) {
			t.Errorf("%s is still in the store", trace)
		}
	}
	if !strings.Contains(dump, "bia@exemplo.com.br") {
		t.Error("somebody else was erased, or the dump shows nothing")
	}
	for _, id := range []string{l.ID, other.ID} {
		if _, err := b.Store.Get(b.ctx, id); !errors.Is(err, app.ErrNotFound) {
			t.Errorf("get: %v", err)
		}
		if _, err := b.Store.Update(b.ctx, id, func(*lead.Lead) ([]outbox.Message, error) { return nil, nil }); !errors.Is(err, app.ErrNotFound) {
			t.Errorf("update: %v", err)
		}
	}
	var subjects []string
	for _, e := range b.pending(t) {
		subjects = append(subjects, e.Event.Subject)
	}
	slices.Sort(subjects)
	want := []string{l.ID, other.ID, kept.ID}
	slices.Sort(want)
	same(t, "events that wait", subjects, want)
	if err := b.Source.Done(b.ctx, b.pending(t)); err != nil {
		t.Fatal(err)
	}
	if leads, err := b.Store.List(b.ctx, "", 10); err != nil || len(leads) != 1 {
		t.Errorf("%d leads are left, %v", len(leads), err)
	}
	if r := b.register(t, b.lead("ana@exemplo.com.br", courseA)); !r.New || r.Lead.ID == l.ID {
		t.Errorf("after the erasure a registration gives %+v", r)
	}
	if _, ok, err := b.Store.Replayed(b.ctx, *key("k1", "b1")); ok || err != nil {
		t.Errorf("a key of the erased: %v %v", ok, err)
	}
}

func relays(t *testing.T, b *bench) {
	var ids []string
	for i := range 3 {
		l := b.register(t, b.lead(fmt.Sprintf("p%d@exemplo.com.br", i), courseA)).Lead
		ids = append(ids, l.ID)
	}
	select {
	case <-b.Source.Wake():
	default:
		t.Error("no wake-up after events were stored")
	}
	for n := range 2 {
		if _, err := b.Store.Update(b.ctx, ids[0], func(l *lead.Lead) ([]outbox.Message, error) {
			return []outbox.Message{numbered(l.ID, n+1)}, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	var order []string
	for {
		entries, err := b.Source.Pending(b.ctx, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		if len(entries) > 2 {
			t.Fatalf("%d events, 2 were asked for", len(entries))
		}
		for _, e := range entries {
			if e.Event.Subject == ids[0] {
				order = append(order, e.Event.Sequence)
			}
		}
		for range 2 { // forgetting twice is no error
			if err := b.Source.Done(b.ctx, entries); err != nil {
				t.Fatal(err)
			}
		}
	}
	same(t, "sequence of one lead's events", order, []string{"1", "2", "3"})
	lease, err := b.Source.Lease(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := lease.Release(); err != nil {
		t.Error(err)
	}
}

func cancelled(t *testing.T, b *bench) {
	b.register(t, b.lead("bia@exemplo.com.br", courseA)) // the store is in use
	ctx, cancel := context.WithCancel(b.ctx)
	cancel()
	l := b.lead("ana@exemplo.com.br", courseA)
	if r, err := b.Store.Register(ctx, l, nil, event(l.ID)); err == nil {
		t.Errorf("register: %+v", r)
	}
	if leads, err := b.Store.SameAddress(b.ctx, l.Email); err != nil || len(leads) != 0 {
		t.Errorf("%d leads, %v", len(leads), err)
	}
}
