package filediscovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"trama/platform/discovery"
)

// Announcement is an entry in the folder, true until Withdraw or the process's
// end. Keep it: an announcement that is garbage collected is gone.
type Announcement struct {
	path string
	once sync.Once
	file *os.File // holds the lock
	err  error
}

// Announce puts an entry of this process into the folder, which it makes if
// needed. Call it once the process accepts connections. A process may announce
// several entries.
func (r *Registry) Announce(e Entry) (*Announcement, error) {
	if err := discovery.CheckURL(e.URL); err != nil {
		return nil, fmt.Errorf("discovery: announce %q: %w", e.URL, err)
	}
	if e.PID == 0 {
		e.PID = os.Getpid()
	}
	data, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("discovery: announce %s: %w", e.Process, err)
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, fmt.Errorf("discovery: make the registry's folder: %w", err)
	}
	r.sweep()
	a, err := write(r.dir, e.PID, data)
	if err != nil {
		return nil, fmt.Errorf("discovery: announce %s: %w", e.Process, err)
	}
	r.Invalidate()
	return a, nil
}

// Withdraw takes the entry out of the folder. It is idempotent. Readers know at
// their next Resolve; a request whose sender looked the process up just before
// may still arrive, so a process that wants to refuse nobody serves on for a
// moment (100 ms are plenty) before it closes its connections.
func (a *Announcement) Withdraw() error {
	a.once.Do(func() {
		err := os.Remove(a.path)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		// Removed first: a reader sees no entry, or one that is still held.
		a.err = errors.Join(err, a.file.Close())
	})
	return a.err
}

// write makes the file, locks it, fills it and only then gives it its name.
func write(dir string, pid int, data []byte) (*Announcement, error) {
	// A random name: removing a dead entry must not hit a living one of the same pid.
	f, err := os.CreateTemp(dir, fmt.Sprintf("%d-*%s", pid, tempSuffix))
	if err != nil {
		return nil, err
	}
	path := strings.TrimSuffix(f.Name(), tempSuffix) + entrySuffix
	if err = lock(f, syscall.LOCK_EX); err == nil {
		if _, err = f.Write(data); err == nil {
			err = os.Rename(f.Name(), path)
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()), f.Close())
	}
	return &Announcement{path: path, file: f}, nil
}

// sweep removes what dead processes left. What cannot be removed is ignored by
// readers all the same.
func (r *Registry) sweep() {
	files, err := os.ReadDir(r.dir)
	if err != nil {
		return
	}
	for _, f := range files {
		path := filepath.Join(r.dir, f.Name())
		switch {
		case strings.HasSuffix(path, entrySuffix):
			if abandoned(path) {
				_ = os.Remove(path)
			}
		case strings.HasSuffix(path, tempSuffix):
			// A young one may be about to be locked by its writer.
			info, err := f.Info()
			if err == nil && r.now().Sub(info.ModTime()) > tempAge && abandoned(path) {
				_ = os.Remove(path)
			}
		}
	}
}

func abandoned(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return lock(f, syscall.LOCK_SH) == nil
}
