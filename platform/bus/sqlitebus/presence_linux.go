package sqlitebus

import (
	"io"
	"os"
	"syscall"
)

// Open file description locks (fcntl(2)); package syscall does not name them.
const (
	ofdGetLock = 36
	ofdSetLock = 37
)

// presence tells whether other processes (or other Buses of this one) have the
// same folder open: each holds a shared lock of a file, and asks the kernel who
// else would be in the way of an exclusive one.
type presence struct{ f *os.File }

func newPresence(path string) (*presence, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	lk := syscall.Flock_t{Type: syscall.F_RDLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), ofdSetLock, &lk); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &presence{f}, nil
}

// others is true when somebody else has the folder open, or when it cannot be told.
func (p *presence) others() bool {
	lk := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err := syscall.FcntlFlock(p.f.Fd(), ofdGetLock, &lk)
	return err != nil || lk.Type != syscall.F_UNLCK
}

func (p *presence) close() error { return p.f.Close() }
