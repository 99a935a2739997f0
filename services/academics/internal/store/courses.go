package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"trama/platform/money"
	"trama/platform/rule"
	"trama/platform/store"
	"trama/services/academics/internal/course"
)

const courseColumns = `id, slug, title, summary, description, level, hours, price_cents,
	instructor, category, lessons, active, version, created_at, updated_at`

// maxSortKey bounds the sort key in bytes, because cursors carry it.
const maxSortKey = 200

// maxSlugTries bounds the search for a free slug; more courses of one title are
// not believable.
const maxSlugTries = 1000

// Course gives one course; course.ErrNotFound when there is none.
func Course(ctx context.Context, q store.Queryer, id string) (course.Course, error) {
	c, err := scanCourse(q.QueryRow(ctx, `SELECT `+courseColumns+` FROM course WHERE id = $1`, id))
	return c, found(err, "course", course.ErrNotFound)
}

// LockCourse gives one course and holds it.
func LockCourse(ctx context.Context, tx store.Tx, id string) (course.Course, error) {
	c, err := scanCourse(tx.QueryRow(ctx, `SELECT `+courseColumns+` FROM course WHERE id = $1`+tx.ForUpdate(), id))
	return c, found(err, "course", course.ErrNotFound)
}

// Offer is what a course costs and whether it is sold.
type Offer struct {
	ID, Title string
	Price     money.Cents
	Active    bool
}

// CourseOffer gives a course's offer by one indexed read; course.ErrNotFound
// when there is none.
func CourseOffer(ctx context.Context, q store.Queryer, id string) (Offer, error) {
	o := Offer{ID: id}
	var cents int64
	err := q.QueryRow(ctx, `SELECT title, price_cents, active FROM course WHERE id = $1`, id).Scan(&o.Title, &cents, &o.Active)
	o.Price = money.Cents(cents)
	return o, found(err, "course", course.ErrNotFound)
}

// CourseFilter says which courses a list has.
type CourseFilter struct {
	Words      []string // folded (rule.Fold); each must occur in title, summary, category or instructor
	Slug       string   // empty: any
	OnlyActive bool
}

// CoursePosition is a place in the order of courses; the zero value is before the first.
type CoursePosition struct{ SortKey, ID string }

// PositionOf gives a course's place.
func PositionOf(c course.Course) CoursePosition { return CoursePosition{sortKey(c.Title), c.ID} }

// Courses lists up to limit courses behind a position, by title.
func Courses(ctx context.Context, q store.Queryer, f CourseFilter, after CoursePosition, limit int) ([]course.Course, error) {
	args := []any{after.SortKey, after.ID}
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	where := `(sort_key, id) > ($1, $2)`
	if f.OnlyActive {
		where += ` AND active`
	}
	if f.Slug != "" {
		where += ` AND slug = ` + arg(f.Slug)
	}
	for _, word := range f.Words { // a folded word has no % or _
		where += ` AND search LIKE ` + arg("%"+word+"%")
	}
	rows, err := q.Query(ctx, `SELECT `+courseColumns+` FROM course WHERE `+where+` ORDER BY sort_key, id LIMIT `+arg(limit), args...)
	return collect(rows, err, "courses", scanCourse)
}

// InsertCourse stores a new course and settles its slug; course.ErrSlugTaken
// when a chosen slug is not free. On PostgreSQL a concurrent insert may still
// take the slug first: then the transaction fails with a unique violation.
func InsertCourse(ctx context.Context, tx store.Tx, c *course.Course) error {
	if err := settleSlug(ctx, tx, c); err != nil {
		return err
	}
	args, err := courseArgs(c)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO course (`+courseColumns+`, sort_key, search)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`, args...)
	if err != nil {
		return fmt.Errorf("insert course: %w", err)
	}
	return nil
}

// UpdateCourse stores a changed course, which the caller holds; slug as in InsertCourse.
func UpdateCourse(ctx context.Context, tx store.Tx, c *course.Course) error {
	if err := settleSlug(ctx, tx, c); err != nil {
		return err
	}
	args, err := courseArgs(c)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE course SET slug = $2, title = $3, summary = $4, description = $5, level = $6, hours = $7,
		price_cents = $8, instructor = $9, category = $10, lessons = $11, active = $12, version = $13, created_at = $14,
		updated_at = $15, sort_key = $16, search = $17 WHERE id = $1`, args...)
	if err != nil {
		return fmt.Errorf("update course: %w", err)
	}
	return nil
}

// DeleteCourse forgets a course. Enrolments keep its id and title.
func DeleteCourse(ctx context.Context, tx store.Tx, id string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM course WHERE id = $1`, id); err != nil {
		return fmt.Errorf("delete course: %w", err)
	}
	return nil
}

// MarkSeeded notes that the named seed was sown; false when it was before.
func MarkSeeded(ctx context.Context, tx store.Tx, name string, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `INSERT INTO seeded (name, at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, now.UnixMilli())
	if err != nil {
		return false, fmt.Errorf("mark seed: %w", err)
	}
	return n == 1, nil
}

func settleSlug(ctx context.Context, tx store.Tx, c *course.Course) error {
	if c.SlugBase == "" {
		free, err := slugFree(ctx, tx, c.Slug, c.ID)
		if err == nil && !free {
			err = course.ErrSlugTaken
		}
		return err
	}
	for n := 1; n <= maxSlugTries; n++ {
		candidate := c.SlugCandidate(n)
		free, err := slugFree(ctx, tx, candidate, c.ID)
		if err != nil {
			return err
		}
		if free {
			c.Slug, c.SlugBase = candidate, ""
			return nil
		}
	}
	return course.ErrSlugTaken
}

func slugFree(ctx context.Context, tx store.Tx, slug, forID string) (bool, error) {
	var owner string
	err := tx.QueryRow(ctx, `SELECT id FROM course WHERE slug = $1`, slug).Scan(&owner)
	if errors.Is(err, store.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for slug: %w", err)
	}
	return owner == forID, nil
}

// lesson is a course.Lesson as stored, in JSON.
type lesson struct {
	ID      string `json:"id"`
	Title   string `json:"titulo"`
	Minutes int    `json:"minutos"`
}

func courseArgs(c *course.Course) ([]any, error) {
	stored := make([]lesson, 0, len(c.Lessons))
	for _, l := range c.Lessons {
		stored = append(stored, lesson(l))
	}
	lessons, err := json.Marshal(stored)
	if err != nil {
		return nil, fmt.Errorf("encode lessons: %w", err)
	}
	search := rule.Fold(strings.Join([]string{c.Title, c.Summary, c.Category, c.Instructor}, " "))
	return []any{c.ID, c.Slug, c.Title, c.Summary, c.Description, string(c.Level), int64(c.Hours), int64(c.Price),
		c.Instructor, c.Category, string(lessons), c.Active, c.Version, millis(c.CreatedAt), millis(c.UpdatedAt),
		sortKey(c.Title), search}, nil
}

func scanCourse(row scanner) (course.Course, error) {
	var c course.Course
	var level, lessons string
	var hours, cents, created, updated int64
	if err := row.Scan(&c.ID, &c.Slug, &c.Title, &c.Summary, &c.Description, &level, &hours, &cents,
		&c.Instructor, &c.Category, &lessons, &c.Active, &c.Version, &created, &updated); err != nil {
		return course.Course{}, err
	}
	c.Level, c.Hours, c.Price = course.Level(level), int(hours), money.Cents(cents)
	c.CreatedAt, c.UpdatedAt = instant(created), instant(updated)
	var stored []lesson
	if err := json.Unmarshal([]byte(lessons), &stored); err != nil {
		return course.Course{}, fmt.Errorf("lessons of course %s: %w", c.ID, err)
	}
	for _, l := range stored {
		c.Lessons = append(c.Lessons, course.Lesson(l))
	}
	return c, nil
}

// sortKey is by what courses are ordered: the folded title, cut.
func sortKey(title string) string {
	key := rule.Fold(title)
	if len(key) <= maxSortKey {
		return key
	}
	cut := maxSortKey
	for !utf8.RuneStart(key[cut]) {
		cut--
	}
	return key[:cut]
}
