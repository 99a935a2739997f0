// Package filediscovery is the service registry of one machine: a folder in
// which every process keeps one small JSON file that says where it listens and
// for which services.
//
// A file counts while its writer lives: the writer holds an exclusive lock
// (flock) on it, taken before the file gets its name, and the kernel releases
// the lock when the process ends, however it ends. So there is no heartbeat, no
// time to live and no wrong answer after kill -9. Files are written beside their
// place and renamed, so nobody reads half of one; withdrawing removes the file.
// What the dead left behind is swept by the next process that announces.
//
// Readers keep what they read until the folder's modification time changes, one
// second has passed (which finds the dead), or somebody calls Invalidate after
// a failed dial. Whoever can write to the folder decides where requests go, so
// it is made with mode 0700. Unix only; the folder must be on a local disk.
package filediscovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"trama/platform/clock"
	"trama/platform/discovery"
)

const (
	// maxAge bounds how long a read is believed when the folder does not change.
	maxAge = time.Second
	// racy: a folder changed so shortly before it was read may change again
	// within the same tick of the file system's clock and not show it.
	racy = 50 * time.Millisecond
	// tempAge is after which an unfinished file belongs to nobody.
	tempAge = time.Minute
	// maxReads bounds how often a folder that keeps changing is read for one answer.
	maxReads = 10
	// maxEntry bounds an entry's file, in bytes.
	maxEntry = 64 << 10

	entrySuffix = ".json"
	tempSuffix  = ".tmp"
)

// Entry is what one process says about itself.
type Entry struct {
	Process  string   `json:"process"`  // its name, for people: "payments"
	PID      int      `json:"pid"`      // for people; life is judged by the lock. 0: this process
	URL      string   `json:"url"`      // base URL it listens on, "http://127.0.0.1:40123"
	Services []string `json:"services"` // names that resolve to URL
}

// Registry reads and writes one folder. It is safe for concurrent use.
type Registry struct {
	dir   string
	log   *slog.Logger
	dirty atomic.Bool
	known atomic.Pointer[snapshot]

	mu     sync.Mutex          // one reads, the others wait for what it found
	warned map[string]struct{} // files that were complained about; guarded by mu
}

// snapshot is what one reading of the folder found; it never changes.
type snapshot struct {
	readAt  time.Time
	changed time.Time // the folder's modification time before it was read
	entries []Entry
	urls    map[string][]string
}

var _ discovery.Forgetter = (*Registry)(nil)

// New makes a registry over a folder, which need not exist yet. The log is told,
// once per file, of entries that a living process wrote and nobody can read.
func New(dir string, log *slog.Logger) *Registry {
	return &Registry{dir: dir, log: log, warned: map[string]struct{}{}}
}

// Resolve implements discovery.Resolver.
func (r *Registry) Resolve(_ context.Context, service string) ([]string, error) {
	s, err := r.read()
	if err != nil {
		return nil, err
	}
	if urls, ok := s.urls[service]; ok {
		return urls, nil
	}
	return nil, discovery.Unknown(service)
}

// Entries gives the living processes, sorted by name and URL.
func (r *Registry) Entries() ([]Entry, error) {
	s, err := r.read()
	if err != nil {
		return nil, err
	}
	return slices.Clone(s.entries), nil
}

// Invalidate implements discovery.Forgetter.
func (r *Registry) Invalidate() { r.dirty.Store(true) }

// now is the machine's clock, not an injected one: it is compared with the file
// system's.
func (*Registry) now() time.Time { return clock.System{}.Now() }

func (r *Registry) read() (*snapshot, error) {
	if s := r.fresh(); s != nil {
		return s, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.fresh(); s != nil {
		return s, nil
	}
	r.dirty.Store(false) // before reading: an Invalidate during it asks for another
	s, err := r.load()
	if err != nil {
		r.dirty.Store(true)
		return nil, fmt.Errorf("discovery: read %s: %w", r.dir, err)
	}
	r.known.Store(s)
	return s, nil
}

// fresh gives the last reading if it can still be believed.
func (r *Registry) fresh() *snapshot {
	s := r.known.Load()
	if s == nil || r.dirty.Load() {
		return nil
	}
	age := r.now().Sub(s.readAt)
	if age < 0 || age > maxAge || s.readAt.Sub(s.changed) < racy {
		return nil
	}
	changed, err := modified(r.dir)
	if err != nil || !changed.Equal(s.changed) {
		return nil
	}
	return s
}

func modified(dir string) (time.Time, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil // nobody has announced yet
	}
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// load reads the folder; r.mu is held. A folder that changes meanwhile is read
// again, because a process that took the place of another might otherwise be
// missed as well as the one it replaced.
func (r *Registry) load() (*snapshot, error) {
	for try := 1; ; try++ {
		s, err := r.loadOnce()
		if err != nil {
			return nil, err
		}
		changed, err := modified(r.dir)
		if err != nil {
			return nil, err
		}
		if changed.Equal(s.changed) || try == maxReads {
			return s, nil
		}
	}
}

func (r *Registry) loadOnce() (*snapshot, error) {
	s := &snapshot{readAt: r.now(), urls: map[string][]string{}}
	var err error
	if s.changed, err = modified(r.dir); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(r.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), entrySuffix) {
			continue
		}
		switch e, alive, err := loadEntry(filepath.Join(r.dir, f.Name())); {
		case err != nil:
			r.complain(f.Name(), err)
		case alive:
			s.entries = append(s.entries, e)
		}
	}
	slices.SortFunc(s.entries, func(a, b Entry) int {
		if c := strings.Compare(a.Process, b.Process); c != 0 {
			return c
		}
		return strings.Compare(a.URL, b.URL)
	})
	for _, e := range s.entries {
		for _, service := range e.Services {
			s.urls[service] = append(s.urls[service], e.URL)
		}
	}
	for service, urls := range s.urls {
		slices.Sort(urls)
		s.urls[service] = slices.Compact(urls)
	}
	return s, nil
}

func (r *Registry) complain(file string, err error) {
	if _, done := r.warned[file]; done {
		return
	}
	r.warned[file] = struct{}{}
	r.log.Warn("discovery: an entry of a living process cannot be read", "file", file, "error", err)
}

// loadEntry reads one file; not alive when its writer is dead or it went away
// meanwhile.
func loadEntry(path string) (e Entry, alive bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Entry{}, false, nil
	}
	if err != nil {
		return Entry{}, false, err
	}
	defer f.Close()
	if lock(f, syscall.LOCK_SH) == nil {
		return Entry{}, false, nil // nobody holds it: its writer is dead
	}
	data, err := io.ReadAll(io.LimitReader(f, maxEntry))
	if err != nil {
		return Entry{}, false, err
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return Entry{}, false, err
	}
	return e, true, discovery.CheckURL(e.URL)
}

// lock takes the lock without waiting; closing the file releases it.
func lock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
