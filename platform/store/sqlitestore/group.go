package sqlitestore

import (
	"errors"
	"fmt"
	"runtime"

	"trama/platform/store"
)

// group is the transaction under way and those whose fate hangs on it.
type group struct {
	w    *writer
	jobs []*job  // that ran, in order
	own  []error // what each came to by itself
	good int     // how many of them did well
	lost error   // why the transaction cannot be committed; nil: it can
	// doubt: the commit failed in fsync, after which a crash of the machine might
	// still bring it back.
	doubt bool
}

// run runs jobs until none waits, the group is full or the transaction is lost.
func (g *group) run() {
	if solo := g.w.solo; len(solo) > 0 {
		g.w.solo = solo[1:]
		g.lost = g.add(solo[0])
		return
	}
	yielded := false
	for len(g.jobs) < g.w.max {
		j := g.w.queue.take()
		if j == nil {
			if yielded || g.w.max == 1 {
				break
			}
			// Callers just answered may be about to ask again: let them join.
			yielded = true
			runtime.Gosched()
			continue
		}
		if err := g.add(j); err != nil {
			g.lost = err
			return
		}
	}
	g.lost = nil
}

func (g *group) add(j *job) error {
	g.jobs, g.own = append(g.jobs, j), append(g.own, nil)
	return g.job(j, len(g.jobs)-1)
}

// errAlone ends a group whose only work so far was undone with its transaction.
var errAlone = errors.New("undone")

// job runs one closure under a savepoint and returns an error if the whole
// transaction is lost. While nothing good is in the transaction yet, the
// transaction itself serves as the savepoint.
func (g *group) job(j *job, i int) error {
	c := g.w.c
	nested := g.good > 0
	if nested {
		if err := c.exec("SAVEPOINT job"); err != nil {
			g.own[i] = mapError(err)
			return err
		}
	}
	t := &tx{ctx: j.ctx, c: c}
	g.own[i] = errGoexit // stays if the closure ends the goroutine
	err := t.finish(store.Protect(t, j.fn))
	g.own[i] = err
	switch {
	case err == nil:
		j.after = t.after
		if nested {
			if err := c.exec("RELEASE job"); err != nil {
				return err
			}
		}
		g.good++
		return nil
	case t.broken:
		return err
	case !nested:
		return errAlone
	}
	if err := c.exec("ROLLBACK TO job"); err != nil {
		return err
	}
	return c.exec("RELEASE job")
}

// end commits or rolls back and answers everybody.
func (g *group) end() {
	verdict := g.lost
	switch {
	case verdict == nil && g.good > 0:
		if err := g.w.c.exec("COMMIT"); err != nil {
			verdict = fmt.Errorf("commit: %w", err)
			g.doubt = isFsync(err)
			g.rollback()
			if isConstraint(err) && len(g.jobs) > 1 {
				// A deferred constraint is somebody's, but whose? Each for itself.
				g.w.solo = append(g.w.solo, g.jobs...)
				return
			}
		} else {
			g.w.sick.Store(false)
		}
	default:
		g.rollback()
	}
	if isEngine(verdict) {
		g.w.sick.Store(true)
	}
	for i, j := range g.jobs {
		j.answer(g.outcome(i, verdict))
	}
}

// outcome is what job i is told.
func (g *group) outcome(i int, verdict error) error {
	own := g.own[i]
	switch {
	case verdict == nil || errors.Is(verdict, errAlone):
		return own
	case errors.Is(verdict, errGoexit) && own != nil:
		return own
	case isConstraint(verdict) && len(g.jobs) == 1:
		return mapError(verdict)
	case g.doubt:
		return store.Uncertain(fmt.Errorf("sqlitestore: %w", verdict))
	case own != nil && i == len(g.jobs)-1:
		return own // the one that met the failure tells it in its own words
	}
	return store.Unavailable(fmt.Errorf("sqlitestore: the group's transaction failed: %w", verdict))
}

// rollback undoes everything. SQLite may have done it by itself, which makes
// ROLLBACK fail; either way the next BEGIN shows whether the connection is good.
func (g *group) rollback() {
	if err := g.w.c.exec("ROLLBACK"); err != nil && isEngine(err) {
		g.w.c.discard()
		g.w.c = nil
	}
}
