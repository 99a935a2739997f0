// Package migration brings the tables of a store up to date.
//
// A set is a folder of SQL files in goose's form ("-- +goose Up"), named
// NNNN_what.sql. One text serves both engines; where that cannot be, a pair
// NNNN_what.sqlite.sql and NNNN_what.postgres.sql takes its place. A store may
// have several sets (the platform's tables, the service's own), each with a
// version table of its own, goose_<name>.
//
// Run holds the store's lease "migrate", so of all processes that start at once
// one migrates and the others wait. Each file is one transaction. When nothing is
// pending, Run costs one query and takes no lease.
package migration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"

	"trama/platform/store"
)

// sqlOpener is what an adapter must offer beside store.DB: a handle for
// database/sql, which the caller closes.
type sqlOpener interface {
	OpenSQL(ctx context.Context) (*sql.DB, error)
}

// File is one migration of a set and its state.
type File struct {
	Version int64
	Name    string // the file's name
	Applied bool
}

// Run applies what is pending of the set and gives how many files that was.
func Run(ctx context.Context, db store.DB, name string, files fs.FS) (applied int, err error) {
	set, err := read(db.Dialect(), name, files)
	if err != nil {
		return 0, err
	}
	if pending, err := set.pending(ctx, db); err != nil || pending == 0 {
		return 0, err
	}
	lease, err := db.Lease(ctx, "migrate")
	if err != nil {
		return 0, fmt.Errorf("migration %s: lock: %w", name, err)
	}
	defer func() {
		if e := lease.Release(); e != nil && err == nil {
			err = fmt.Errorf("migration %s: unlock: %w", name, e)
		}
	}()
	// Another process may have done it while we waited.
	if pending, err := set.pending(ctx, db); err != nil || pending == 0 {
		return 0, err
	}
	return set.apply(ctx, db, files)
}

// Status gives the files of the set in order. It changes nothing.
func Status(ctx context.Context, db store.DB, name string, files fs.FS) ([]File, error) {
	set, err := read(db.Dialect(), name, files)
	if err != nil {
		return nil, err
	}
	if _, err := set.pending(ctx, db); err != nil {
		return nil, err
	}
	return set.files, nil
}

// set is the migrations of one name for one dialect.
type set struct {
	name    string
	files   []File
	exclude []string // the other dialect's files
}

func (s *set) table() string { return "goose_" + s.name }

// read sorts the files out and refuses a set that would differ between engines.
func read(d store.Dialect, name string, files fs.FS) (*set, error) {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return nil, fmt.Errorf("migration: bad set name %q: want a-z, 0-9, _", name)
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("migration %s: %w", name, err)
	}
	s := &set{name: name}
	seen := map[int64]map[store.Dialect]bool{}
	for _, n := range names {
		number, _, _ := strings.Cut(n, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil || version < 1 {
			return nil, fmt.Errorf("migration %s: %s: want NNNN_what.sql", name, n)
		}
		if seen[version] == nil {
			seen[version] = map[store.Dialect]bool{}
		}
		for _, of := range dialects(n) {
			if seen[version][of] {
				return nil, fmt.Errorf("migration %s: two files have version %d for %s", name, version, of)
			}
			seen[version][of] = true
		}
		if slices.Contains(dialects(n), d) {
			s.files = append(s.files, File{Version: version, Name: n})
		} else {
			s.exclude = append(s.exclude, n)
		}
	}
	for version, of := range seen {
		if len(of) != 2 {
			return nil, fmt.Errorf("migration %s: version %d is for one engine only", name, version)
		}
	}
	slices.SortFunc(s.files, func(a, b File) int { return int(a.Version - b.Version) })
	return s, nil
}

// dialects says whom a file is for.
func dialects(file string) []store.Dialect {
	switch path.Ext(strings.TrimSuffix(file, ".sql")) {
	case "." + string(store.SQLite):
		return []store.Dialect{store.SQLite}
	case "." + string(store.Postgres):
		return []store.Dialect{store.Postgres}
	}
	return []store.Dialect{store.SQLite, store.Postgres}
}

// pending marks what is applied and counts what is not. A version table that
// cannot be read does not exist yet.
func (s *set) pending(ctx context.Context, db store.DB) (int, error) {
	have, err := s.versions(ctx, db)
	if err != nil {
		return 0, fmt.Errorf("migration %s: %w", s.name, err)
	}
	pending := 0
	for i := range s.files {
		s.files[i].Applied = have[s.files[i].Version]
		if !s.files[i].Applied {
			pending++
		}
	}
	return pending, nil
}

func (s *set) versions(ctx context.Context, db store.DB) (map[int64]bool, error) {
	have := map[int64]bool{}
	exists := `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1`
	if db.Dialect() == store.Postgres {
		exists = `SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1`
	}
	var n int64
	if err := db.QueryRow(ctx, exists, s.table()).Scan(&n); err != nil || n == 0 {
		return have, err
	}
	rows, err := db.Query(ctx, `SELECT version_id FROM `+s.table()+` WHERE is_applied`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		have[v] = true
	}
	return have, rows.Err()
}

// apply runs goose.
func (s *set) apply(ctx context.Context, db store.DB, files fs.FS) (applied int, err error) {
	opener, ok := db.(sqlOpener)
	if !ok {
		return 0, fmt.Errorf("migration %s: %T offers no database/sql handle", s.name, db)
	}
	handle, err := opener.OpenSQL(ctx)
	if err != nil {
		return 0, fmt.Errorf("migration %s: %w", s.name, err)
	}
	defer func() { err = errors.Join(err, handle.Close()) }()
	dialect := goose.DialectSQLite3
	if db.Dialect() == store.Postgres {
		dialect = goose.DialectPostgres
	}
	p, err := goose.NewProvider(dialect, handle, files,
		goose.WithTableName(s.table()), goose.WithExcludeNames(s.exclude), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return 0, fmt.Errorf("migration %s: %w", s.name, err)
	}
	done, err := p.Up(ctx)
	if err != nil {
		var partial *goose.PartialError
		if errors.As(err, &partial) {
			done = partial.Applied
			err = fmt.Errorf("%s: %w", path.Base(partial.Failed.Source.Path), partial.Err)
		}
		return len(done), fmt.Errorf("migration %s: %w", s.name, err)
	}
	return len(done), nil
}
