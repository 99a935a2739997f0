package pgstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"trama/platform/store"
)

// A lease that another process holds is asked for again and again, first after
// pollFirst, at last every pollLast to two and a half times that.
const (
	pollFirst = 2 * time.Millisecond
	pollLast  = 100 * time.Millisecond
)

// leasing is what a DB keeps for its leases; the zero value is ready.
type leasing struct {
	mu         sync.Mutex
	names      map[string]chan struct{} // held or asked for in this process; closed when free again
	session    *session                 // of all leases; nil while there are none
	connecting chan struct{}            // closed when a connection was made, or not; nil when nobody tries
}

// Lease waits until this caller alone holds name; see store.Leaser. It is an
// advisory lock of a session, which the server drops when the process dies. All
// leases of a DB, held and waited for, share one session, on a connection beside
// the pool: they are lost together.
func (d *DB) Lease(ctx context.Context, name string) (store.Lease, error) {
	if !store.ValidLeaseName(name) {
		return nil, fmt.Errorf("pgstore: bad lease name %q", name)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	if d.isClosed {
		d.mu.Unlock()
		return nil, store.Unavailable(store.ErrClosed)
	}
	d.leases.Add(1)
	d.mu.Unlock()
	defer d.leases.Done()
	l, err := d.lease(ctx, name)
	switch {
	case err == nil:
		return l, nil
	case d.life.Err() != nil:
		return nil, store.Unavailable(store.ErrClosed)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("pgstore: lease: %w", ctx.Err())
	}
	return nil, store.Unavailable(fmt.Errorf("pgstore: lease: %w", err))
}

func (d *DB) lease(ctx context.Context, name string) (*lease, error) {
	free, err := d.reserve(ctx, name)
	if err != nil {
		return nil, err
	}
	s, err := d.join(ctx)
	if err != nil {
		free()
		return nil, err
	}
	for pause := pollFirst; ; pause = min(2*pause, pollLast) {
		try := s.do(tryLock, name)
		select {
		case <-try.done:
		case <-ctx.Done():
			d.leases.Add(1)
			go func() { // what the server may still give is given back
				defer d.leases.Done()
				<-try.done
				if try.ok {
					<-s.do(unlock, name).done
				}
				free()
				d.leave(s)
			}()
			return nil, ctx.Err()
		}
		l := &lease{d: d, s: s, name: name, free: free, lost: make(chan struct{})}
		if try.ok && s.hold(l) {
			return l, nil
		}
		if err = try.err; err == nil {
			err = s.rest(ctx, pause+rand.N(pause*3/2))
		}
		if err != nil {
			free()
			d.leave(s)
			return nil, err
		}
	}
}

// reserve waits until nobody else in this process holds or asks for name: a
// session may take its own advisory lock any number of times. free ends it.
func (d *DB) reserve(ctx context.Context, name string) (free func(), err error) {
	n := &d.leasing
	for {
		n.mu.Lock()
		taken, ok := n.names[name]
		if !ok {
			if n.names == nil {
				n.names = map[string]chan struct{}{}
			}
			mine := make(chan struct{})
			n.names[name] = mine
			n.mu.Unlock()
			return func() {
				n.mu.Lock()
				delete(n.names, name)
				n.mu.Unlock()
				close(mine)
			}, nil
		}
		n.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-d.life.Done():
			return nil, store.ErrClosed
		}
	}
}

// lease is one held lease.
type lease struct {
	d    *DB
	s    *session
	name string
	free func()
	lost chan struct{}

	ended    sync.Once
	released sync.Once
}

func (l *lease) Lost() <-chan struct{} { return l.lost }

// end makes the name free for others in this process, and tells of the loss.
func (l *lease) end() {
	l.ended.Do(func() {
		close(l.lost)
		l.free()
	})
}

// Release unlocks on the server, before anybody here may ask for the name again.
// Without an answer the session is over, and the server has freed all of it.
func (l *lease) Release() error {
	l.released.Do(func() {
		<-l.s.do(unlock, l.name).done
		l.s.drop(l)
		l.end()
		l.d.leave(l.s)
	})
	return nil
}
