// Package datadir owns the data folder of one machine: who may use it, where
// things lie in it, and the installation's secret.
//
//	trama-data/
//	  lock             held (flock) by whoever runs on the folder
//	  secret           32 random bytes in hex, mode 0600: every key is derived from it
//	  operator-token   32 random bytes in hex, mode 0600
//	  <service>.db     a SQLite file per service
//	  bus/             the embedded event bus
//	  correio/         mail kept instead of sent
//	  run/             who listens where, while processes run
//
// The lock belongs to the open file, so it ends with the last process that holds
// it, however that process dies; a supervisor hands it down to its children.
package datadir

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Use says how a process shares the folder with others.
type Use int

// The uses.
const (
	Exclusive Use = iota // trama up: nobody else
	Shared               // trama serve: beside other serve processes, not beside up
	Inherited            // a child of trama up --split: the parent's lock is its own
)

// Dir is an open data folder.
type Dir struct {
	path   string
	lock   *os.File
	secret []byte
	token  string
	fresh  bool
}

// InUseError says that another process holds the folder.
type InUseError struct{ Path, Holder string }

func (e *InUseError) Error() string {
	who := "another process"
	if e.Holder != "" {
		who = "process " + e.Holder
	}
	return fmt.Sprintf("the data folder %s is in use by %s; stop it, or choose another folder with --data", e.Path, who)
}

// Open makes the folder if need be (mode 0700), takes the lock and reads or
// makes the secrets. inherited is the lock's file descriptor for Inherited.
// token and secret, when not empty, replace those of the folder.
func Open(path string, use Use, inherited uintptr, token, secret string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: abs}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder %s cannot be made: %w; choose another with --data", path, cause(err))
	}
	if err := d.take(use, inherited, path); err != nil {
		return nil, err
	}
	if d.token, err = d.keep("operator-token", token); err == nil {
		secret, err = d.keep("secret", secret)
	}
	if err == nil {
		d.secret = []byte(secret)
		if len(d.secret) < 32 {
			err = errors.New("the installation's secret has fewer than 32 characters; give a longer one, or remove the file secret to have one made (keys derived from the old one are lost)")
		}
	}
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

func (d *Dir) take(use Use, inherited uintptr, shown string) error {
	if use == Inherited {
		if d.lock = os.NewFile(inherited, "lock"); d.lock == nil {
			return errors.New("the lock of the data folder was not handed down")
		}
		return nil
	}
	f, err := os.OpenFile(filepath.Join(d.path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("the data folder %s cannot be written: %w; choose another with --data", shown, cause(err))
	}
	how := syscall.LOCK_EX
	if use == Shared {
		how = syscall.LOCK_SH
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 20))
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return &InUseError{Path: shown, Holder: running(strings.TrimSpace(string(holder)))}
		}
		return fmt.Errorf("the data folder %s cannot be locked: %w", shown, err)
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(fmt.Sprintf("%d\n", os.Getpid())), 0)
		if err != nil {
			_ = f.Close()
			return fmt.Errorf("the data folder %s cannot be written: %w", shown, cause(err))
		}
	}
	d.lock = f
	return nil
}

// running gives back the process id of a living process, else nothing: of several
// that share the folder the one that wrote down its id last may have left.
func running(pid string) string {
	n, err := strconv.Atoi(pid)
	if err != nil || errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
		return ""
	}
	return pid
}

// keep gives the secret kept in a file of the folder, making it at the first
// start. Two processes that start at once agree: the file appears whole (link)
// and the first one wins.
func (d *Dir) keep(name, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	path := filepath.Join(d.path, name)
	for {
		text, err := os.ReadFile(path)
		if err == nil {
			value := strings.TrimSpace(string(text))
			if value == "" {
				return "", fmt.Errorf("%s is empty; remove it to have a new one made", path)
			}
			return value, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("%s cannot be read: %w", path, cause(err))
		}
		var b [32]byte
		_, _ = rand.Read(b[:]) // never fails (Go 1.24)
		if err := writeOnce(path, hex.EncodeToString(b[:])+"\n"); err != nil {
			return "", fmt.Errorf("%s cannot be written: %w", path, cause(err))
		}
		d.fresh = d.fresh || name == "operator-token"
	}
}

func writeOnce(path, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err = tmp.WriteString(text); err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// Path gives the place of a part of the folder.
func (d *Dir) Path(parts ...string) string {
	return filepath.Join(append([]string{d.path}, parts...)...)
}

// Lock is the open lock file, to hand down to a child process.
func (d *Dir) Lock() *os.File { return d.lock }

// OperatorToken gives the token that opens the staff's routes.
func (d *Dir) OperatorToken() string { return d.token }

// Fresh says whether this start made the operator token.
func (d *Dir) Fresh() bool { return d.fresh }

// Secret derives a key of 32 bytes for one purpose (HKDF-SHA256, RFC 5869).
func (d *Dir) Secret(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, d.secret, nil, "trama/"+purpose, 32)
	if err != nil {
		panic(err) // only for absurd lengths
	}
	return key
}

// Close gives the folder back.
func (d *Dir) Close() error {
	if d.lock == nil {
		return nil
	}
	return d.lock.Close()
}

// cause drops the operation and path of a file error: the message names them already.
func cause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
