package sqlitestore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"trama/platform/fault"
	"trama/platform/store"
	"trama/platform/store/sqlitestore"
)

// A disk that fills up and is freed again: calls fail with Unavailable meanwhile,
// what was acknowledged stays, and the store recovers without being reopened.
func TestDiskFull(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("a small disk needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 600<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(disk, "full.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	tableT(t, db)

	body := strings.Repeat("1", 8<<10)
	write := func(i int) error {
		return db.Update(t.Context(), func(tx store.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO t (id, n) VALUES ($1, $2)`, strconv.Itoa(i)+"/"+body, i)
			return err
		})
	}
	acknowledged := fill(t, write)
	if n := number(t, db, `SELECT COUNT(*) FROM t WHERE n > 0`); n != acknowledged {
		t.Errorf("%d rows on the full disk, %d were acknowledged", n, acknowledged)
	}
	if err := db.Ping(t.Context()); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Ping on the full disk: %v, want unavailable", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("Ping with room again: %v", err)
	}
	if err := write(1_000_000); err != nil {
		t.Errorf("write with room again: %v", err)
	}
	var check string
	if err := db.QueryRow(t.Context(), `PRAGMA integrity_check`).Scan(&check); err != nil || check != "ok" {
		t.Errorf("integrity: %q, %v", check, err)
	}
	if n := number(t, db, `SELECT COUNT(*) FROM t WHERE n > 0`); n != acknowledged+1 {
		t.Errorf("%d rows in the end, want %d", n, acknowledged+1)
	}
}

// fill writes from several goroutines until each has failed three times, and
// gives the number of writes that were acknowledged.
func fill(t *testing.T, write func(i int) error) int {
	t.Helper()
	var mu sync.Mutex
	acknowledged := 0
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for i, failed := 1, 0; failed < 3; i++ {
				err := write(c*10_000 + i)
				if err == nil {
					mu.Lock()
					acknowledged++
					mu.Unlock()
					continue
				}
				failed++
				if fault.KindOf(err) != fault.Unavailable {
					t.Errorf("on the full disk: %v, want unavailable", err)
				}
			}
		})
	}
	wg.Wait()
	return acknowledged
}

// Files are for their owner only.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(dir, "x.db")
	db := open(t, sqlitestore.Options{Path: path})
	tableT(t, db)
	for name, mode := range map[string]os.FileMode{dir: 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".new-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What cannot be opened is told in one error, of the right kind.
func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	notDB := filepath.Join(dir, "text.db")
	if err := os.WriteFile(notDB, []byte(strings.Repeat("this is no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, path := range map[string]string{
		"a file that is no database": notDB,
		"a folder":                   dir,
		"under a file":               filepath.Join(notDB, "x.db"),
	} {
		_, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: path})
		if err == nil || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: %v, want unavailable", what, err)
		}
	}
	for what, o := range map[string]sqlitestore.Options{
		"no path":     {},
		"synchronous": {Path: filepath.Join(dir, "y.db"), Synchronous: "PERHAPS"},
	} {
		if _, err := sqlitestore.Open(t.Context(), o); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "y.db")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was made for wrong options")
	}
}

func tableT(t testing.TB, db store.DB) {
	t.Helper()
	err := db.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(t.Context(), `CREATE TABLE t (id TEXT PRIMARY KEY, n BIGINT NOT NULL)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func number(t testing.TB, q store.Queryer, sql string, args ...any) (n int) {
	t.Helper()
	if err := q.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}
