package sqlitebus

import (
	"sort"
	"sync"

	"trama/platform/bus/lane"
	"trama/platform/clock"
)

// exception is a row of the table of that name, to be written.
type exception struct {
	subject  string
	dead     bool
	attempts int
	due      int64
	kind     string
	reason   string
	parkedAt int64
}

// books is what one consumer knows of its events: which are settled, what must
// be written down. Workers report to it, flush writes it.
//
// An event is either tracked (it came from the log, above the cursor) or kept (it
// has a row in the table). Settling a tracked one lets the low-water mark rise;
// a row and the mark that passes it are always committed together.
type books struct {
	clock clock.Clock

	mu      sync.Mutex
	flight  []flight // tracked and at or above the low-water mark, in order of seq
	offered int64    // every event of the log up to here is tracked, kept or done
	cursor  int64    // as last written
	rows    map[int64]exception
	writing map[int64]exception // rows of the flush under way
	drops   map[int64]bool
	kept    map[int64]bool // those in the dispatcher's hand that have a row
	freed   []freed        // subjects whose kept head is settled
	free    chan struct{}
}

type flight struct {
	seq     int64
	subject string
	settled bool
}

// freed says that the subject's kept events up to seq are settled.
type freed struct {
	subject string
	after   int64
}

func newBooks(c clock.Clock) *books {
	return &books{clock: c, rows: map[int64]exception{}, drops: map[int64]bool{},
		kept: map[int64]bool{}, free: make(chan struct{}, 1)}
}

// start takes over the state of the subscription: its cursor, and the subjects
// with kept events.
func (b *books) start(cursor int64, waiting []freed) {
	b.mu.Lock()
	b.offered, b.cursor, b.freed = cursor, cursor, waiting
	b.mu.Unlock()
}

// track notes an event before it is offered to the dispatcher.
func (b *books) track(seq int64, subject string) {
	b.mu.Lock()
	b.flight = append(b.flight, flight{seq: seq, subject: subject})
	b.offered = max(b.offered, seq)
	b.mu.Unlock()
}

// passed notes that there is nothing more of interest up to seq.
func (b *books) passed(seq int64) {
	b.mu.Lock()
	b.offered = max(b.offered, seq)
	b.mu.Unlock()
}

// resumed notes that an event that has a row is given to the dispatcher, or was
// refused by it.
func (b *books) resumed(seq int64, inHand bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if inHand {
		b.kept[seq] = true
	} else {
		delete(b.kept, seq)
	}
}

// settle is the dispatcher's report.
func (b *books) settle(x lane.Delivery, out lane.Outcome) {
	seq, subject := int64(x.Ref), x.Event.Subject
	b.mu.Lock()
	defer b.mu.Unlock()
	switch out.Verdict {
	case lane.Done:
		if !b.kept[seq] {
			b.mark(seq)
			return
		}
		delete(b.kept, seq)
		delete(b.rows, seq)
		b.drops[seq] = true
		b.release(freed{subject, seq})
	case lane.Dead:
		b.rows[seq] = exception{subject: subject, dead: true, attempts: out.Attempts, kind: out.Kind,
			reason: out.Reason, parkedAt: b.clock.Now().UnixMilli()}
		b.mark(seq)
		if b.kept[seq] {
			delete(b.kept, seq)
			b.release(freed{subject, seq})
		}
	case lane.Again:
		b.rows[seq] = exception{subject: subject, attempts: out.Attempts, due: out.Due.UnixMilli(), kind: out.Kind, reason: out.Reason}
		b.kept[seq] = true
		b.mark(seq)
	case lane.Behind:
		b.rows[seq] = exception{subject: subject}
		b.mark(seq)
	case lane.Returned:
		delete(b.kept, seq) // its row stays; a tracked one stays unsettled
	}
}

// mark settles a tracked event; of one that is not tracked there is nothing to do.
func (b *books) mark(seq int64) {
	i := sort.Search(len(b.flight), func(i int) bool { return b.flight[i].seq >= seq })
	if i < len(b.flight) && b.flight[i].seq == seq {
		b.flight[i].settled = true
	}
	n := 0
	for n < len(b.flight) && b.flight[n].settled {
		n++
	}
	b.flight = b.flight[n:]
}

func (b *books) release(f freed) {
	b.freed = append(b.freed, f)
	select {
	case b.free <- struct{}{}:
	default: // the feeder is about to look anyway
	}
}

func (b *books) takeFreed() []freed {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.freed
	b.freed = nil
	return out
}

func (b *books) giveFreed(list []freed) {
	b.mu.Lock()
	b.freed = append(list, b.freed...)
	b.mu.Unlock()
}

// low is the highest position with nothing unsettled at or below it.
func (b *books) low() int64 {
	if len(b.flight) > 0 {
		return b.flight[0].seq - 1
	}
	return b.offered
}

func (b *books) dirty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.rows) > 0 || len(b.drops) > 0 || b.low() > b.cursor
}

// unwritten counts the rows waiting for the next flush.
func (b *books) unwritten() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.rows) + len(b.drops)
}

// hides says whether a waiting row of the subject may not be in the table yet.
func (b *books) hides(subject string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, set := range []map[int64]exception{b.rows, b.writing} {
		for _, r := range set {
			if r.subject == subject && !r.dead {
				return true
			}
		}
	}
	return false
}

// page is what one flush writes.
type page struct {
	rows  map[int64]exception
	drops map[int64]bool
	low   int64
}

// take gives what must be written now. Either written or restore follows.
func (b *books) take() (page, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := page{rows: b.rows, drops: b.drops, low: b.low()}
	if len(p.rows) == 0 && len(p.drops) == 0 && p.low <= b.cursor {
		return page{}, false
	}
	b.writing = b.rows
	b.rows, b.drops = map[int64]exception{}, map[int64]bool{}
	return p, true
}

func (b *books) written(p page) {
	b.mu.Lock()
	b.writing = nil
	b.cursor = max(b.cursor, p.low)
	b.mu.Unlock()
}

// restore puts back what could not be written, unless there is newer knowledge.
func (b *books) restore(p page) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing = nil
	for seq, r := range p.rows {
		if _, newer := b.rows[seq]; !newer && !b.drops[seq] {
			b.rows[seq] = r
		}
	}
	for seq := range p.drops {
		b.drops[seq] = true // a dropped event never gets a row again
	}
}

// close turns what came back undone into rows, so that after an orderly drain the
// cursor can pass everything and nothing is delivered twice. What came back
// last, with nothing settled after it, simply stays above the cursor.
func (b *books) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := -1
	for i, f := range b.flight {
		if f.settled {
			last = i
		}
	}
	for i := 0; i < last; i++ {
		if f := &b.flight[i]; !f.settled {
			b.rows[f.seq] = exception{subject: f.subject}
			f.settled = true
		}
	}
	b.flight = b.flight[last+1:]
}
