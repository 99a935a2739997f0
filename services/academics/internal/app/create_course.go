package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"trama/platform/idempotency"
	"trama/platform/store"
	"trama/services/academics/internal/course"
	sql "trama/services/academics/internal/store"
)

// Create adds a course to the offer. With an Idempotency-Key in ctx it does so
// once, and gives the course as it was created then.
func (a *Courses) Create(ctx context.Context, content course.Content) (course.Course, error) {
	fresh, err := course.New(a.IDs.New(), content, a.IDs, a.Clock.Now())
	if err != nil {
		return course.Course{}, err
	}
	key, keyed := idempotency.FromContext(ctx)
	created, err := retrySlug(func() (created course.Course, err error) {
		err = a.DB.Update(ctx, func(tx store.Tx) error {
			if keyed {
				before, done, err := a.createdBefore(ctx, tx, key)
				if created = before; err != nil || done {
					return err
				}
			}
			created = fresh
			if err := sql.InsertCourse(ctx, tx, &created); err != nil || !keyed {
				return err
			}
			return a.rememberCreated(ctx, tx, key, created)
		})
		return created, err
	})
	if errors.Is(err, idempotency.ErrRace) {
		before, done, findErr := a.createdBefore(ctx, a.DB, key)
		if done || findErr != nil {
			return before, findErr
		}
	}
	return created, err
}

// createdBefore gives the course that the same request created.
func (a *Courses) createdBefore(ctx context.Context, q store.Queryer, key idempotency.Key) (c course.Course, done bool, err error) {
	answer, done, err := idempotency.Find(ctx, q, key, a.Clock.Now())
	if err != nil || !done {
		return course.Course{}, false, err
	}
	if err := json.Unmarshal(answer.Body, &c); err != nil {
		return course.Course{}, false, fmt.Errorf("stored answer of course %s: %w", answer.Resource, err)
	}
	return c, true, nil
}

func (a *Courses) rememberCreated(ctx context.Context, tx store.Tx, key idempotency.Key, c course.Course) error {
	body, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode course %s: %w", c.ID, err)
	}
	return idempotency.Save(ctx, tx, key, idempotency.Answer{Status: http.StatusCreated, Resource: c.ID, Body: body}, a.Clock.Now())
}
