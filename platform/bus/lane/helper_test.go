package lane

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
)

const typ = "br.trama.teste.FatoOcorrido.v1"

var (
	errDown    = fault.New(fault.Unavailable, "teste-fora-do-ar", fault.Text{EN: "down"})
	errInvalid = fault.New(fault.Invalid, "teste-invalido", fault.Text{EN: "invalid"})
)

// source is a broker: it keeps what has no verdict Done and delivers it again in
// the next term, in order. It is also the stream of each term.
type source struct {
	mu      sync.Mutex
	log     []Delivery // Ref: index
	done    map[uint64]bool
	order   []uint64 // Done, in the order of the verdicts
	next    int      // of the present term
	more    chan struct{}
	broken  chan error
	openErr error
	opened  int
	closed  int
	refused int // times that Offer refused
}

func newSource() *source {
	return &source{done: map[uint64]bool{}, more: make(chan struct{}, 1), broken: make(chan error, 1)}
}

// publish appends deliveries and gives the ref of the last.
func (s *source) publish(xs ...Delivery) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range xs {
		x.Ref = uint64(len(s.log))
		s.log = append(s.log, x)
	}
	select {
	case s.more <- struct{}{}:
	default:
	}
	return uint64(len(s.log) - 1)
}

func (s *source) open(context.Context) (Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.openErr != nil {
		return nil, s.openErr
	}
	s.opened++
	s.next = 0
	return s, nil
}

// peek gives the next delivery that is not done.
func (s *source) peek() (Delivery, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.next < len(s.log) && s.done[uint64(s.next)] {
		s.next++
	}
	if s.next == len(s.log) {
		return Delivery{}, false
	}
	return s.log[s.next], true
}

func (s *source) Run(ctx context.Context, d *Dispatcher) error {
	for {
		x, ok := s.peek()
		wait := s.more
		if ok {
			if d.Offer(x) {
				s.mu.Lock()
				s.next++
				s.mu.Unlock()
				wait = nil
			} else {
				s.mu.Lock()
				s.refused++
				s.mu.Unlock()
				select {
				case <-ctx.Done():
					return nil
				case err := <-s.broken:
					return err
				case <-d.Room():
				}
				continue
			}
		}
		if wait == nil {
			select {
			case <-ctx.Done():
				return nil
			default:
				continue
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.broken:
			return err
		case <-wait:
		}
	}
}

func (s *source) Settle(x Delivery, v Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v == Done {
		s.done[x.Ref] = true
		s.order = append(s.order, x.Ref)
	}
}

func (s *source) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

func (s *source) closes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// left gives how many published deliveries are not done.
func (s *source) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.log) - len(s.done)
}

// deeds is a handler with an inbox: it notes effects, one for each event.
type deeds struct {
	mu      sync.Mutex
	effects []string // ids, in order; a replay's are "id@replay"
	tries   map[string]int
	events  []bus.Event
	work    func(ctx context.Context, e bus.Event, try int) error
	busy    map[string]bool
	overlap bool
}

func newDeeds(work func(ctx context.Context, e bus.Event, try int) error) *deeds {
	return &deeds{tries: map[string]int{}, busy: map[string]bool{}, work: work}
}

func (h *deeds) handle(ctx context.Context, e bus.Event) error {
	h.mu.Lock()
	h.tries[e.ID]++
	try := h.tries[e.ID]
	h.overlap = h.overlap || h.busy[e.Subject]
	h.busy[e.Subject] = true
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.busy[e.Subject] = false
		h.mu.Unlock()
	}()
	if h.work != nil {
		if err := h.work(ctx, e, try); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	id := e.ID
	if r := bus.Replay(ctx); r != "" {
		id += "@" + r
	}
	if !slices.Contains(h.effects, id) {
		h.effects = append(h.effects, id)
		h.events = append(h.events, e)
	}
	return nil
}

func (h *deeds) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.effects)
}

func (h *deeds) count(id string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tries[id]
}

// rig is a consumer under test, in a bubble.
type rig struct {
	*source
	t        *testing.T
	lot      *lot
	consumer *Consumer
	out      lockedBuffer // the log
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newRig starts a consumer. It is drained when the bubble's test ends.
func newRig(t *testing.T, cfg Config, handler bus.Handler) *rig {
	t.Helper()
	r := &rig{source: newSource(), t: t, lot: newLot()}
	r.start(cfg, handler)
	t.Cleanup(func() { r.drain() })
	return r
}

func (r *rig) start(cfg Config, handler bus.Handler) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewJSONHandler(&r.out, nil))
	}
	if cfg.Jitter == nil {
		cfg.Jitter = func() float64 { return 0 }
	}
	cfg.Process = "teste:1"
	cfg.Subscription.Name = "teste.faixa"
	cfg.Subscription.Types = []string{typ}
	cfg.Subscription.Handler = handler
	cfg.Subscription.Parking = r.lot
	r.consumer = Consume(cfg, r.source.open)
}

func (r *rig) drain() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.consumer.Drain(ctx); err != nil {
		r.t.Errorf("drain: %v", err)
	}
}

// settle lets d of the bubble pass and waits until nothing moves.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// dispatcher gives the present one, and locks it.
func (r *rig) dispatcher() (d *Dispatcher, unlock func()) {
	d = r.consumer.atWork.Load()
	d.mu.Lock()
	return d, d.mu.Unlock
}

func event(subject string, n int) bus.Event {
	return bus.Event{SpecVersion: "1.0", ID: fmt.Sprintf("%s-%d", subject, n), Source: "/teste", Type: typ, Subject: subject,
		Time: time.Now(), DataContentType: "application/json", Data: []byte(`"segredo"`)}
}

func delivery(subject string, n int) Delivery { return Delivery{Event: event(subject, n)} }

// equal fails t unless got is want.
func equal[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
