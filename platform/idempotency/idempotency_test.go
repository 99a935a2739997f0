package idempotency_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/platform/enginetest"
	"trama/platform/fault"
	"trama/platform/idempotency"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
)

func engines(t *testing.T, test func(t *testing.T, db store.DB)) {
	run := func(t *testing.T, db store.DB, err error) {
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if _, err := migration.Run(t.Context(), db, "platform", outbox.Schema()); err != nil {
			t.Fatal(err)
		}
		test(t, db)
	}
	t.Run("sqlite", func(t *testing.T) {
		db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(t.TempDir(), "s.db")})
		run(t, db, err)
	})
	t.Run("postgres", func(t *testing.T) {
		db, err := pgstore.Open(t.Context(), pgstore.Options{URL: enginetest.PostgresDatabase(t)})
		run(t, db, err)
	})
}

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func save(ctx context.Context, db store.DB, k idempotency.Key, resource string, at time.Time) error {
	return db.Update(ctx, func(tx store.Tx) error {
		return idempotency.Save(ctx, tx, k, idempotency.Answer{Status: 202, Resource: resource, Body: []byte(`{"a":1}`)}, at)
	})
}

func TestSameKeySameBodySameAnswer(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		k := idempotency.Key{Scope: "POST /x", Value: "k", Request: "digest"}
		if _, ok, err := idempotency.Find(t.Context(), db, k, now); ok || err != nil {
			t.Fatalf("a new key: %v, %v", ok, err)
		}
		if err := save(t.Context(), db, k, "r1", now); err != nil {
			t.Fatal(err)
		}
		a, ok, err := idempotency.Find(t.Context(), db, k, now.Add(time.Hour))
		if err != nil || !ok || a.Status != 202 || a.Resource != "r1" || string(a.Body) != `{"a":1}` {
			t.Errorf("got %+v, %v, %v", a, ok, err)
		}
		other := k
		other.Request = "another body"
		if _, _, err := idempotency.Find(t.Context(), db, other, now); !errors.Is(err, idempotency.ErrReused) {
			t.Errorf("another body: %v", err)
		}
		if err := save(t.Context(), db, k, "r2", now); !errors.Is(err, idempotency.ErrRace) {
			t.Errorf("a second commit: %v", err)
		}
	})
}

func TestKeysLive24Hours(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		k := idempotency.Key{Scope: "s", Value: "k", Request: "d"}
		if err := save(t.Context(), db, k, "old", now); err != nil {
			t.Fatal(err)
		}
		if _, ok, _ := idempotency.Find(t.Context(), db, k, now.Add(24*time.Hour)); ok {
			t.Error("the key lives longer than 24 h")
		}
		if err := save(t.Context(), db, k, "new", now.Add(24*time.Hour)); err != nil {
			t.Errorf("an expired key may be used again: %v", err)
		}
		if n, err := idempotency.Purge(t.Context(), db, now.Add(49*time.Hour)); err != nil || n != 1 {
			t.Errorf("purged %d, %v", n, err)
		}
	})
}

func TestOneOfManyCommitsWins(t *testing.T) {
	engines(t, func(t *testing.T, db store.DB) {
		k := idempotency.Key{Scope: "s", Value: "k", Request: "d"}
		var wg sync.WaitGroup
		var mu sync.Mutex
		won, lost := 0, 0
		for range 16 {
			wg.Go(func() {
				err := save(t.Context(), db, k, "r", now)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
				case errors.Is(err, idempotency.ErrRace):
					lost++
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won != 1 || lost != 15 {
			t.Errorf("%d won, %d lost", won, lost)
		}
	})
}

// guard gives a middleware in front of h that answers with the fault's status.
func guard(h http.HandlerFunc) http.Handler {
	fail := func(w http.ResponseWriter, _ *http.Request, err error) {
		f := fault.As(err)
		http.Error(w, f.Code, f.Kind.Status())
	}
	g := idempotency.NewGuard([]byte("secret"), func(context.Context) string { return "" }, fail)
	return g.Middleware(h)
}

func post(h http.Handler, key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/x", strings.NewReader(body))
	if key != "-" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestMiddlewarePutsTheKeyAndKeepsTheBody(t *testing.T) {
	var keys []idempotency.Key
	h := guard(func(w http.ResponseWriter, r *http.Request) {
		if k, ok := idempotency.FromContext(r.Context()); ok {
			keys = append(keys, k)
		}
		_, _ = io.Copy(w, r.Body)
	})
	for _, body := range []string{"a", "a", "b"} {
		if w := post(h, "key-1", body); w.Body.String() != body {
			t.Errorf("the handler read %q", w.Body)
		}
	}
	post(h, "-", "a")
	if len(keys) != 3 || keys[0] != keys[1] || keys[0].Request == keys[2].Request || keys[0].Scope != keys[2].Scope {
		t.Errorf("keys %+v", keys)
	}
	for _, k := range keys {
		if strings.Contains(k.Request, "a") && len(k.Request) != 64 {
			t.Errorf("the body shows in %q", k.Request)
		}
	}
}

func TestBadHeadersAreRefused(t *testing.T) {
	h := guard(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
	for _, key := range []string{"", " ", "a b", "é", strings.Repeat("x", 256)} {
		if w := post(h, key, "{}"); w.Code != 400 {
			t.Errorf("%q: %d", key, w.Code)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
	r.Header["Idempotency-Key"] = []string{"a", "b"}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 400 {
		t.Errorf("two headers: %d", w.Code)
	}
}

func TestSecondRequestMeanwhileIsConflict(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	h := guard(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-leave })
	done := make(chan struct{})
	go func() { defer close(done); post(h, "k", "{}") }()
	<-entered
	if w := post(h, "k", "{}"); w.Code != 409 {
		t.Errorf("meanwhile: %d", w.Code)
	}
	close(leave)
	<-done
	go func() { <-entered }()
	if w := post(h, "k", "{}"); w.Code != 200 {
		t.Errorf("afterwards: %d", w.Code)
	}
}
