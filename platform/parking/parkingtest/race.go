package parkingtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"trama/platform/bus"
	"trama/platform/parking"
)

// bulk: many letters are worked through a few at a time, each once, also when
// they fail again at once.
func bulk(r *rig) {
	const n = 25
	for i := range n {
		r.queue(fmt.Sprintf("s%02d", i), bus.Dead, 1)
	}
	r.later()
	f := parking.Filter{Subscription: sub, ActedBefore: r.clock.Now()}
	total, calls := 0, 0
	for {
		done, left, err := r.lot.Retry(r.ctx, f, "ana", 4)
		r.must(err)
		if total, calls = total+done, calls+1; left != n-total {
			r.Fatalf("%d left after %d", left, total)
		}
		if done == 0 || calls > n {
			break
		}
		if calls == 1 { // these fail again while the others are retried
			for _, s := range r.woken() {
				l := r.letter(s+"-0", s, bus.Dead)
				r.must(r.lot.Failed(r.ctx, sub, l))
			}
			r.later()
		}
	}
	equal(r, "retried", total, n)
	equal(r, "calls", calls, n/4+2)
	equal(r, "audit rows", len(r.acts()), n)
	dropped := 0
	for {
		done, left, err := r.lot.Drop(r.ctx, parking.Filter{}, "ana", "", 7)
		r.must(err)
		if dropped += done; left != 2*n-dropped {
			r.Fatalf("%d left after %d", left, dropped)
		}
		if left == 0 {
			break
		}
	}
	equal(r, "audit rows", len(r.acts()), 3*n)
	all, err := r.lot.Blocked(r.ctx, sub)
	r.must(err)
	equal(r, "blocked at the end", len(all), 0)
}

// beside: while a consumer parks, fails and finishes letters, operators retry,
// edit and drop them. At the end nobody is behind nothing, every letter was
// handled or dropped exactly once, and each subject's in order.
func beside(r *rig) {
	const subjects, each = 4, 15
	handled := make([][]string, subjects)
	operators, stop := context.WithCancel(r.ctx)
	var consumers, others sync.WaitGroup
	var working atomic.Int32
	working.Store(subjects)
	for s := range subjects {
		consumers.Go(func() {
			defer working.Add(-1)
			handled[s] = r.work(fmt.Sprint("s", s), each)
		})
	}
	for o := range 2 {
		others.Go(func() { r.operate(operators, o) })
	}
	consumers.Wait()
	stop()
	others.Wait()
	dropped := map[string]bool{}
	for _, a := range r.acts() {
		if act, id, _ := strings.Cut(a, " "); act == parking.ActDrop {
			if dropped[id] {
				r.Errorf("%s was dropped twice", id)
			}
			dropped[id] = true
		}
	}
	for s, got := range handled {
		if !slices.IsSorted(got) {
			r.Errorf("out of order: %v", got)
		}
		for i := range each {
			id := fmt.Sprintf("s%d-%02d", s, i)
			if !dropped[id] && !slices.Contains(got, id) {
				r.Errorf("%s was neither handled nor dropped", id)
			}
		}
	}
	all, err := r.lot.Counts(r.ctx)
	r.must(err)
	if all[0].Waiting+all[0].Behind+all[0].Dead != 0 {
		r.Errorf("left behind: %+v", all[0])
	}
}

// work is a consumer of one subject: each letter fails first, dead every third
// time, and is handled when it comes again.
func (r *rig) work(subject string, n int) (handled []string) {
	id := func(i int) string { return fmt.Sprintf("%s-%02d", subject, i) }
	parked, failed := 0, map[string]bool{}
	for r.ctx.Err() == nil && !r.Failed() {
		if parked < n {
			if err := r.lot.Park(r.ctx, sub, r.letter(id(parked), subject, bus.Behind)); err != nil {
				r.Error(err)
				return handled
			}
			parked++
		}
		front, err := r.lot.Front(r.ctx, sub, subject, 1)
		if err != nil {
			r.Error(err)
			return handled
		}
		switch {
		case len(front) == 0 && parked == n:
			return handled
		case len(front) == 0:
		case front[0].State == bus.Behind:
			r.Errorf("%s is behind nothing", front[0].ID)
			return handled
		case failed[front[0].ID] && front[0].State == bus.Waiting:
			handled = append(handled, front[0].ID)
			err = r.lot.Done(r.ctx, sub, front[0].ID)
		case !failed[front[0].ID]:
			l := front[0]
			failed[l.ID] = true
			l.Note(bus.Attempt{At: r.clock.Now(), Kind: "internal", Code: "x", Error: "first time"})
			if len(failed)%3 == 0 {
				l.State = bus.Dead
			}
			err = r.lot.Failed(r.ctx, sub, l)
		}
		if err != nil {
			r.Error(err)
		}
	}
	r.Error("the consumer did not finish")
	return handled
}

// operate retries and edits whatever there is, and drops now and then.
func (r *rig) operate(ctx context.Context, o int) {
	lot := r.Open(r.T, r.clock)
	for i := 0; ctx.Err() == nil; i++ {
		_, _, err := lot.Retry(ctx, parking.Filter{State: bus.Dead}, fmt.Sprint("op", o), 3)
		if err == nil && i%5 == 0 {
			_, _, err = lot.Drop(ctx, parking.Filter{Subject: fmt.Sprint("s", i%4)}, fmt.Sprint("op", o), "", 1)
		}
		if err == nil {
			var some []parking.Entry
			if some, _, err = lot.List(ctx, parking.Filter{Subscription: sub}, "", 1); len(some) == 1 {
				e := lot.Edit(ctx, sub, some[0].ID, eventWith(some[0].ID, some[0].Subject, "T", fmt.Sprintf(`{"n":%d}`, i)), "op", "")
				if e != nil && !strings.Contains(e.Error(), parking.ErrNotFound.Code) {
					err = e
				}
			}
		}
		if err != nil && ctx.Err() == nil && !stopped(err) {
			r.Error(err)
			return
		}
		_ = r.clock.Wait(ctx, time.Millisecond) // leaves the store to the consumer
	}
}

func twoOperators(r *rig) {
	const n = 20
	for i := range n {
		r.queue(fmt.Sprintf("s%02d", i), bus.Dead, 1)
	}
	var wg sync.WaitGroup
	var retried, dropped atomic.Int32
	for range 3 {
		lot := r.Open(r.T, r.clock)
		wg.Go(func() {
			for {
				done, left, err := lot.Retry(r.ctx, parking.Filter{State: bus.Dead}, "ana", 3)
				retried.Add(int32(done))
				if err != nil {
					r.Error(err)
				}
				if err != nil || left == 0 {
					break
				}
			}
			done, _, err := lot.Drop(r.ctx, parking.Filter{State: bus.Behind}, "ana", "", 0)
			if err != nil {
				r.Error(err)
			}
			dropped.Add(int32(done))
		})
	}
	wg.Wait()
	equal(r, "retried", retried.Load(), n)
	equal(r, "dropped", dropped.Load(), n)
	equal(r, "audit rows", len(r.acts()), 2*n)
}
