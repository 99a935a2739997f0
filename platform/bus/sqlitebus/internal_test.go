package sqlitebus

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"trama/platform/bus"
	"trama/platform/fault"
)

// No query of the consumers walks through the log.
func TestQueriesSearchByIndex(t *testing.T) {
	b, err := Open(t.Context(), Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	types := []string{"a", "b"}
	for name, q := range map[string]struct {
		query bus.Query
		text  string // in place of query
		args  []any
	}{
		"all":                {query: bus.Query{}},
		"types":              {query: bus.Query{Types: types}},
		"subject":            {query: bus.Query{Subject: "s"}},
		"subject and types":  {query: bus.Query{Subject: "s", Types: types}},
		"id":                 {query: bus.Query{ID: "i"}},
		"id, subject, types": {query: bus.Query{ID: "i", Subject: "s", Types: types}},
		"backlog":            {text: sqlBacklog, args: []any{"s"}},
		"last":               {text: sqlLast},
	} {
		if q.text == "" {
			q.text, q.args = sqlWalk(q.query)
			q.args = append([]any{0, 10, 5}, q.args...)
		}
		rows, err := b.reads.Query("EXPLAIN QUERY PLAN "+q.text, q.args...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for rows.Next() {
			var a, b, c int
			var step string
			if err := rows.Scan(&a, &b, &c, &step); err != nil {
				t.Fatal(err)
			}
			if step == "SCAN e" || strings.HasPrefix(step, "SCAN event") && name != "last" || strings.Contains(step, "TEMP B-TREE") && name != "types" {
				t.Errorf("%s: %s", name, step)
			}
		}
		rows.Close()
	}
}

// A full disk makes Publish Unavailable, and is over when there is room again.
func TestFullDiskHeals(t *testing.T) {
	b, err := Open(t.Context(), Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got := make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- b.Read(ctx, bus.Query{Follow: true}, func(e bus.LogEntry) error { got <- e.Event.ID; return nil })
	}()
	event := func(id string, size int) bus.Event {
		return bus.Event{SpecVersion: "1.0", ID: id, Source: "/teste", Type: "t", Subject: "s", Time: b.clock.Now(),
			DataContentType: "application/json", Data: []byte(`"` + strings.Repeat("x", size) + `"`)}
	}
	if err := b.Publish(t.Context(), event("1", 10)); err != nil {
		t.Fatal(err)
	}
	// SQLITE_FULL as from the operating system; the limit belongs to the connection.
	err = b.writer.do(t.Context(), &job{apply: func(execer) error {
		_, err := b.writer.conn.ExecContext(context.Background(), "PRAGMA max_page_count = 1")
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), event("2", 1<<19)); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Fatalf("with a full disk: %v, want Unavailable", err)
	}
	if err := b.Publish(t.Context(), event("2", 1<<19), event("3", 10)); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	for _, want := range []string{"1", "2", "3"} {
		if id := <-got; id != want {
			t.Errorf("got event %s, want %s", id, want)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Events another process wrote in between make the tail start anew; a consumer
// that has not read them goes to the file.
func TestTailNoticesForeignEvents(t *testing.T) {
	entries := func(from, to int64, typ string) (out []entry) {
		for seq := from; seq <= to; seq++ {
			out = append(out, entry{seq: seq, rec: &record{typ: typ}})
		}
		return out
	}
	take := func(tl *tail, r *reader, want int, wantOK bool) {
		t.Helper()
		got, ok := tl.take(r, 1000)
		if len(got) != want || ok != wantOK {
			t.Errorf("took %d entries, %t; want %d, %t", len(got), ok, want, wantOK)
		}
	}
	tl := newTail(10)
	r := tl.join([]string{"a"}, 10)
	take(tl, r, 0, true)
	tl.append(10, 12, entries(11, 12, "b"))
	if tl.place(r) != 12 {
		t.Errorf("an idle reader stands at %d, want 12: what it does not want passes by", tl.place(r))
	}
	tl.append(12, 13, entries(13, 13, "a"))
	<-r.wake
	take(tl, r, 1, true)
	tl.append(15, 16, entries(16, 16, "b")) // 14 and 15 are foreign
	<-r.wake
	take(tl, r, 0, false)
	tl.moved(r, 16)
	take(tl, r, 0, true)
	tl.announce(20)
	<-r.wake
	take(tl, r, 0, false)
	tl.moved(r, 20)
	tl.append(10, 12, entries(11, 12, "a")) // told late: already known to be in the file
	take(tl, r, 0, true)
	tl.append(20, 20+2*tailEvents, entries(21, 20+2*tailEvents, "a"))
	take(tl, r, 0, false) // forgotten meanwhile
	if len(tl.entries) != tailEvents {
		t.Errorf("%d entries kept, want %d", len(tl.entries), tailEvents)
	}
}
