package datadir_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"trama/platform/datadir"
)

func open(t *testing.T, path string, use datadir.Use) *datadir.Dir {
	t.Helper()
	d, err := datadir.Open(path, use, 0, "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestFirstStartMakesSecretsThatLaterStartsKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "data")
	first := open(t, path, datadir.Exclusive)
	if !first.Fresh() || len(first.OperatorToken()) != 64 {
		t.Errorf("fresh %v, token of %d characters", first.Fresh(), len(first.OperatorToken()))
	}
	for name, mode := range map[string]os.FileMode{"operator-token": 0o600, "secret": 0o600, "lock": 0o600, ".": os.ModeDir | 0o700} {
		if info, err := os.Stat(filepath.Join(path, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode(), err, mode)
		}
	}
	_ = first.Close()
	second := open(t, path, datadir.Exclusive)
	if second.Fresh() || second.OperatorToken() != first.OperatorToken() || !bytes.Equal(second.Secret("a"), first.Secret("a")) {
		t.Error("the second start does not see the secrets of the first")
	}
	if bytes.Equal(second.Secret("a"), second.Secret("b")) || len(second.Secret("a")) != 32 {
		t.Error("purposes must give different keys of 32 bytes")
	}
}

func TestOneUpOrManyServe(t *testing.T) {
	path := t.TempDir()
	up := open(t, path, datadir.Exclusive)
	for _, use := range []datadir.Use{datadir.Exclusive, datadir.Shared} {
		var inUse *datadir.InUseError
		_, err := datadir.Open(path, use, 0, "", "")
		if !errors.As(err, &inUse) || inUse.Holder != fmt.Sprint(os.Getpid()) || strings.Contains(err.Error(), "\n") {
			t.Errorf("beside up: %v", err)
		}
	}
	_ = up.Close()
	open(t, path, datadir.Shared)
	open(t, path, datadir.Shared)
	if _, err := datadir.Open(path, datadir.Exclusive, 0, "", ""); err == nil {
		t.Error("up beside serve was let in")
	}
}

// TestDeadProcessIsNotNamed: of several that share a folder the one that wrote down
// its id may have left.
func TestDeadProcessIsNotNamed(t *testing.T) {
	dir := t.TempDir()
	first, err := datadir.Open(dir, datadir.Shared, 0, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if err := os.WriteFile(first.Path("lock"), []byte("4194305\n"), 0o600); err != nil { // above the greatest id there is
		t.Fatal(err)
	}
	_, err = datadir.Open(dir, datadir.Exclusive, 0, "", "")
	if err == nil || !strings.Contains(err.Error(), "in use by another process;") {
		t.Errorf("got %v", err)
	}
}

func TestStartsAtOnceAgreeOnTheSecret(t *testing.T) {
	path := t.TempDir()
	var wg sync.WaitGroup
	tokens := make([]string, 16)
	for i := range tokens {
		wg.Go(func() {
			d, err := datadir.Open(path, datadir.Shared, 0, "", "")
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			tokens[i] = d.OperatorToken() + string(d.Secret("x"))
		})
	}
	wg.Wait()
	for _, tok := range tokens {
		if tok != tokens[0] {
			t.Fatal("two processes made two secrets")
		}
	}
}

func TestFolderThatCannotBeUsedIsToldInOneLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, "/proc/trama-data"} {
		_, err := datadir.Open(path, datadir.Exclusive, 0, "", "")
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "--data") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
