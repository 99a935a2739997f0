package sqlitestore

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// turn lets the writers of several processes alternate. SQLite's own lock is not
// fair: a process that commits and begins again at once wins against one that
// naps between its tries, for as long as it has work. So whoever wants to begin
// first takes this flock, and keeps it until it has begun; who has just committed
// finds it taken and has to stand behind. Alone, it costs two system calls.
//
// It is courtesy, not safety: where it cannot be had, SQLite's lock still excludes.
type turn struct {
	path string
	f    *os.File
}

// unfairAfter bounds the courtesy: a process that was stopped while it held the
// turn must not stop the others.
const unfairAfter = time.Second

// try takes the turn; also true when there is no way to have turns.
func (t *turn) try() bool {
	if t.f == nil {
		f, err := os.OpenFile(t.path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return true
		}
		t.f = f
	}
	return !errors.Is(flock(t.f, syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

func (t *turn) pass() {
	if t.f != nil {
		_ = flock(t.f, syscall.LOCK_UN) // cannot fail on an open file; if it does, unfairAfter helps
	}
}

func (t *turn) close() error {
	if t.f == nil {
		return nil
	}
	return t.f.Close()
}
