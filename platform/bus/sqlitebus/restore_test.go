package sqlitebus_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/sqlitebus"
)

// Transactions of several processes that commit in any order leave no hole that a
// reader could step over: what a live consumer and a live reader saw is what was
// acknowledged, all of it.
func TestConcurrentWritersSkipNothing(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.vivo", Handler: r.Handle(nil)})
	const others, each = 3, 600
	var children []*process
	for range others {
		children = append(children, start(t, "", "publish", dir, fmt.Sprint(each)))
	}
	neighbour := open(t, dir) // to SQLite another process
	wait := publishTogether(t, b, neighbour)
	const total = others*each + 8*120
	var seen []string
	last := ""
	err := b.Read(t.Context(), bus.Query{Follow: true, Limit: total}, func(e bus.LogEntry) error {
		if len(last) > len(e.Position) || len(last) == len(e.Position) && last >= e.Position {
			t.Errorf("position %s after %s", e.Position, last)
		}
		last = e.Position
		seen = append(seen, e.Event.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wait()
	for _, p := range children {
		for _, id := range p.read(t, each) {
			if !slices.Contains(seen, id) {
				t.Errorf("%s was acknowledged but not read", id)
			}
		}
	}
	r.AwaitDone(t, total)
	if n, successes := r.Done(); n != total || successes != total {
		t.Errorf("%d events, %d deliveries; want %d of each", n, successes, total)
	}
	r.CheckOrder(t)
	if got := read(t, neighbour, bus.Query{}); !slices.Equal(got, seen) {
		t.Error("the log read afterwards differs from the log read live")
	}
	if falls := query(t, dir, `SELECT count(*) FROM (SELECT at, lag(at) OVER (ORDER BY seq) AS before FROM event) WHERE at < before`); falls > 0 {
		t.Errorf("the time of publishing falls %d times", falls)
	}
}

// publishTogether publishes 8 × 120 events in calls of one to five, from goroutines
// of both buses.
func publishTogether(t *testing.T, buses ...*sqlitebus.Bus) (wait func()) {
	var wg sync.WaitGroup
	for g := range 8 {
		events := series(1, 30)
		for i := range events {
			events[i].Subject += fmt.Sprintf("-%d", g)
		}
		wg.Go(func() {
			for len(events) > 0 {
				n := min(1+len(events)%5, len(events))
				if err := buses[g%len(buses)].Publish(t.Context(), events[:n]...); err != nil {
					t.Error(err)
				}
				events = events[n:]
			}
		})
	}
	return wg.Wait
}

// copies are ways to bring the log to another file.
func copies() map[string]func(db *sql.DB, to string) error {
	return map[string]func(db *sql.DB, to string) error{
		"vacuum into": func(db *sql.DB, to string) error {
			_, err := db.Exec(`VACUUM INTO ?`, to)
			return err
		},
		"rows into a fresh file": func(db *sql.DB, to string) error { return copyRows(db, to, "") },
		// The end of the log, which the cursors have passed, is missing; so is the
		// sequence, or it is that of the rows.
		"rows without the end": func(db *sql.DB, to string) error { return copyRows(db, to, "seq <= 90") },
		"no row at all":        func(db *sql.DB, to string) error { return copyRows(db, to, "false") },
	}
}

// copyRows is a text dump and its execution: schema and rows of our tables, in
// an order of no meaning, and not the sequence.
func copyRows(from *sql.DB, to, events string) error {
	db, err := sql.Open("sqlite", to)
	if err != nil {
		return err
	}
	defer db.Close()
	if events == "" {
		events = "true"
	}
	for _, q := range []string{
		`SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type DESC`,
		`SELECT format('INSERT INTO event (seq, id, type, subject, body, at) VALUES (%d, %Q, %Q, %Q, %Q, %d);', seq, id, type, subject, body, at)
			FROM event WHERE ` + events + ` ORDER BY id DESC`,
		`SELECT format('INSERT INTO subscription VALUES (%Q, %Q, %d, %d);', name, types, cursor, declared_at) FROM subscription`,
	} {
		rows, err := from.Query(q)
		if err != nil {
			return err
		}
		var text strings.Builder
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				return err
			}
			text.WriteString(line)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if _, err := db.Exec(text.String()); err != nil {
			return err
		}
	}
	return nil
}

// After dump and restore the consumers go on where they were: nothing is skipped,
// nothing repeated, and no position is used twice.
func TestRestoredLogSkipsNothing(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	before := series(1, 25) // positions 1 to 100
	publish(t, b, before...)
	r := bustest.NewRecorder()
	c := subscribe(t, b, bus.Subscription{Name: "teste.copia", Handler: r.Handle(nil)})
	r.AwaitDone(t, len(before))
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, copyTo := range copies() {
		t.Run(name, func(t *testing.T) {
			to := t.TempDir()
			onFile(t, filepath.Join(dir, "bus.db"), func(db *sql.DB) error { return copyTo(db, filepath.Join(to, "bus.db")) })
			old := query(t, to, `SELECT count(*) FROM event`)
			b := open(t, to)
			after := series(26, 50)
			publish(t, b, after[:50]...)
			r := bustest.NewRecorder()
			subscribe(t, b, bus.Subscription{Name: "teste.copia", Handler: r.Handle(nil)})
			neighbour := open(t, to)
			publish(t, neighbour, after[50:]...)
			r.AwaitDone(t, len(after))
			if n, successes := r.Done(); n != len(after) || successes != n {
				t.Errorf("%d events, %d deliveries; want %d of each", n, successes, len(after))
			}
			r.CheckOrder(t)
			if first := query(t, to, fmt.Sprintf(`SELECT min(seq) FROM event WHERE id = '%s'`, after[0].ID)); first <= 100 {
				t.Errorf("position %d was used again", first)
			}
			if got := read(t, b, bus.Query{}); len(got) != int(old)+len(after) || !slices.Equal(got[old:], idsOf(after...)) {
				t.Errorf("%d events in the log, want %d old and %d new, in order", len(got), old, len(after))
			}
		})
	}
}

// A restored log is copied while others publish: the copy is a moment of the log,
// whole up to its end.
func TestCopyOfALiveLogHasNoHole(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	var acked []string
	p := start(t, "", "publish", dir, "100000")
	acked = append(acked, p.read(t, 300)...)
	to := t.TempDir()
	onFile(t, filepath.Join(dir, "bus.db"), func(db *sql.DB) error {
		_, err := db.Exec(`VACUUM INTO ?`, filepath.Join(to, "bus.db"))
		return err
	})
	p.kill()
	restored := open(t, to)
	copied := read(t, restored, bus.Query{})
	if whole := read(t, b, bus.Query{}); !slices.Equal(copied, whole[:len(copied)]) {
		t.Error("the copy is not a beginning of the log")
	}
	for _, id := range acked {
		if !slices.Contains(copied, id) {
			t.Errorf("%s was acknowledged before the copy, and is not in it", id)
		}
	}
	got := make(chan string, 4)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = restored.Read(ctx, bus.Query{After: fmt.Sprint(query(t, to, `SELECT max(seq) FROM event`)), Follow: true},
			func(e bus.LogEntry) error { got <- e.Event.ID; return nil })
	}()
	more := series(1, 1)
	publish(t, restored, more...)
	for _, e := range more {
		if id := <-got; id != e.ID {
			t.Errorf("read %s, want %s", id, e.ID)
		}
	}
}
