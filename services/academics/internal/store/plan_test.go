package store_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/sqlitestore"
	"trama/services/academics/internal/course"
	sql "trama/services/academics/internal/store"
	"trama/services/academics/internal/student"
)

// recorder remembers the last read.
type recorder struct {
	store.Tx
	sql  string
	args []any
}

func (r *recorder) Query(ctx context.Context, sql string, args ...any) (store.Rows, error) {
	r.sql, r.args = sql, args
	return r.Tx.Query(ctx, sql, args...)
}

func (r *recorder) QueryRow(ctx context.Context, sql string, args ...any) store.Row {
	r.sql, r.args = sql, args
	return r.Tx.QueryRow(ctx, sql, args...)
}

// Every read goes along an index and no list is sorted after it was read: that
// keeps a page's cost the same whatever the size of the table. Only the search
// by words reads all courses, of which there are few.
func TestReadsGoAlongIndexes(t *testing.T) {
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(t.TempDir(), "plan.db"), Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := migration.Run(t.Context(), db, "academics", sql.Migrations()); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	reads := map[string]func(r *recorder) error{
		"courses": func(r *recorder) error {
			_, err := sql.Courses(ctx, r, sql.CourseFilter{}, sql.CoursePosition{}, 21)
			return err
		},
		"active courses": func(r *recorder) error {
			_, err := sql.Courses(ctx, r, sql.CourseFilter{OnlyActive: true}, sql.CoursePosition{SortKey: "a", ID: "b"}, 21)
			return err
		},
		"course by slug": func(r *recorder) error {
			_, err := sql.Courses(ctx, r, sql.CourseFilter{Slug: "x"}, sql.CoursePosition{}, 21)
			return err
		},
		"course":          func(r *recorder) error { _, err := sql.Course(ctx, r, "x"); return gone(err, course.ErrNotFound) },
		"offer":           func(r *recorder) error { _, err := sql.CourseOffer(ctx, r, "x"); return gone(err, course.ErrNotFound) },
		"students":        func(r *recorder) error { _, err := sql.Students(ctx, r, sql.StudentFilter{}, "", 21); return err },
		"students behind": func(r *recorder) error { _, err := sql.Students(ctx, r, sql.StudentFilter{}, "x", 21); return err },
		"students by mail": func(r *recorder) error {
			_, err := sql.Students(ctx, r, sql.StudentFilter{Email: "x"}, "y", 21)
			return err
		},
		"students by cpf": func(r *recorder) error {
			_, err := sql.Students(ctx, r, sql.StudentFilter{CPF: "x"}, "", 21)
			return err
		},
		"student": func(r *recorder) error { _, err := sql.Student(ctx, r, "x"); return gone(err, student.ErrNotFound) },
		"enrolments": func(r *recorder) error {
			_, err := sql.Enrolments(ctx, r, "x", sql.EnrolmentPosition{}, 21)
			return err
		},
		"enrolments behind": func(r *recorder) error {
			_, err := sql.Enrolments(ctx, r, "x", sql.EnrolmentPosition{CreatedAt: time.Now(), ID: "y"}, 21)
			return err
		},
		"joinable":  func(r *recorder) error { _, _, err := sql.LockJoinable(ctx, r, "x", "y", "z"); return err },
		"enrolment": func(r *recorder) error { _, _, err := sql.LockEnrolment(ctx, r, "x"); return err },
	}
	for name, read := range reads {
		err := db.Update(ctx, func(tx store.Tx) error {
			r := &recorder{Tx: tx}
			if err := read(r); err != nil {
				return err
			}
			rows, err := tx.Query(ctx, `EXPLAIN QUERY PLAN `+r.sql, r.args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id, parent, unused int64
				var detail string
				if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
					return err
				}
				// At most two rows are sorted where an enrolment to join is sought.
				if strings.HasPrefix(detail, "SCAN") || strings.Contains(detail, "TEMP B-TREE") && name != "joinable" {
					t.Errorf("%s: %s\n%s", name, detail, r.sql)
				}
			}
			return rows.Err()
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func gone(err, missing error) error {
	if err == missing {
		return nil
	}
	return err
}
