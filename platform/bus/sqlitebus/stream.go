package sqlitebus

import (
	"context"
	"sort"
	"sync"

	"trama/platform/bus"
	"trama/platform/bus/lane"
)

// maxAbove bounds how many events may be tracked above the cursor, so also how
// many are delivered again after a crash: a handler that takes long, while other
// subjects flow on, stops the stream at last.
const maxAbove = 1 << 16

// stream is one term of a subscription: it offers what follows the cursor, and
// keeps the low-water mark below which everything is done.
type stream struct {
	b    *Bus
	name string
	walk *walk
	room chan struct{} // the low-water mark has risen

	mu      sync.Mutex
	flight  []flight // offered and at or above the low-water mark, in order of seq
	offered int64    // every event of the log up to here is in flight or done
	cursor  int64    // as last written
}

type flight struct {
	seq  int64
	done bool
}

// openStream begins a term at the cursor.
func (b *Bus) openStream(ctx context.Context, s bus.Subscription) (lane.Stream, error) {
	x := &stream{b: b, name: s.Name, room: make(chan struct{}, 1)}
	if err := b.reads.QueryRowContext(ctx, `SELECT cursor FROM subscription WHERE name = ?`, s.Name).Scan(&x.cursor); err != nil {
		return nil, unavailable("read the cursor of "+s.Name, err)
	}
	x.offered = x.cursor
	x.walk = b.walk(bus.Query{Types: s.Types}, x.cursor)
	b.mu.Lock()
	b.streams[x] = struct{}{}
	b.mu.Unlock()
	return x, nil
}

// Run implements lane.Stream.
func (s *stream) Run(ctx context.Context, d *lane.Dispatcher) error {
	for ctx.Err() == nil {
		got, err := s.walk.next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return unavailable("read the log", err)
		}
		for _, e := range got {
			if !s.offer(ctx, d, e) {
				return nil
			}
		}
		if len(got) > 0 {
			continue
		}
		s.passed()
		select {
		case <-ctx.Done():
			s.passed()
		case <-s.walk.reader.wake:
		}
	}
	return nil
}

// offer waits for room. False: the term ends.
func (s *stream) offer(ctx context.Context, d *lane.Dispatcher, e entry) bool {
	for !s.track(e.seq) {
		select {
		case <-ctx.Done():
			return false
		case <-s.room:
		}
	}
	x := lane.Delivery{Ref: uint64(e.seq)}
	if x.Event, x.Bad = e.rec.decode(); x.Bad != nil { // the file was tampered with
		x.Body = []byte(e.rec.body)
	}
	for !d.Offer(x) {
		select {
		case <-ctx.Done():
			return false
		case <-d.Room():
		}
	}
	return true
}

// track notes an event before it is offered; false when there are too many.
func (s *stream) track(seq int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.flight) >= maxAbove {
		return false
	}
	s.flight = append(s.flight, flight{seq: seq})
	s.offered = seq
	return true
}

// passed notes that nothing up to the reader's place is left to be offered.
func (s *stream) passed() {
	place := s.b.tail.place(s.walk.reader)
	s.mu.Lock()
	s.offered = max(s.offered, place)
	s.mu.Unlock()
}

// Settle implements lane.Stream. What is Returned simply stays undone.
func (s *stream) Settle(x lane.Delivery, v lane.Verdict) {
	if v != lane.Done {
		return
	}
	seq := int64(x.Ref)
	s.mu.Lock()
	if i := sort.Search(len(s.flight), func(i int) bool { return s.flight[i].seq >= seq }); i < len(s.flight) && s.flight[i].seq == seq {
		s.flight[i].done = true
	}
	n := 0
	for n < len(s.flight) && s.flight[n].done {
		n++
	}
	s.flight = s.flight[n:]
	s.mu.Unlock()
	if n == 0 {
		return
	}
	signal(s.room)
	signal(s.b.soon)
}

// low is the highest position with nothing undone at or below it, and whether
// the cursor written down is behind it.
func (s *stream) low() (low int64, dirty bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	low = s.offered
	if len(s.flight) > 0 {
		low = s.flight[0].seq - 1
	}
	return low, low > s.cursor
}

func (s *stream) written(low int64) {
	s.mu.Lock()
	s.cursor = max(s.cursor, low)
	s.mu.Unlock()
}

// Close implements lane.Stream: the cursor is written down.
func (s *stream) Close(ctx context.Context) error {
	err := s.b.flush(ctx)
	s.b.mu.Lock()
	delete(s.b.streams, s)
	s.b.mu.Unlock()
	s.walk.close()
	return err
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // whoever listens is about to look anyway
	}
}
