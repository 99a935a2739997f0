package lane

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"trama/platform/bus"
)

// lot is a Parking in memory, for one subscription in one bubble. Package
// parking has the real ones; this one can be made to fail at will.
type lot struct {
	mu      sync.Mutex
	letters []bus.Letter // in the order parked
	fail    func(op string) error
	held    bool
	lease   chan struct{} // holds a token while the lease is free
	present *lease
	leases  int
	parks   int // calls of Park that succeeded
}

type lease struct {
	l    *lot
	lost chan struct{}
	once sync.Once
}

func newLot() *lot {
	l := &lot{lease: make(chan struct{}, 1)}
	l.lease <- struct{}{}
	return l
}

func (l *lot) enter(op string) (func(), error) {
	l.mu.Lock()
	if l.fail != nil {
		if err := l.fail(op); err != nil {
			l.mu.Unlock()
			return nil, err
		}
	}
	return l.mu.Unlock, nil
}

// failing sets what the store answers; nil: it works.
func (l *lot) failing(f func(op string) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = f
}

func (l *lot) Lease(ctx context.Context, _ string) (bus.Lease, error) {
	unlock, err := l.enter("lease")
	if err != nil {
		return nil, err
	}
	unlock()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.lease:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leases++
	l.present = &lease{l: l, lost: make(chan struct{})}
	return l.present, nil
}

func (l *lease) Lost() <-chan struct{} { return l.lost }

func (l *lease) Release() error {
	l.once.Do(func() { close(l.lost); l.l.lease <- struct{}{} })
	return nil
}

func (l *lot) Blocked(context.Context, string) ([]bus.Blocked, error) {
	unlock, err := l.enter("blocked")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return l.firsts(func(bus.Letter) bool { return true }), nil
}

func (l *lot) firsts(want func(bus.Letter) bool) []bus.Blocked {
	var out []bus.Blocked
	seen := map[string]bool{}
	for _, x := range l.letters {
		if !seen[x.Subject] && want(x) {
			out = append(out, bus.Blocked{Subject: x.Subject, State: x.State, Due: x.Due})
		}
		seen[x.Subject] = true
	}
	return out
}

func (l *lot) Park(ctx context.Context, _ string, letters ...bus.Letter) error {
	unlock, err := l.enter("park")
	if err != nil || ctx.Err() != nil {
		if err == nil {
			unlock()
		}
		return cmp.Or(err, ctx.Err())
	}
	defer unlock()
	l.parks++
	for _, x := range letters {
		if l.index(x.ID) < 0 {
			l.letters = append(l.letters, x)
		}
	}
	return nil
}

func (l *lot) index(id string) int {
	return slices.IndexFunc(l.letters, func(x bus.Letter) bool { return x.ID == id })
}

func (l *lot) Front(_ context.Context, _, subject string, limit int) ([]bus.Letter, error) {
	unlock, err := l.enter("front")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []bus.Letter
	for _, x := range l.letters {
		if x.Subject == subject && len(out) < limit {
			x.History = slices.Clone(x.History)
			out = append(out, x)
		}
	}
	return out, nil
}

func (l *lot) Failed(_ context.Context, _ string, x bus.Letter) error {
	unlock, err := l.enter("failed")
	if err != nil {
		return err
	}
	defer unlock()
	if i := l.index(x.ID); i >= 0 {
		l.letters[i].State, l.letters[i].Due, l.letters[i].Tries, l.letters[i].History = x.State, x.Due, x.Tries, x.History
	}
	return nil
}

func (l *lot) Done(ctx context.Context, _ string, ids ...string) error {
	unlock, err := l.enter("done")
	if err != nil || ctx.Err() != nil {
		if err == nil {
			unlock()
		}
		return cmp.Or(err, ctx.Err())
	}
	defer unlock()
	for _, id := range ids {
		if i := l.index(id); i >= 0 {
			l.letters = slices.Delete(l.letters, i, i+1)
		}
	}
	return nil
}

func (l *lot) Woken(_ context.Context, _ string, now time.Time, limit int) ([]bus.Blocked, bool, error) {
	unlock, err := l.enter("woken")
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	list := l.firsts(func(x bus.Letter) bool { return x.State != bus.Dead && !x.Due.After(now) })
	return list[:min(limit, len(list))], l.held, nil
}

// What operators and tests do.

func (l *lot) hold(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = yes
}

// lose takes the lease away from its holder. It is free again when that gives up.
func (l *lot) lose() {
	l.mu.Lock()
	x := l.present
	l.mu.Unlock()
	x.once.Do(func() { close(x.lost); l.lease <- struct{}{} })
}

// retry makes every dead letter due.
func (l *lot) retry() {
	l.change(func(x *bus.Letter) {
		if x.State == bus.Dead {
			x.State, x.Due, x.Tries = bus.Waiting, time.Time{}, 0
		}
	})
}

func (l *lot) change(f func(x *bus.Letter)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.letters {
		f(&l.letters[i])
	}
}

func (l *lot) all() []bus.Letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.letters)
}

func (l *lot) ids() []string {
	var out []string
	for _, x := range l.all() {
		out = append(out, x.ID)
	}
	return out
}
