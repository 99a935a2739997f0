// Package demo owns the courses of the demonstration school. They are invented;
// their ids never change, so that examples and links stay valid.
package demo

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"time"

	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/money"
	"trama/platform/store"
	"trama/services/academics/internal/course"
	sql "trama/services/academics/internal/store"
)

//go:embed courses.json
var file []byte

// mark is the seed's name in the store.
const mark = "demo"

// written is a course as courses.json has it.
type written struct {
	ID        string          `json:"id"`
	Slug      string          `json:"slug"`
	Titulo    string          `json:"titulo"`
	Resumo    string          `json:"resumo"`
	Descricao []string        `json:"descricao"` // paragraphs
	Nivel     course.Level    `json:"nivel"`
	Horas     int             `json:"horas"`
	Preco     string          `json:"preco"` // "1299.00"
	Instrutor string          `json:"instrutor"`
	Categoria string          `json:"categoria"`
	Aulas     []writtenLesson `json:"aulas"`
}

type writtenLesson struct {
	Titulo  string `json:"titulo"`
	Minutos int    `json:"minutos"`
}

// Courses gives the courses, created at the given time.
func Courses(now time.Time) ([]course.Course, error) {
	var all []written
	if err := json.Unmarshal(file, &all); err != nil {
		return nil, fmt.Errorf("demo courses: %w", err)
	}
	out := make([]course.Course, 0, len(all))
	for _, w := range all {
		content := course.Content{
			Slug: w.Slug, Title: w.Titulo, Summary: w.Resumo, Level: w.Nivel, Hours: w.Horas,
			Price: w.Preco, Currency: money.BRL, Instructor: w.Instrutor, Category: w.Categoria, Active: true,
		}
		for i, p := range w.Descricao {
			if i > 0 {
				content.Description += "\n\n"
			}
			content.Description += p
		}
		for _, l := range w.Aulas {
			content.Lessons = append(content.Lessons, course.LessonContent{Title: l.Titulo, Minutes: l.Minutos})
		}
		c, err := course.New(w.ID, content, &lessonIDs{course: w.ID}, now)
		if err != nil {
			return nil, fmt.Errorf("demo course %s: %w", w.Slug, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// lessonIDs numbers the lessons of one course: the course's id with the lesson's
// number in the group before the last, so that they never change either.
type lessonIDs struct {
	course string
	n      int
}

var _ id.Source = (*lessonIDs)(nil)

// New gives the id of the next lesson.
func (l *lessonIDs) New() string {
	l.n++
	return fmt.Sprintf("%s8%03x%s", l.course[:19], l.n, l.course[23:])
}

// Seed writes the courses once in the life of a store, in one transaction, and
// gives how many it wrote.
func Seed(ctx context.Context, db store.DB, c clock.Clock) (int, error) {
	courses, err := Courses(c.Now())
	if err != nil {
		return 0, err
	}
	n := 0
	err = db.Update(ctx, func(tx store.Tx) error {
		n = 0
		first, err := sql.MarkSeeded(ctx, tx, mark, c.Now())
		if err != nil || !first {
			return err
		}
		for i := range courses {
			if err := sql.InsertCourse(ctx, tx, &courses[i]); err != nil {
				return fmt.Errorf("demo course %s: %w", courses[i].Slug, err)
			}
		}
		n = len(courses)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("seed: %w", err)
	}
	return n, nil
}
