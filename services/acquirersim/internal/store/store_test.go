package store_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"trama/platform/enginetest"
	db "trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
	"trama/services/acquirersim/internal/charge"
	"trama/services/acquirersim/internal/store"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestSQLite(t *testing.T) {
	d, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(t.TempDir(), "s.db"), Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	suite(t, d)
}

func TestPostgres(t *testing.T) {
	d, err := pgstore.Open(t.Context(), pgstore.Options{URL: enginetest.PostgresDatabase(t)})
	if err != nil {
		t.Fatal(err)
	}
	suite(t, d)
}

// suite runs every statement of the ledger.
func suite(t *testing.T, d db.DB) {
	t.Cleanup(func() { _ = d.Close() })
	if _, err := migration.Run(t.Context(), d, "acquirersim", store.Migrations()); err != nil {
		t.Fatal(err)
	}
	l := store.New(d)
	t.Run("one key is one charge", func(t *testing.T) { oneKey(t, l) })
	t.Run("notices are kept until delivered", func(t *testing.T) { notices(t, l) })
	t.Run("lists", func(t *testing.T) { lists(t, l) })
}

func pix(id, key string, expires time.Time) charge.Charge {
	return charge.Charge{ID: id, Key: key, Method: charge.Pix, State: charge.Pending, Amount: 129900, Installments: 1, Code: "0002", Reason: "",
		ExpiresAt: expires, CreatedAt: noon, UpdatedAt: noon}
}

func oneKey(t *testing.T, l *store.Ledger) {
	ctx := t.Context()
	var wg sync.WaitGroup
	var mu sync.Mutex
	fresh := 0
	for i := range 8 {
		wg.Go(func() {
			c := pix("a"+string(rune('0'+i)), "key-a", noon)
			got, isFresh, err := l.Make(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || got.Key != "key-a" {
				t.Errorf("%+v %v", got, err)
			}
			if isFresh {
				fresh++
			}
		})
	}
	wg.Wait()
	if fresh != 1 {
		t.Errorf("%d charges for one key", fresh)
	}
	byKey, err := l.Get(ctx, "key-a")
	if err != nil {
		t.Fatal(err)
	}
	if byID, err := l.Get(ctx, byKey.ID); err != nil || byID != byKey || byID != pix(byKey.ID, "key-a", noon) {
		t.Errorf("%+v %v", byID, err)
	}
	if _, err := l.Get(ctx, "none"); !errors.Is(err, charge.ErrNotFound) {
		t.Errorf("%v", err)
	}
	boom := errors.New("boom")
	if _, err := l.Update(ctx, "key-a", func(c *charge.Charge) (*store.Notice, error) { c.State = charge.Approved; return nil, boom }); !errors.Is(err, boom) {
		t.Errorf("%v", err)
	}
	if c, err := l.Get(ctx, "key-a"); err != nil || c.State != charge.Pending {
		t.Errorf("a failed change was kept: %+v %v", c, err)
	}
}

func notices(t *testing.T, l *store.Ledger) {
	ctx := t.Context()
	if _, _, err := l.Make(ctx, pix("b1", "key-b", noon.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	notice := store.Notice{ID: "n1", ChargeID: "b1", Body: `{"x":"é"}`, NextAt: noon}
	if _, err := l.Update(ctx, "key-b", func(c *charge.Charge) (*store.Notice, error) {
		_, err := c.Pay(noon)
		return &notice, err
	}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-l.Wake():
	default:
		t.Error("nobody was woken")
	}
	due := func(at time.Time, want int) []store.Notice {
		t.Helper()
		got, err := l.Notices(ctx, at, at.Add(time.Hour), 10)
		if err != nil || len(got) != want {
			t.Fatalf("%v %v, want %d", got, err, want)
		}
		return got
	}
	due(noon.Add(-time.Second), 0)
	if got := due(noon, 1); got[0] != notice {
		t.Errorf("%+v", got[0])
	}
	if err := l.Postpone(ctx, "n1", noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	due(noon, 0)
	if got := due(noon.Add(time.Minute), 1); got[0].Attempts != 1 {
		t.Errorf("%+v", got[0])
	}
	if err := l.Delivered(ctx, "n1"); err != nil {
		t.Fatal(err)
	}
	due(noon.Add(time.Hour), 0)
}

func lists(t *testing.T, l *store.Ledger) {
	ctx := t.Context()
	for _, c := range []charge.Charge{pix("c1", "key-c1", noon), pix("c2", "key-c2", noon.Add(-time.Hour)), pix("c3", "key-c3", noon.Add(time.Hour))} {
		if _, _, err := l.Make(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	ids := func(list []charge.Charge, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		out := ""
		for _, c := range list {
			if c.ID[0] == 'c' {
				out += c.ID
			}
		}
		return out
	}
	if got := ids(l.List(ctx, store.Filter{Limit: 2})); got != "c3c2" {
		t.Errorf("newest: %s", got)
	}
	if got := ids(l.List(ctx, store.Filter{State: charge.Pending, Before: "c3", Limit: 9})); got != "c2c1" {
		t.Errorf("pending before c3: %s", got)
	}
	if got := ids(l.List(ctx, store.Filter{State: charge.Approved, Key: "key-c1", Limit: 9})); got != "" {
		t.Errorf("approved: %s", got)
	}
	if got := ids(l.Due(ctx, noon, 9)); got != "c2c1" {
		t.Errorf("due: %s", got)
	}
}
