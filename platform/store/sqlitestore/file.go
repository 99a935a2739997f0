package sqlitestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// createFile makes an empty database file with mode 0600 unless there is one.
//
// It is made under another name, closed and linked into place: POSIX drops all
// locks a process has on a file when it closes any descriptor of it, so no
// descriptor of the file itself may ever be opened beside SQLite's own.
func createFile(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	f, err := os.CreateTemp(dir, ".new-*.db") // CreateTemp makes it 0600
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	defer os.Remove(f.Name())
	if err := f.Close(); err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make file: %w", err)
	}
	return nil
}

// room is what hasRoom asks for: enough for a group of ordinary transactions.
const room = 256 << 10

// hasRoom says whether the disk of dir takes some more. A tiny write into the
// database would not tell, since the log's old pages are used again.
func hasRoom(dir string) error {
	f, err := os.CreateTemp(dir, ".room-*")
	if err != nil {
		return fmt.Errorf("try the disk: %w", err)
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(make([]byte, room)); err != nil {
		return errors.Join(fmt.Errorf("try the disk: %w", err), f.Close())
	}
	return f.Close()
}
