package lane

import (
	"container/heap"
	"context"
	"time"

	"trama/platform/bus"
)

// How often the Parking is asked for what operators did.
const (
	pollParked = time.Second     // while anything is parked
	pollEmpty  = 3 * time.Second // otherwise
	pollMore   = 100 * time.Millisecond
	wokenLimit = 1000 // subjects in one answer; more come with the next
)

// Pauses of a line for which the Parking does not answer.
const (
	firstStall   = 100 * time.Millisecond
	longestStall = 5 * time.Second
)

// alarm is the time at which a line has something to do again. It is void when
// the line's until is another one by now.
type alarm struct {
	at time.Time
	ln *line
}

// alarms is a heap by time.
type alarms []alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *alarms) Push(x any)        { *a = append(*a, x.(alarm)) }
func (a *alarms) Pop() any {
	old := *a
	last := old[len(old)-1]
	old[len(old)-1] = alarm{} // let the line be collected
	*a = old[:len(old)-1]
	return last
}

// alarm sets the line's alarm in place of the one it has. d.mu is held.
func (d *Dispatcher) alarm(ln *line, at time.Time) {
	ln.until = at
	heap.Push(&d.alarms, alarm{at, ln})
	if at.Before(d.wakeAt) {
		d.rouse()
	}
}

// bell wakes lines when they are due, and asks the Parking again and again what
// operators have woken, until ctx ends. It is the only goroutine that waits for
// time.
func (d *Dispatcher) bell(ctx context.Context) {
	var polled time.Time // zero: never
	var jitter float64
	more := false
	for ctx.Err() == nil {
		next := polled.Add(d.pollPause(more, jitter))
		if left := next.Sub(d.cfg.Clock.Now()); left <= 0 || left > pollEmpty { // the latter: the clock was set back
			more = d.poll(ctx)
			polled, jitter = d.cfg.Clock.Now(), d.cfg.Jitter()
			next = polled.Add(d.pollPause(more, jitter))
		}
		sleep, left := d.ring(ctx, next)
		_ = d.cfg.Clock.Wait(sleep, left) // over, roused or ended: look again
	}
	d.mu.Lock()
	d.rouse() // frees the last sleep
	d.mu.Unlock()
}

// ring wakes the lines whose alarm is due and gives how long to sleep.
func (d *Dispatcher) ring(ctx context.Context, poll time.Time) (sleep context.Context, left time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.cfg.Clock.Now()
	d.wakeAt = poll
	for len(d.alarms) > 0 {
		first := d.alarms[0]
		if valid := first.ln.until.Equal(first.at); valid {
			left := first.at.Sub(now)
			if left > 0 && left <= max(d.sub.MaxBackoff, longestStall) { // longer: the clock was set back
				if first.at.Before(poll) {
					d.wakeAt = first.at
				}
				break
			}
			d.rings(first.ln)
		}
		heap.Pop(&d.alarms)
	}
	d.rouse() // of the sleep before: frees it
	sleep, d.rouse = context.WithCancel(ctx)
	const tick = time.Millisecond // the clock's; to wait for less would be to spin
	return sleep, (d.wakeAt.Sub(now) + tick - 1).Truncate(tick)
}

func (d *Dispatcher) rings(ln *line) {
	ln.until = time.Time{}
	if ln.stalled {
		ln.stalled = false
	} else {
		ln.letters = ln.blocked
	}
	d.wake(ln)
}

func (d *Dispatcher) pollPause(more bool, jitter float64) time.Duration {
	d.mu.Lock()
	parked := d.blocked > 0 || d.outage
	d.mu.Unlock()
	p := pollEmpty
	switch {
	case more:
		p = pollMore
	case parked:
		p = pollParked
	}
	return p - time.Duration(jitter*float64(p)/4)
}

// poll asks the Parking what operators did, and says whether there is more to ask for.
func (d *Dispatcher) poll(ctx context.Context) (more bool) {
	list, held, err := d.sub.Parking.Woken(ctx, d.sub.Name, d.cfg.Clock.Now(), wokenLimit)
	if ctx.Err() != nil {
		return false
	}
	d.answered(err)
	if held {
		d.hold()
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range list {
		d.woken(b)
	}
	return len(list) == wokenLimit
}

// woken makes a subject's letters be looked at. Its line may be new: a replay
// parks events of subjects that were free.
func (d *Dispatcher) woken(b bus.Blocked) {
	if b.State == bus.Dead {
		return
	}
	ln := d.line(b.Subject)
	if ln.blocked && ln.state == running { // its worker sees for itself
		return
	}
	d.hasLetters(ln)
	ln.letters = true
	d.wake(ln)
}

// stall makes a line wait because the Parking does not answer, and gives the
// time when it goes on; zero when it was interrupted instead.
func (d *Dispatcher) stall(ln *line) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.work.Err() != nil {
		return time.Time{}
	}
	ln.stalls = min(ln.stalls+1, 20)
	next := d.cfg.Clock.Now().Add(pause(firstStall, longestStall, int(ln.stalls), 0, d.cfg.Jitter()))
	ln.stalled = true
	ln.letters = ln.blocked // when they are due is read again
	d.alarm(ln, next)
	return next
}
