package migration_test

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"trama/platform/enginetest"
	"trama/platform/fault"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
)

func sqlite(t *testing.T, path string) store.DB {
	t.Helper()
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func file(sql string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql + "\n")}
}

func sample() fstest.MapFS {
	return fstest.MapFS{
		"0001_first.sql":           file("CREATE TABLE first (id TEXT PRIMARY KEY);\nINSERT INTO first VALUES ('a');"),
		"0002_serial.sqlite.sql":   file("CREATE TABLE second (seq INTEGER PRIMARY KEY AUTOINCREMENT);"),
		"0002_serial.postgres.sql": file("CREATE TABLE second (seq BIGSERIAL PRIMARY KEY);"),
		"readme.md":                &fstest.MapFile{Data: []byte("not a migration")},
	}
}

func number(t *testing.T, db store.DB, sql string) (n int) {
	t.Helper()
	if err := db.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// engines runs a test on every engine there is.
func engines(t *testing.T, test func(t *testing.T, again func(*testing.T) store.DB)) {
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "m.db")
		test(t, func(t *testing.T) store.DB { return sqlite(t, path) })
	})
	t.Run("postgres", func(t *testing.T) {
		url := enginetest.PostgresDatabase(t)
		test(t, func(t *testing.T) store.DB {
			db, err := pgstore.Open(t.Context(), pgstore.Options{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return db
		})
	})
}

func TestRun(t *testing.T) {
	engines(t, func(t *testing.T, again func(*testing.T) store.DB) {
		db, files := again(t), sample()
		run := func(want int) {
			t.Helper()
			if n, err := migration.Run(t.Context(), db, "school", files); err != nil || n != want {
				t.Fatalf("applied %d, %v; want %d", n, err, want)
			}
		}
		status := func(want ...bool) {
			t.Helper()
			got, err := migration.Status(t.Context(), db, "school", files)
			if err != nil || len(got) != len(want) {
				t.Fatalf("status: %v, %v", got, err)
			}
			for i, f := range got {
				if f.Applied != want[i] || f.Version != int64(i+1) {
					t.Errorf("status %d: %+v, want applied %v", i, f, want[i])
				}
			}
		}
		status(false, false)
		run(2)
		status(true, true)
		run(0)
		files["0003_third.sql"] = file("ALTER TABLE first ADD COLUMN n BIGINT;")
		status(true, true, false)
		run(1)
		run(0)
		if n := number(t, db, "SELECT COUNT(*) FROM first WHERE n IS NULL"); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
		// Another set of the same store counts for itself.
		other := fstest.MapFS{"0001_other.sql": file("CREATE TABLE other (id TEXT PRIMARY KEY);")}
		if n, err := migration.Run(t.Context(), db, "platform", other); err != nil || n != 1 {
			t.Errorf("other set: %d, %v", n, err)
		}
	})
}

// A file that fails leaves nothing of itself, keeps what went before, and runs
// again once it is mended.
func TestFailure(t *testing.T) {
	engines(t, func(t *testing.T, again func(*testing.T) store.DB) {
		db, files := again(t), sample()
		files["0003_bad.sql"] = file("INSERT INTO first (id) VALUES ('half');\nINSERT INTO nowhere VALUES (1);")
		n, err := migration.Run(t.Context(), db, "school", files)
		if err == nil || n != 2 || !strings.Contains(err.Error(), "0003_bad.sql") {
			t.Fatalf("applied %d, %v", n, err)
		}
		if n := number(t, db, "SELECT COUNT(*) FROM first"); n != 1 {
			t.Errorf("%d rows, want 1: half of a file was applied", n)
		}
		files["0003_bad.sql"] = file("INSERT INTO first (id) VALUES ('whole');")
		if n, err := migration.Run(t.Context(), db, "school", files); err != nil || n != 1 {
			t.Errorf("mended: %d, %v", n, err)
		}
	})
}

// Many start at once: each file is applied once, and nobody returns before.
func TestConcurrent(t *testing.T) {
	engines(t, func(t *testing.T, again func(*testing.T) store.DB) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		total := 0
		for range 4 {
			db := again(t)
			wg.Go(func() {
				n, err := migration.Run(t.Context(), db, "school", sample())
				if err != nil {
					t.Error(err)
					return
				}
				var rows int
				if err := db.QueryRow(t.Context(), "SELECT COUNT(*) FROM first").Scan(&rows); err != nil || rows != 1 {
					t.Errorf("after Run: %d rows, %v", rows, err)
				}
				mu.Lock()
				total += n
				mu.Unlock()
			})
		}
		wg.Wait()
		if total != 2 {
			t.Errorf("%d files applied in all, want 2", total)
		}
	})
}

func TestBadSets(t *testing.T) {
	db := sqlite(t, filepath.Join(t.TempDir(), "m.db"))
	for what, c := range map[string]struct {
		name  string
		files fstest.MapFS
	}{
		"name":        {"a b", fstest.MapFS{}},
		"no name":     {"", fstest.MapFS{}},
		"no version":  {"x", fstest.MapFS{"first.sql": file("SELECT 1;")}},
		"one engine":  {"x", fstest.MapFS{"0001_a.sqlite.sql": file("SELECT 1;")}},
		"twice":       {"x", fstest.MapFS{"0001_a.sql": file("SELECT 1;"), "0001_b.sql": file("SELECT 1;")}},
		"twice, pair": {"x", fstest.MapFS{"0001_a.sql": file("SELECT 1;"), "0001_a.postgres.sql": file("SELECT 1;")}},
	} {
		if _, err := migration.Run(t.Context(), db, c.name, c.files); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

// Two services in schemas of one database have version tables of their own.
func TestSchemas(t *testing.T) {
	database := enginetest.PostgresDatabase(t)
	for _, schema := range []string{"one", "two"} {
		enginetest.PostgresExec(t, database, "CREATE SCHEMA "+schema)
		db, err := pgstore.Open(t.Context(), pgstore.Options{URL: database + "&search_path=" + schema})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if n, err := migration.Run(t.Context(), db, "school", sample()); err != nil || n != 2 {
			t.Errorf("schema %s: applied %d, %v; want 2", schema, n, err)
		}
	}
}

// A server that is down is told as such, so that the caller can wait for it.
func TestServerDown(t *testing.T) {
	db, err := pgstore.Open(t.Context(), pgstore.Options{URL: "postgres://nobody@127.0.0.1:1/nothing"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := migration.Run(t.Context(), db, "school", sample()); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
}

// BenchmarkNothingPending is what a start costs for each set of each store.
func BenchmarkNothingPending(b *testing.B) {
	db, err := sqlitestore.Open(b.Context(), sqlitestore.Options{Path: filepath.Join(b.TempDir(), "m.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	for b.Loop() {
		if _, err := migration.Run(b.Context(), db, "school", sample()); err != nil {
			b.Fatal(err)
		}
	}
}
