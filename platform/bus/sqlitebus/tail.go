package sqlitebus

import (
	"fmt"
	"slices"
	"sort"
	"sync"

	"trama/platform/bus"
)

// The tail keeps at most this much of the log's end in memory.
const (
	tailEvents = 1024
	tailBytes  = 4 << 20
)

// entry is one place of the log.
type entry struct {
	seq int64
	rec *record
}

// record is one event as it is stored, decoded once, by whoever needs it first.
type record struct {
	typ   string
	body  string
	once  sync.Once
	event bus.Event
	err   error
}

func (r *record) decode() (bus.Event, error) {
	r.once.Do(func() {
		r.event, r.err = bus.Decode([]byte(r.body))
		if r.err == nil && r.event.Type != r.typ {
			r.err = bus.ErrMalformed.Wrap(fmt.Errorf("event %s: stored as %s, but its type is %q", r.event.ID, r.typ, r.event.Type))
		}
	})
	return r.event, r.err
}

// tail is the end of the log: what this process published lately, gapless, and
// the position of the head. Consumers that have read so far take events from
// here; others, and all after another process has written, go to the file.
type tail struct {
	mu      sync.Mutex
	first   int64 // every event at first..last is in entries
	last    int64 // the head, as far as known
	entries []entry
	bytes   int
	readers map[*reader]struct{}
}

// reader is somebody's place in the log.
type reader struct {
	types map[string]bool // empty: all
	wake  chan struct{}
	pos   int64 // guarded by tail.mu: everything of its types up to here was handed out
	idle  bool  // guarded by tail.mu: it had read everything when it last looked
}

func newTail(head int64) *tail {
	return &tail{first: head + 1, last: head, readers: map[*reader]struct{}{}}
}

func (t *tail) join(types []string, pos int64) *reader {
	r := &reader{types: map[string]bool{}, wake: make(chan struct{}, 1), pos: pos}
	for _, typ := range types {
		r.types[typ] = true
	}
	t.mu.Lock()
	t.readers[r] = struct{}{}
	t.mu.Unlock()
	return r
}

func (t *tail) leave(r *reader) {
	t.mu.Lock()
	delete(t.readers, r)
	t.mu.Unlock()
}

// append adds what this process has just committed. before is the head that its
// transaction found, last the one it left.
func (t *tail) append(before, last int64, added []entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last <= t.last { // the follower saw this commit first: it is in the file
		return
	}
	foreign := t.last != before // others wrote in between: what is here is not gapless
	if foreign {
		t.entries, t.bytes, t.first = nil, 0, before+1
	}
	for _, e := range added {
		t.bytes += len(e.rec.body)
	}
	t.entries = append(t.entries, added...)
	t.trim()
	was := t.last
	t.last = last
	for r := range t.readers {
		if !foreign && r.idle && r.pos == was && !slices.ContainsFunc(added, r.wants) {
			r.pos = last // nothing for it: no need to wake it
			continue
		}
		signal(r.wake)
	}
}

// trim forgets the oldest entries, copying now and then so that they can be
// collected.
func (t *tail) trim() {
	n := 0
	for len(t.entries)-n > tailEvents || (t.bytes > tailBytes && n < len(t.entries)) {
		t.bytes -= len(t.entries[n].rec.body)
		t.first = t.entries[n].seq + 1
		n++
	}
	if n > 0 {
		t.entries = append([]entry(nil), t.entries[n:]...)
	}
}

// announce tells that the log's head is at least at head, because another
// process wrote.
func (t *tail) announce(head int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if head <= t.last {
		return
	}
	t.entries, t.bytes, t.first, t.last = nil, 0, head+1, head
	for r := range t.readers {
		signal(r.wake)
	}
}

// take gives r its next entries, at most limit. ok is false when the tail does
// not reach back to r's place: read the file and call moved.
func (t *tail) take(r *reader, limit int) (got []entry, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.idle = false
	if r.pos+1 < t.first {
		return nil, false
	}
	i := sort.Search(len(t.entries), func(i int) bool { return t.entries[i].seq > r.pos })
	for ; i < len(t.entries) && len(got) < limit; i++ {
		if r.wants(t.entries[i]) {
			got = append(got, t.entries[i])
		}
		r.pos = t.entries[i].seq
	}
	if i == len(t.entries) {
		r.pos = max(r.pos, t.last)
		r.idle = true
	}
	return got, true
}

// moved says that r has read the file up to pos.
func (t *tail) moved(r *reader, pos int64) {
	t.mu.Lock()
	r.pos = max(r.pos, pos)
	t.mu.Unlock()
}

func (t *tail) place(r *reader) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return r.pos
}

func (r *reader) wants(e entry) bool { return len(r.types) == 0 || r.types[e.rec.typ] }
