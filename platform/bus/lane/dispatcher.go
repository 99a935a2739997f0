package lane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"trama/platform/bus"
)

// Dispatcher takes the deliveries of one term and calls handlers. A driver's
// Stream.Run gets one; it serves until that term is over.
type Dispatcher struct {
	cfg    Config
	sub    bus.Subscription
	stream Stream
	labels []slog.Attr // of every measurement
	hold   func()      // ends the term because operators ask for it

	work      context.Context // of handlers and Parking; ends when they are interrupted
	interrupt context.CancelFunc
	room      chan struct{}
	idle      chan struct{} // closed when draining and no worker is left

	mu       sync.Mutex
	lines    map[string]*line
	ready    []*line // first come first served
	alarms   alarms
	wakeAt   time.Time // when the bell looks next
	rouse    func()    // makes it look now
	workers  int
	hiring   bool // a worker is to be started soon
	held     int  // deliveries in hand
	bytes    int
	failing  int // lines whose first letter waits for another try
	blocked  int // lines with letters
	refused  bool
	draining bool
	outage   bool // the Parking did not answer last time
}

type state uint8

const (
	idle    state = iota // nothing to do, or nothing before its alarm
	ready                // in the queue of lines that want a worker
	running              // with a worker, which alone calls handler and Parking for it
)

// line is what is known of one subject. It exists while something of the subject
// is in hand or parked; of a parked one nothing but this is kept.
type line struct {
	subject string
	queue   []Delivery // in hand, in the order offered
	until   time.Time  // of its alarm; zero: none is set
	solo    int        // so many from the head are tried alone: their batch failed
	state   state
	stalls  uint8 // times in a row that the Parking did not answer for it
	blocked bool  // it has letters: of what is in hand nothing is handled
	letters bool  // they are to be looked at now
	deep    bool  // there were more of them than fit a page
	failing bool  // counted in Dispatcher.failing
	stalled bool  // does nothing before its alarm: the Parking does not answer
}

func (ln *line) ripe() bool { return !ln.stalled && (ln.letters || len(ln.queue) > 0) }

func newDispatcher(cfg Config, stream Stream, hold func()) *Dispatcher {
	d := &Dispatcher{cfg: cfg, sub: cfg.Subscription, stream: stream, hold: hold,
		labels: []slog.Attr{slog.String("subscription", cfg.Subscription.Name)},
		lines:  map[string]*line{}, rouse: func() {},
		room: make(chan struct{}, 1), idle: make(chan struct{})}
	d.work, d.interrupt = context.WithCancel(context.Background())
	return d
}

// load makes the lines of subjects that have letters, before anything is offered.
// Those that are due are left to the bell's first look, which brings them in
// portions, so that many of them do not keep new events waiting.
func (d *Dispatcher) load(list []bus.Blocked) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.cfg.Clock.Now()
	for _, b := range list {
		ln := d.line(b.Subject)
		if b.State == bus.Waiting && b.Due.After(now) {
			d.block(ln, bus.Waiting, b.Due)
		} else {
			d.block(ln, bus.Dead, time.Time{})
		}
	}
}

// Offer hands over the next delivery of the stream. False means that there is no
// room: wait for Room and offer it again. While draining everything is taken and
// Returned. Offer may be called from several goroutines, but for one subject from one.
func (d *Dispatcher) Offer(x Delivery) bool {
	subject := x.subject()
	d.mu.Lock()
	ln := d.lines[subject]
	if d.draining && ln == nil {
		d.mu.Unlock()
		d.stream.Settle(x, Returned)
		return true
	}
	if !d.draining && (d.held >= d.cfg.Window || d.bytes >= d.cfg.WindowBytes || d.failing >= d.cfg.MaxWaiting) {
		d.refused = true
		d.mu.Unlock()
		return false
	}
	if ln == nil {
		ln = d.line(subject)
	}
	ln.queue = append(ln.queue, x)
	d.held++
	d.bytes += x.bytes()
	d.wake(ln)
	d.mu.Unlock()
	return true
}

// Room receives a value after a refusal, when there is room again.
func (d *Dispatcher) Room() <-chan struct{} { return d.room }

// subject names the line of x. What is no event stands alone.
func (x *Delivery) subject() string {
	if x.Bad != nil {
		return badID(x.Body)
	}
	return x.Event.Subject
}

func (x *Delivery) bytes() int { return len(x.Body) + len(x.Event.Data) + 512 }

// badID names what is no event, so that the same bytes have the same name.
func badID(body []byte) string {
	sum := sha256.Sum256(body)
	return "mensagem-" + hex.EncodeToString(sum[:16])
}

// The methods from here on want d.mu held.

func (d *Dispatcher) line(subject string) *line {
	ln := d.lines[subject]
	if ln == nil {
		ln = &line{subject: subject}
		d.lines[subject] = ln
	}
	return ln
}

// wake gives an idle line that has something to do a place in the queue, and a
// worker.
func (d *Dispatcher) wake(ln *line) {
	if d.enqueue(ln) {
		d.staff()
	}
}

func (d *Dispatcher) enqueue(ln *line) bool {
	if ln.state != idle || !ln.ripe() {
		return false
	}
	ln.state = ready
	d.ready = append(d.ready, ln)
	return true
}

// gathering is how long less than a batch waits for a worker that is busy, before
// it gets one of its own: workers that start at once find a few events each. It is
// the machine's time: only how full batches are depends on it.
const gathering = 5 * time.Millisecond

// staff starts a worker if one more is allowed.
func (d *Dispatcher) staff() {
	switch {
	case d.draining || d.workers >= d.sub.MaxInFlight:
	case d.sub.Batch == nil || d.workers == 0 || len(d.ready) >= d.sub.MaxBatch:
		d.workers++
		go d.worker()
	case !d.hiring:
		d.hiring = true
		time.AfterFunc(gathering, d.hire) // after the end of the term it does nothing
	}
}

// hire starts the worker that staff put off.
func (d *Dispatcher) hire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hiring = false
	if len(d.ready) > 0 && d.workers < d.sub.MaxInFlight && !d.draining {
		d.workers++
		go d.worker()
	}
}

// block notes what the first letter of a line is: dead, or waiting until due.
func (d *Dispatcher) block(ln *line, first bus.LetterState, due time.Time) {
	d.hasLetters(ln)
	ln.solo, ln.stalls = 0, 0
	d.fails(ln, first == bus.Waiting)
	ln.until = time.Time{}
	if first == bus.Waiting {
		d.alarm(ln, due)
	}
}

func (d *Dispatcher) hasLetters(ln *line) {
	if ln.blocked {
		return
	}
	ln.blocked = true
	if d.blocked++; d.blocked == 1 {
		d.rouse() // operators are asked for more often now
	}
}

// unblock notes that a line has no letters any more.
func (d *Dispatcher) unblock(ln *line) {
	if ln.blocked {
		d.blocked--
	}
	ln.blocked, ln.letters, ln.deep, ln.until, ln.stalls = false, false, false, time.Time{}, 0
	d.fails(ln, false)
}

func (d *Dispatcher) fails(ln *line, yes bool) {
	switch {
	case yes && !ln.failing:
		d.failing++
	case !yes && ln.failing:
		d.failing--
	}
	ln.failing = yes
}

// leave ends a worker's hold on a line of whose deliveries n have their verdict,
// and says whether the line wants a worker again.
func (d *Dispatcher) leave(ln *line, n int) bool {
	for i := range n {
		d.bytes -= ln.queue[i].bytes()
		ln.queue[i] = Delivery{} // let it be collected
	}
	if n > 0 {
		ln.stalls = 0
	}
	d.held -= n
	ln.queue = ln.queue[n:]
	if len(ln.queue) == 0 {
		ln.queue = nil
	}
	ln.solo = max(0, ln.solo-n)
	ln.state = idle
	if len(ln.queue) == 0 && !ln.blocked {
		delete(d.lines, ln.subject)
	}
	return d.enqueue(ln)
}

// tellRoom gives the signal after a refusal. It waits until an eighth of the
// window is free, so that driver and workers do not take turns event by event.
func (d *Dispatcher) tellRoom() {
	if !d.refused || (!d.draining && (d.held > d.cfg.Window-max(1, d.cfg.Window/8) || d.failing >= d.cfg.MaxWaiting ||
		d.bytes > d.cfg.WindowBytes-d.cfg.WindowBytes/8)) {
		return
	}
	d.refused = false
	select {
	case d.room <- struct{}{}:
	default: // one is already waiting to be seen
	}
}

// close takes nothing new: workers end with the turn they are in.
func (d *Dispatcher) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draining {
		return
	}
	d.draining = true
	if d.workers == 0 {
		close(d.idle)
	}
	d.tellRoom()
}

// abort is close that interrupts the handlers, too. Their tries do not count.
func (d *Dispatcher) abort() {
	d.close() // first: nobody must take up again what is interrupted
	d.interrupt()
}

// giveBack returns what is left in hand. No worker is there any more.
func (d *Dispatcher) giveBack() {
	d.mu.Lock()
	lines := d.lines
	d.lines = map[string]*line{}
	d.mu.Unlock()
	for _, ln := range lines {
		for _, x := range ln.queue {
			d.stream.Settle(x, Returned)
		}
	}
}

func (d *Dispatcher) closing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.draining
}

func (d *Dispatcher) busy() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.workers
}
