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

// openLockEvery is how often a process tries to get the lock for opening, which
// others hold for milliseconds.
const openLockEvery = 10 * time.Millisecond

// acquire takes an exclusive flock of the file, which the kernel lets go when
// the process dies in any way. The file stays: removing it would let two hold
// locks of the same name.
func acquire(ctx context.Context, path string, c clock.Clock) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() {
				_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // a child just being forked has a copy of the descriptor
				_ = f.Close()
			}, nil
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = c.Wait(ctx, openLockEvery)
		}
		if err != nil && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}
