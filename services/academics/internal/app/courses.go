package app

import (
	"context"

	"trama/platform/store"
	"trama/services/academics/internal/course"
	sql "trama/services/academics/internal/store"
)

// Courses is the school's offer.
type Courses struct{ Deps }

// Get gives a course. One that is not active exists for staff only.
func (a *Courses) Get(ctx context.Context, id string, staff bool) (course.Course, error) {
	c, err := sql.Course(ctx, a.DB, id)
	if err == nil && !c.Active && !staff {
		err = course.ErrNotFound
	}
	if err != nil {
		return course.Course{}, err
	}
	return c, nil
}

// Offer gives what a course costs now.
func (a *Courses) Offer(ctx context.Context, id string) (sql.Offer, error) {
	return sql.CourseOffer(ctx, a.DB, id)
}

// List gives up to limit courses behind a position, by title.
func (a *Courses) List(ctx context.Context, f sql.CourseFilter, after sql.CoursePosition, limit int) (Page[course.Course], error) {
	items, err := sql.Courses(ctx, a.DB, f, after, limit+1)
	return page(items, limit), err
}

// Change rewrites a course with what edit makes of its content, if pre lets it.
// Both may run more than once.
func (a *Courses) Change(ctx context.Context, id string, pre Precondition, edit func(*course.Content)) (course.Course, error) {
	return retrySlug(func() (changed course.Course, err error) {
		err = a.DB.Update(ctx, func(tx store.Tx) error {
			c, err := sql.LockCourse(ctx, tx, id)
			if err != nil {
				return err
			}
			if err := pre(c.Version); err != nil {
				return err
			}
			content := c.Content()
			edit(&content)
			if err := c.Rewrite(content, a.IDs, a.Clock.Now()); err != nil {
				return err
			}
			changed = c
			return sql.UpdateCourse(ctx, tx, &changed)
		})
		return changed, err
	})
}

// Delete takes a course out of the offer, if pre lets it. Who is enrolled stays so.
func (a *Courses) Delete(ctx context.Context, id string, pre Precondition) error {
	return a.DB.Update(ctx, func(tx store.Tx) error {
		c, err := sql.LockCourse(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := pre(c.Version); err != nil {
			return err
		}
		return sql.DeleteCourse(ctx, tx, id)
	})
}

// slugTries bounds how often a write is repeated because another process took
// the free slug that it had found.
const slugTries = 5

// retrySlug runs a write of a course again when a slug was taken meanwhile: the
// next try finds another one, or says that a chosen one is taken.
func retrySlug(write func() (course.Course, error)) (course.Course, error) {
	for try := 1; ; try++ {
		c, err := write()
		switch {
		case err == nil:
			return c, nil
		case !store.IsUnique(err):
			return course.Course{}, err
		case try == slugTries:
			return course.Course{}, course.ErrSlugTaken.Wrap(err)
		}
	}
}
