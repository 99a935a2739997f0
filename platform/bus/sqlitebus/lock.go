package sqlitebus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"trama/platform/clock"
)

// How often a waiting process tries to get the lock for opening, which is held
// for milliseconds, and that of a subscription, which is held for days.
const (
	openLockEvery     = 10 * time.Millisecond
	consumerLockEvery = 200 * time.Millisecond
)

// fileLock is an exclusive flock. It belongs to the open file, so two in one
// process exclude each other too, and the kernel releases it when the process
// dies in any way.
type fileLock struct{ f *os.File }

// tryLock gives nil without an error when somebody else holds the lock.
func tryLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return &fileLock{f}, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// acquire waits for the lock until ctx ends. The file stays when it is released:
// removing it would let two hold locks of the same name.
func acquire(ctx context.Context, path string, c clock.Clock, every time.Duration) (*fileLock, error) {
	for {
		l, err := tryLock(path)
		if l != nil || err != nil {
			return l, err
		}
		if err := c.Wait(ctx, every); err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}

func (l *fileLock) release() {
	_ = l.f.Close() // closing lets the lock go
}
