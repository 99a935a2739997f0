package lane

import (
	"context"
	"fmt"
	"slices"

	"trama/platform/bus"
)

// pageSize is how many letters of a subject are read at once.
const pageSize = 16

// workLetters tries the first letters of a subject, in order, until one fails,
// is not due or is dead. A page that was handled to its end leaves the line to be
// looked at once more; when nothing is left the subject is free.
func (d *Dispatcher) workLetters(t *turn) {
	ln := t.shares[0].ln
	page, err := d.sub.Parking.Front(d.work, d.sub.Name, ln.subject, pageSize)
	if d.answered(err); err != nil {
		d.stall(ln)
		return
	}
	if len(page) == 0 {
		d.mu.Lock()
		d.unblock(ln)
		d.mu.Unlock()
		return
	}
	var handled []string // not removed yet
	for i := range page {
		l := &page[i]
		if !d.due(l) {
			if d.remove(ln, handled) {
				d.mu.Lock()
				d.block(ln, l.State, l.Due)
				d.mu.Unlock()
			}
			return
		}
		a := d.tryLetter(l)
		switch {
		case a.err == nil:
			d.cfg.Crash.At("letter.handled")
			handled = append(handled, l.ID)
		case d.work.Err() != nil: // interrupted: does not count
			d.remove(ln, handled)
			return
		default:
			if d.remove(ln, handled) {
				d.letterFailed(ln, l, a)
			}
			return
		}
		if d.closing() {
			break
		}
	}
	if d.remove(ln, handled) {
		d.mu.Lock()
		d.fails(ln, false)
		ln.letters, ln.deep = true, len(page) == pageSize
		d.mu.Unlock()
	}
}

// due says whether a letter that comes first is to be tried now. A time further
// away than any pause is due to a clock that was set back.
func (d *Dispatcher) due(l *bus.Letter) bool {
	left := l.Due.Sub(d.cfg.Clock.Now())
	return l.State == bus.Behind || (l.State == bus.Waiting && (left <= 0 || left > d.sub.MaxBackoff))
}

// tryLetter handles one letter. One whose type the subscription wants no longer
// is handled by being forgotten.
func (d *Dispatcher) tryLetter(l *bus.Letter) attempt {
	e, err := bus.Decode(l.Body)
	switch {
	case err == nil && slices.Contains(d.sub.Types, e.Type):
		return d.try(bus.WithReplay(d.work, l.Replay), e)
	case err == nil && slices.Contains(d.sub.Former, e.Type):
		return attempt{}
	case err == nil:
		err = bus.ErrMalformed.Wrap(fmt.Errorf("the subscription knows no event type %q", e.Type))
	}
	return attempt{err: err, at: d.cfg.Clock.Now()}
}

// letterFailed stores a failed try.
func (d *Dispatcher) letterFailed(ln *line, l *bus.Letter, a attempt) {
	d.judge(l, a)
	err := d.sub.Parking.Failed(d.work, d.sub.Name, *l)
	if d.answered(err); err != nil {
		if next := d.stall(ln); !next.IsZero() {
			d.report("event handler failed and the try cannot be noted; it will be tried again", l, a.err, next)
		}
		return
	}
	d.reportTry(l, a.err)
	d.mu.Lock()
	d.block(ln, l.State, l.Due)
	d.mu.Unlock()
}

// remove takes handled letters out of the Parking, also for an interrupted
// worker: what has had its effect should not come again. False: it did not work,
// and they will come again, for the inbox to know them.
func (d *Dispatcher) remove(ln *line, ids []string) bool {
	if len(ids) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.work), d.cfg.Grace)
	defer cancel()
	err := d.sub.Parking.Done(ctx, d.sub.Name, ids...)
	if d.answered(err); err != nil {
		d.stall(ln)
		return false
	}
	return true
}
