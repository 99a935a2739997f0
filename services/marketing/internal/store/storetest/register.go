package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trama/platform/idempotency"
	"trama/services/marketing/internal/app"
)

func registers(t *testing.T, b *bench) {
	for i, name := range []string{"Ana Souza", "'; DROP TABLE lead; --", "Zoë 🎓 <b>\"&'", "$set", strings.Repeat("é", 120)} {
		l := b.lead(fmt.Sprintf("p%d@exemplo.com.br", i), courseA)
		l.Name, l.CourseTitle, l.Origin = name, "Confeitaria: do básico ao $inc", "a'b\"c"
		r := b.register(t, l)
		l.Version = 1
		same(t, "registered", r, app.Registered{Lead: l, New: true})
		same(t, "read back", b.get(t, l.ID), l)
	}
	if n := len(b.pending(t)); n != 5 {
		t.Errorf("%d events wait, want 5", n)
	}
	first := b.pending(t)[0].Event
	if first.Source != "/marketing" || first.Sequence != "1" || first.SpecVersion != "1.0" || first.ID == "" {
		t.Errorf("event %+v", first)
	}
	if _, err := b.Store.Get(b.ctx, b.ids.New()); !errors.Is(err, app.ErrNotFound) {
		t.Errorf("an unknown lead: %v", err)
	}
}

func concurrentRegistrations(t *testing.T, b *bench) {
	const n = 50
	var made atomic.Int32
	ids := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			l := b.lead("ana@exemplo.com.br", courseA)
			r, err := b.Store.Register(b.ctx, l, nil, event(l.ID))
			if err != nil {
				t.Error(err)
				return
			}
			if ids[i] = r.Lead.ID; r.New {
				made.Add(1)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("%d of %d calls made the lead", made.Load(), n)
	}
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("two leads: %s and %s", ids[0], id)
		}
	}
	if events := b.pending(t); len(events) != 1 || events[0].Event.Subject != ids[0] {
		t.Errorf("%d events wait", len(events))
	}
}

func uniqueness(t *testing.T, b *bench) {
	first := b.register(t, b.lead("ana@exemplo.com.br", courseA))
	for _, l := range [][2]string{{"ana@exemplo.com.br", courseB}, {"ana@exemplo.com.br", ""}, {"bia@exemplo.com.br", courseA}} {
		if r := b.register(t, b.lead(l[0], l[1])); !r.New {
			t.Errorf("%v is taken for another", l)
		}
	}
	again := b.lead("ana@exemplo.com.br", courseA)
	again.Name = "Alguém Outro"
	if r := b.register(t, again); r.New || r.Lead != first.Lead {
		t.Errorf("a repetition gives %+v", r)
	}
	leads, err := b.Store.SameAddress(b.ctx, "ana@exemplo.com.br")
	if err != nil || len(leads) != 3 {
		t.Errorf("%d leads of the address, %v", len(leads), err)
	}
}

func keys(t *testing.T, b *bench) {
	ask := func(k *idempotency.Key) (app.Registered, bool, error) { return b.Store.Replayed(b.ctx, *k) }
	if _, ok, err := ask(key("k1", "b1")); ok || err != nil {
		t.Fatalf("an unknown key: %v %v", ok, err)
	}
	l := b.lead("ana@exemplo.com.br", courseA)
	made, err := b.Store.Register(b.ctx, l, key("k1", "b1"), event(l.ID))
	if err != nil || !made.New {
		t.Fatal(made, err)
	}
	repeat, err := b.Store.Register(b.ctx, b.lead("ana@exemplo.com.br", courseA), key("k2", "b2"))
	if err != nil || repeat.New {
		t.Fatal(repeat, err)
	}
	for value, want := range map[string]app.Registered{"k1": made, "k2": repeat} {
		got, ok, err := ask(key(value, "b"+value[1:]))
		if err != nil || !ok || got.New != want.New || got.Lead != want.Lead {
			t.Errorf("%s replayed: %+v %v %v", value, got, ok, err)
		}
		if _, _, err := ask(key(value, "other")); !errors.Is(err, idempotency.ErrReused) {
			t.Errorf("%s with another body: %v", value, err)
		}
	}
	otherScope := *key("k1", "b1")
	otherScope.Scope = "POST /v1/marketing/leads operador"
	if _, ok, err := ask(&otherScope); ok || err != nil {
		t.Errorf("another caller's key: %v %v", ok, err)
	}
	if l := b.get(t, made.Lead.ID); l.Version != 1 {
		t.Errorf("a repetition changed the lead: version %d", l.Version)
	}
}

func expiredKeys(t *testing.T, b *bench) {
	for i, course := range []string{courseA, courseB} { // the same key, a day apart, for two leads
		l := b.lead("ana@exemplo.com.br", course)
		k := key("k", course)
		if _, ok, err := b.Store.Replayed(b.ctx, *k); ok || err != nil {
			t.Fatalf("use %d: %v %v", i+1, ok, err)
		}
		if r, err := b.Store.Register(b.ctx, l, k, event(l.ID)); err != nil || !r.New {
			t.Fatalf("use %d: %+v %v", i+1, r, err)
		}
		b.clock.Jump(idempotency.Life + time.Second)
	}
}

func concurrentKeys(t *testing.T, b *bench) {
	const n = 10
	var made, lost atomic.Int32
	var wg sync.WaitGroup
	for i := range n { // one key, ten different bodies, as ten processes would send them
		wg.Go(func() {
			l := b.lead(fmt.Sprintf("p%d@exemplo.com.br", i), courseA)
			r, err := b.Store.Register(b.ctx, l, key("k", l.Email), event(l.ID))
			switch {
			case err == nil && r.New:
				made.Add(1)
			case errors.Is(err, idempotency.ErrRace):
				lost.Add(1)
			default:
				t.Errorf("%+v %v", r, err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 || lost.Load() != n-1 {
		t.Errorf("%d made, %d lost the race", made.Load(), lost.Load())
	}
	if leads, err := b.Store.List(b.ctx, "", 100); err != nil || len(leads) != 1 {
		t.Errorf("%d leads, %v", len(leads), err)
	}
}
