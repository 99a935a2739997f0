package app

import (
	"context"

	"trama/platform/store"
	"trama/services/academics/internal/enrolment"
	sql "trama/services/academics/internal/store"
	"trama/services/academics/internal/student"
)

// Students is who studies here.
type Students struct{ Deps }

// Get gives one student.
func (a *Students) Get(ctx context.Context, id string) (student.Student, error) {
	return sql.Student(ctx, a.DB, id)
}

// List gives up to limit students older than the one with id before (empty: the newest).
func (a *Students) List(ctx context.Context, f sql.StudentFilter, before string, limit int) (Page[student.Student], error) {
	items, err := sql.Students(ctx, a.DB, f, before, limit+1)
	return page(items, limit), err
}

// Change rewrites a student with what edit makes of the profile, if pre lets
// it. Both may run more than once.
func (a *Students) Change(ctx context.Context, id string, pre Precondition, edit func(*student.Profile)) (changed student.Student, err error) {
	err = a.DB.Update(ctx, func(tx store.Tx) error {
		s, err := sql.LockStudent(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := pre(s.Version); err != nil {
			return err
		}
		profile := s.Profile()
		edit(&profile)
		if err := s.Rewrite(profile, a.Clock.Now()); err != nil {
			return err
		}
		changed = s
		return sql.UpdateStudent(ctx, tx, &changed)
	})
	return changed, err
}

// Enrolments gives up to limit enrolments of a student older than a position;
// student.ErrNotFound when there is no such student.
func (a *Students) Enrolments(ctx context.Context, studentID string, before sql.EnrolmentPosition, limit int) (Page[enrolment.Enrolment], error) {
	if _, err := sql.Student(ctx, a.DB, studentID); err != nil {
		return Page[enrolment.Enrolment]{}, err
	}
	items, err := sql.Enrolments(ctx, a.DB, studentID, before, limit+1)
	return page(items, limit), err
}
