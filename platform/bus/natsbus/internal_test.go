package natsbus

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"trama/platform/bus"
)

// No two events of one subject are in the air at once, and each goes after those
// before it.
func TestChunks(t *testing.T) {
	var events []bus.Event
	for i := range 3000 {
		events = append(events, bus.Event{Subject: fmt.Sprint(i * i % 700)})
	}
	for range 5 {
		events = append(events, bus.Event{Subject: "0"})
	}
	at, seen := map[string]int{}, 0
	last := map[string]int{}
	for n, chunk := range chunks(events) {
		if len(chunk) == 0 || len(chunk) > chunkEvents {
			t.Errorf("chunk %d of %d events", n, len(chunk))
		}
		for _, i := range chunk {
			s := events[i].Subject
			if before, ok := at[s]; ok && (before >= n || last[s] > i) {
				t.Fatalf("subject %s: event %d in chunk %d after %d in %d", s, i, n, last[s], before)
			}
			at[s], last[s] = n, i
			seen++
		}
	}
	if seen != len(events) {
		t.Errorf("%d events in chunks, want %d", seen, len(events))
	}
}

func TestProgress(t *testing.T) {
	at := func(seq uint64) place { return place{Seq: seq, Stored: time.Unix(int64(seq), 0)} }
	p := newProgress(at(4))
	is := func(want uint64) {
		t.Helper()
		if got := p.mark(); got != at(want) {
			t.Fatalf("mark %d, want %d", got.Seq, want)
		}
	}
	p.see(at(5), true)
	is(5) // nothing in hand
	for _, seq := range []uint64{6, 8, 9} {
		p.see(at(seq), false)
	}
	p.see(at(10), true)
	p.done(8)
	p.done(7) // never seen
	is(5)
	p.done(6)
	is(8)
	select {
	case <-p.room:
	default:
		t.Error("no word of room")
	}
	p.done(9)
	is(10) // with what was skipped behind it
	for seq := range uint64(spread) {
		if p.full() {
			t.Fatalf("full with %d", seq)
		}
		p.see(at(11+seq), false)
	}
	if !p.full() {
		t.Error("never full")
	}
}

// Different types have different subjects, each with tokens that are not empty.
func TestSubjects(t *testing.T) {
	b := &Bus{opt: Options{Prefix: "x"}}
	for typ, want := range map[string]string{
		"br.trama.A_b-9.v1": "x.ev.br.trama.A_b-9.v1", ".a..b.": "x.ev.%2Ea.%2Eb%2E", "a b>*": "x.ev.a%20b%3E%2A", "é": "x.ev.%C3%A9", "%20": "x.ev.%2520",
	} {
		if got := b.subjectOf(typ); got != want {
			t.Errorf("%s: %s, want %s", typ, got, want)
		}
	}
	if !slices.Equal([]string{cursorKey("a.b"), cursorKey("a..b.")}, []string{"a/b", "a//b/"}) {
		t.Error("cursor keys changed: subscriptions would begin anew")
	}
}
