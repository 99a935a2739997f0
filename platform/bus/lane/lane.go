// Package lane is the dispatcher that every bus driver stands on: it turns a
// stream of deliveries into calls of the subscription's handler, and each
// call's result into a verdict for the driver.
//
// Promises:
//
//   - Deliveries of one subject run one at a time, in the order they were
//     offered; other subjects flow on beside them. At most MaxInFlight handlers
//     run at a time.
//   - A failed delivery keeps its place at the head of its lane and is tried
//     again after a pause that doubles from Backoff up to a minute, shortened by
//     up to a quarter at random so that many do not return at once (a fault's
//     RetryAfter lengthens it, never beyond the minute). Transient kinds are
//     tried for ever; Internal, Conflict and Precondition up to MaxAttempts; the
//     other kinds cannot succeed and are dead after the first try. A panic
//     counts as Internal.
//   - Every delivery taken ends with exactly one verdict Done, Dead, Behind or
//     Returned; Again tells of a try in between.
//   - Each failure is logged once, with kind, code, trace id, attempt and the
//     time of the next try; never the event's data.
//
// Memory and the bound of waiting: without Spill the driver bounds what is
// unsettled (RabbitMQ's prefetch), and deliveries behind a waiting one use that
// window up. With Spill a subject that waits keeps only its failed head here;
// everything behind it goes back to the driver at once (Behind), which keeps it
// on disk and brings it with Resume when the head is settled, so a waiting
// subject costs one place, not the window. At most MaxWaiting subjects may wait;
// beyond that, and beyond Window deliveries or WindowBytes in hand, Offer
// refuses and Room tells when to come again: when a thousand subjects fail it is
// the work that is ill, not the event, and the log is the better place to wait.
//
// The driver owns the Dispatcher: it calls Offer, Hold, Resume and Release from
// one goroutine, and Drain once at the end.
package lane

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
)

// Delivery is one event in the driver's hand.
type Delivery struct {
	Event    bus.Event
	Ref      uint64    // the driver's own: position in the log, delivery tag
	Attempts int       // tries already spent
	Due      time.Time // not to be tried before, if it comes first of its subject; zero: now

	epoch int // of the driver's hold on it; see Forget
}

func (d Delivery) bytes() int { return len(d.Event.Data) + 512 }

// Verdict is what became of a delivery.
type Verdict uint8

// The verdicts.
const (
	Done     Verdict = iota + 1 // handled; forget it
	Dead                        // given up; park it with the reason
	Again                       // failed; still held here, tried again at Due; worth noting, no more
	Behind                      // Spill only: an earlier event of its subject waits; keep it, Resume it later
	Returned                    // drained before it was handled; deliver it again one day, no attempt spent
)

// Outcome is a verdict with its circumstances.
type Outcome struct {
	Verdict  Verdict
	Attempts int       // tries spent so far
	Due      time.Time // Again: the next try
	Kind     string    // Dead, Again: fault kind of the last try
	Reason   string    // Dead, Again: error chain of the last try, cut at 4 KiB
}

// Config of a Dispatcher. Zero values mean the defaults told here.
type Config struct {
	Subscription bus.Subscription // with its Handler; zeros as documented there
	Clock        clock.Clock      // default clock.System
	Logger       *slog.Logger     // default slog.Default()
	Jitter       func() float64   // in [0,1); default math/rand
	// Settle receives every verdict. It is called from several goroutines, for
	// one subject in order, must return soon and must not call the Dispatcher.
	Settle      func(Delivery, Outcome)
	Window      int           // deliveries in hand that are not waiting for a retry; 0: no bound here
	WindowBytes int           // bytes of event data in hand, waiting ones included; 0: no bound here
	MaxWaiting  int           // subjects waiting for a retry; 0: no bound here
	Spill       bool          // the driver keeps what is behind a waiting subject
	Grace       time.Duration // how long Drain waits for interrupted handlers; default 5 s
}

// Defaults gives s with the documented values in place of zeros.
func Defaults(s bus.Subscription) bus.Subscription {
	if s.MaxInFlight <= 0 {
		s.MaxInFlight = 32
	}
	if s.MaxAttempts <= 0 {
		s.MaxAttempts = 8
	}
	if s.Backoff <= 0 {
		s.Backoff = 200 * time.Millisecond
	}
	return s
}

type state uint8

const (
	ready    state = iota // in the queue of lanes that want a worker
	running               // its head is with a worker
	settling              // its head has left it and is being settled; the worker will move it on
	waiting               // its head waits for its next try
	parked                // Spill only: empty; the driver will Resume or Release it
)

// line is the lane of one subject. It exists while there is something in it or
// behind it.
type line struct {
	subject  string
	state    state
	queue    []Delivery // head first
	spilling bool       // the driver keeps what comes behind
}

// Dispatcher runs one subscription's handler. See the package comment.
type Dispatcher struct {
	cfg Config
	sub bus.Subscription

	work      context.Context // of the handlers; ends when Drain interrupts them
	interrupt context.CancelFunc
	timers    context.Context // of waiting heads; ends when Drain begins
	stop      context.CancelFunc
	wait      sync.WaitGroup // goroutines of waiting heads

	room chan struct{}
	idle chan struct{} // closed when draining and no worker is left

	mu       sync.Mutex
	lines    map[string]*line
	queue    []*line // ready lines, first come first served
	workers  int
	held     int // deliveries in hand, waiting heads excluded
	bytes    int
	waiters  int
	epoch    int
	draining bool
}

// New makes a dispatcher; it starts nothing until something is offered.
func New(cfg Config) *Dispatcher {
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
	if cfg.Grace <= 0 {
		cfg.Grace = 5 * time.Second
	}
	d := &Dispatcher{cfg: cfg, sub: Defaults(cfg.Subscription), lines: map[string]*line{},
		room: make(chan struct{}, 1), idle: make(chan struct{})}
	d.work, d.interrupt = context.WithCancel(context.Background())
	d.timers, d.stop = context.WithCancel(context.Background())
	return d
}

// Offer hands over the next delivery of the stream. False means that there is
// no room: wait for Room and offer it again. While draining, everything is taken
// and Returned.
func (d *Dispatcher) Offer(x Delivery) bool {
	d.mu.Lock()
	if d.draining {
		d.mu.Unlock()
		d.cfg.Settle(x, Outcome{Verdict: Returned, Attempts: x.Attempts})
		return true
	}
	ln := d.lines[x.Event.Subject]
	if ln != nil && ln.spilling {
		d.mu.Unlock()
		d.cfg.Settle(x, Outcome{Verdict: Behind, Attempts: x.Attempts})
		return true
	}
	if d.crowded() || (d.cfg.MaxWaiting > 0 && d.waiters >= d.cfg.MaxWaiting) {
		d.mu.Unlock()
		return false
	}
	if ln == nil && x.Due.After(d.cfg.Clock.Now()) {
		ln = &line{subject: x.Event.Subject}
		d.lines[ln.subject] = ln
		d.rest(ln, x)
	} else {
		d.push(ln, x)
	}
	d.mu.Unlock()
	return true
}

// Resume hands over the next delivery of a subject whose events the driver
// keeps. Only one of a subject may be in hand. False means that there is no room.
func (d *Dispatcher) Resume(x Delivery) bool {
	d.mu.Lock()
	if d.draining {
		d.mu.Unlock()
		d.cfg.Settle(x, Outcome{Verdict: Returned, Attempts: x.Attempts})
		return true
	}
	if d.crowded() {
		d.mu.Unlock()
		return false
	}
	ln := d.hold(x.Event.Subject)
	if x.Due.After(d.cfg.Clock.Now()) {
		d.rest(ln, x)
	} else {
		d.push(ln, x)
	}
	d.mu.Unlock()
	return true
}

// Hold says that the driver keeps events of the subject: what is offered for it
// goes Behind until Release. For subjects that waited when the driver started.
func (d *Dispatcher) Hold(subject string) {
	d.mu.Lock()
	d.hold(subject)
	d.mu.Unlock()
}

// Release says that the driver keeps nothing of the subject any more.
func (d *Dispatcher) Release(subject string) {
	d.mu.Lock()
	if ln := d.lines[subject]; ln != nil && ln.spilling {
		ln.spilling = false
		if ln.state == parked {
			delete(d.lines, subject)
		}
	}
	d.mu.Unlock()
}

// Room receives a value when something offered may be taken again.
func (d *Dispatcher) Room() <-chan struct{} { return d.room }

// Forget drops every delivery that is not with a handler, without a verdict,
// because the driver lost its hold on them and will receive them anew (a broken
// connection). Handlers under way go on, and their lanes stay theirs: the new
// delivery of the same event waits for the old try, which is not repeated when it
// fails (Returned) but is told when it succeeds. Not for Spill.
func (d *Dispatcher) Forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop() // wakes the waiting heads, which find themselves gone
	d.timers, d.stop = context.WithCancel(context.Background())
	for _, ln := range d.lines {
		keep := 0
		if ln.state == running {
			keep = 1
		}
		for _, x := range ln.queue[keep:] {
			d.bytes -= x.bytes()
			if ln.state != waiting {
				d.held--
			}
		}
		if ln.state == waiting {
			d.waiters--
			d.held -= len(ln.queue) - 1
		}
		ln.queue = ln.queue[:keep]
		if keep == 0 && ln.state != settling {
			delete(d.lines, ln.subject)
		}
	}
	d.queue = nil
	d.epoch++
}

// rest puts x alone into ln, to wait until it is due.
func (d *Dispatcher) rest(ln *line, x Delivery) {
	x.epoch = d.epoch
	ln.queue = append(ln.queue, x)
	d.bytes += x.bytes()
	d.sleep(ln, x.Due)
}

func (d *Dispatcher) hold(subject string) *line {
	ln := d.lines[subject]
	if ln == nil {
		ln = &line{subject: subject, state: parked}
		d.lines[subject] = ln
	}
	ln.spilling = true
	return ln
}

// push appends x to its line (made when nil) and finds the line a worker.
func (d *Dispatcher) push(ln *line, x Delivery) {
	if ln == nil {
		ln = &line{subject: x.Event.Subject, state: parked}
		d.lines[x.Event.Subject] = ln
	}
	x.epoch = d.epoch
	ln.queue = append(ln.queue, x)
	d.held++
	d.bytes += x.bytes()
	if ln.state == parked {
		d.enqueue(ln)
		d.staff()
	}
}

func (d *Dispatcher) enqueue(ln *line) {
	ln.state = ready
	d.queue = append(d.queue, ln)
}

// staff starts a worker if one more is allowed.
func (d *Dispatcher) staff() {
	if d.workers < d.sub.MaxInFlight {
		d.workers++
		go d.worker()
	}
}

func (d *Dispatcher) crowded() bool {
	return (d.cfg.Window > 0 && d.held >= d.cfg.Window) ||
		(d.cfg.WindowBytes > 0 && d.bytes >= d.cfg.WindowBytes)
}

func (d *Dispatcher) signalRoom() {
	select {
	case d.room <- struct{}{}:
	default: // one is already waiting to be seen
	}
}
