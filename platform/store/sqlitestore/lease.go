package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"trama/platform/store"
)

// leases are flocks on files beside the database: the kernel drops them when
// their holder dies, however it dies. Waiting is polling, since a blocked
// flock cannot be cancelled.
type leases struct {
	path string

	mu     sync.Mutex
	held   map[*lease]struct{}
	closed bool
}

// The poll starts short, for a holder that is just leaving, and slows down to
// what costs nothing.
const (
	leasePollMin = 2 * time.Millisecond
	leasePollMax = 100 * time.Millisecond
)

// Lease waits until this caller alone, of all processes, holds name; see store.Leaser.
func (d *DB) Lease(ctx context.Context, name string) (store.Lease, error) {
	if !store.ValidLeaseName(name) {
		return nil, fmt.Errorf("sqlitestore: bad lease name %q", name)
	}
	return d.leases.wait(ctx, d.opt.Path+"."+name+".lock")
}

func (l *leases) wait(ctx context.Context, path string) (store.Lease, error) {
	for pause := leasePollMin; ; pause = min(2*pause, leasePollMax) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f, err := tryLock(path)
		if err != nil {
			return nil, store.Unavailable(fmt.Errorf("sqlitestore: lease: %w", err))
		}
		if f != nil {
			return l.add(f)
		}
		if l.isClosed() {
			return nil, store.Unavailable(store.ErrClosed)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// tryLock locks the file, or gives nil when somebody else holds it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, f.Close()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	// A lock on a file that was deleted meanwhile excludes nobody.
	mine, err1 := f.Stat()
	there, err2 := os.Stat(path)
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		return nil, f.Close()
	}
	return f, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (l *leases) add(f *os.File) (store.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errors.Join(store.Unavailable(store.ErrClosed), f.Close())
	}
	if l.held == nil {
		l.held = make(map[*lease]struct{})
	}
	le := &lease{all: l, f: f, lost: make(chan struct{})}
	l.held[le] = struct{}{}
	return le, nil
}

func (l *leases) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// close releases what is still held.
func (l *leases) close() error {
	l.mu.Lock()
	l.closed = true
	held := l.held
	l.held = nil
	l.mu.Unlock()
	var err error
	for le := range held {
		err = errors.Join(err, le.drop())
	}
	return err
}

type lease struct {
	all  *leases
	f    *os.File
	once sync.Once
	lost chan struct{}
	err  error
}

func (l *lease) Lost() <-chan struct{} { return l.lost }

func (l *lease) Release() error {
	l.all.mu.Lock()
	delete(l.all.held, l)
	l.all.mu.Unlock()
	return l.drop()
}

func (l *lease) drop() error {
	l.once.Do(func() {
		// Unlock before closing: a child just being forked has a copy of the
		// descriptor until it execs, and would keep the lock that long.
		l.err = errors.Join(flock(l.f, syscall.LOCK_UN), l.f.Close())
		close(l.lost)
	})
	return l.err
}
