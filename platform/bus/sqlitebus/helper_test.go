package sqlitebus_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/sqlitebus"
	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/parking"
	"trama/platform/store/migration"
	"trama/platform/store/sqlitestore"
)

// quiet logs to the test's own output, shown only when it fails or with -v.
func quiet(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func open(t testing.TB, dir string) *sqlitebus.Bus {
	t.Helper()
	return openWith(t, sqlitebus.Options{Dir: dir})
}

func openWith(t testing.TB, opt sqlitebus.Options) *sqlitebus.Bus {
	t.Helper()
	opt.Logger = quiet(t)
	b, err := sqlitebus.Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// openLot opens the parking in a folder, which several processes may share.
func openLot(ctx context.Context, dir string) (*parking.Lot, func() error, error) {
	db, err := sqlitestore.Open(ctx, sqlitestore.Options{Path: filepath.Join(dir, "consumidor.db")})
	if err != nil {
		return nil, nil, err
	}
	if _, err := migration.Run(ctx, db, "platform", outbox.Schema()); err != nil {
		return nil, nil, err
	}
	return parking.New(db, clock.System{}, "teste"), db.Close, nil
}

func lot(t testing.TB, dir string) *parking.Lot {
	t.Helper()
	p, closeLot, err := openLot(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closeLot() })
	return p
}

func publish(t testing.TB, b bus.Bus, events ...bus.Event) {
	t.Helper()
	if err := b.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

// subscribe fills in what a test does not care about.
func subscribe(t testing.TB, b bus.Bus, s bus.Subscription) bus.Consumer {
	t.Helper()
	if s.Types == nil {
		s.Types = []string{bustest.TypeA}
	}
	if s.Parking == nil {
		s.Parking = lot(t, t.TempDir())
	}
	c, err := b.Subscribe(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = c.Drain(ctx)
	})
	return c
}

// series makes events from..to of four subjects.
func series(from, to int) []bus.Event {
	ids := id.New(clock.System{}, rand.Reader)
	var out []bus.Event
	for n := from; n <= to; n++ {
		for s := range 4 {
			out = append(out, bustest.NewEvent(ids, bustest.TypeA, fmt.Sprintf("s%d", s), n))
		}
	}
	return out
}

// read gives the ids of what q selects.
func read(t testing.TB, b bus.Bus, q bus.Query) (ids []string) {
	t.Helper()
	err := b.Read(t.Context(), q, func(e bus.LogEntry) error {
		ids = append(ids, e.Event.ID)
		return nil
	})
	if err != nil {
		t.Fatalf("read %+v: %v", q, err)
	}
	return ids
}

func idsOf(events ...bus.Event) (ids []string) {
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

// onFile works on the file behind the bus's back.
func onFile(t testing.TB, file string, work func(db *sql.DB) error) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := work(db); err != nil {
		t.Fatal(err)
	}
}

func query(t testing.TB, dir, text string) (n int64) {
	t.Helper()
	onFile(t, filepath.Join(dir, "bus.db"), func(db *sql.DB) error { return db.QueryRow(text).Scan(&n) })
	return n
}
