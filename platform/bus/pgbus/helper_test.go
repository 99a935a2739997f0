package pgbus_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/pgbus"
	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/parking"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
)

// quiet logs to the test's own output, shown only when it fails or with -v.
func quiet(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func open(t testing.TB, url string) *pgbus.Bus {
	t.Helper()
	b, err := pgbus.Open(pgbus.Options{URL: url, Logger: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func publish(t testing.TB, b *pgbus.Bus, events ...bus.Event) {
	t.Helper()
	if err := b.Publish(t.Context(), events...); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

func event(typ, subject string, n int) bus.Event {
	return bustest.NewEvent(id.New(clock.System{}, rand.Reader), typ, subject, n)
}

// series makes n events, all of one subject.
func series(subject string, n int) (out []bus.Event) {
	for i := range n {
		out = append(out, event(bustest.TypeA, subject, i+1))
	}
	return out
}

// logOf reads the whole log, subjects and numbers.
func logOf(t testing.TB, b *pgbus.Bus, q bus.Query) (out []string) {
	t.Helper()
	err := b.Read(t.Context(), q, func(e bus.LogEntry) error {
		out = append(out, fmt.Sprint(e.Event.Subject, " ", bustest.Number(e.Event)))
		return nil
	})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return out
}

// follow counts how often each event comes out of the log, from now on.
type follow struct {
	mu   sync.Mutex
	seen map[string]int
}

func (f *follow) start(t testing.TB, b *pgbus.Bus, q bus.Query) {
	f.seen = map[string]int{}
	q.Follow = true
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- b.Read(ctx, q, func(e bus.LogEntry) error {
			f.mu.Lock()
			f.seen[e.Event.ID]++
			f.mu.Unlock()
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// await waits for n events and checks that none came twice.
func (f *follow) await(t testing.TB, n int) {
	t.Helper()
	bustest.Eventually(t, fmt.Sprint(n, " events followed"), func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.seen) >= n
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.seen) != n {
		t.Errorf("%d events followed, want %d", len(f.seen), n)
	}
	for id, times := range f.seen {
		if times != 1 {
			t.Errorf("event %s was read %d times", id, times)
		}
	}
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func execute(t testing.TB, c *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func number(t testing.TB, c *pgx.Conn, sql string, args ...any) (n int) {
	t.Helper()
	if err := c.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// byHand inserts an event as a foreign program would.
const byHand = `INSERT INTO trama_bus.event (id, type, subject, body) VALUES ($1, $2, $3, $4)`

func columns(t testing.TB, e bus.Event) []any {
	t.Helper()
	body, err := bus.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return []any{e.ID, e.Type, e.Subject, body}
}

// openLot opens the parking in the database, which several processes may share.
func openLot(ctx context.Context, url string) (*parking.Lot, func() error, error) {
	db, err := pgstore.Open(ctx, pgstore.Options{URL: url})
	if err != nil {
		return nil, nil, err
	}
	if _, err := migration.Run(ctx, db, "platform", outbox.Schema()); err != nil {
		return nil, nil, err
	}
	return parking.New(db, clock.System{}, "teste"), db.Close, nil
}

// subscribe starts a consumer that is drained before its parking is closed.
func subscribe(t testing.TB, b *pgbus.Bus, s bus.Subscription) bus.Consumer {
	t.Helper()
	c, err := b.Subscribe(t.Context(), s)
	if err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	t.Cleanup(func() { _ = c.Drain(context.Background()) })
	return c
}
