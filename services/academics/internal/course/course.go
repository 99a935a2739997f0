// Package course owns what the school teaches: courses that cannot be wrong.
//
// A Course is made by New and changed by Rewrite only, both from a Content (what
// staff write); each checks every rule and tells all that are broken at once,
// with JSON pointers of the public wall. No I/O.
package course

import (
	"time"

	"trama/platform/fault"
	"trama/platform/id"
	"trama/platform/money"
)

// Level says for whom a course is.
type Level string

// The levels, as the public wall writes them.
const (
	Beginner     Level = "iniciante"
	Intermediate Level = "intermediario"
	Advanced     Level = "avancado"
)

// Course is a course of the school.
type Course struct {
	ID          string
	Slug        string // its name in addresses: unique, ASCII
	Title       string
	Summary     string // one sentence
	Description string // paragraphs, separated by blank lines
	Level       Level
	Hours       int // length, in hours
	Price       money.Cents
	Instructor  string
	Category    string
	Lessons     []Lesson // in the order in which they are given
	Active      bool     // sold, and shown to everybody
	Version     int64    // 1 at creation, +1 per change
	CreatedAt   time.Time
	UpdatedAt   time.Time

	// SlugBase is not empty when nobody chose the slug: the slug is to be this
	// text, or the first free of it with -2, -3… behind. Not stored.
	SlugBase string
}

// Lesson is one lesson of a course.
type Lesson struct {
	ID      string
	Title   string
	Minutes int
}

// Faults of courses.
var (
	ErrNotFound = fault.New(fault.NotFound, "curso-nao-encontrado", fault.Text{
		PT: "Não há curso com este identificador.",
		EN: "There is no course with this id.",
	})
	ErrSlugTaken = fault.New(fault.Conflict, "slug-em-uso", fault.Text{
		PT: "Outro curso já usa este slug. Escolha outro, ou não envie slug e ele será feito do título.",
		EN: "Another course has this slug. Choose another, or send none and it is made from the title.",
	})
)

// New makes a course. ids gives the ids of its lessons.
func New(courseID string, content Content, ids id.Source, now time.Time) (Course, error) {
	c := Course{ID: courseID, CreatedAt: now}
	if err := c.Rewrite(content, ids, now); err != nil {
		return Course{}, err
	}
	return c, nil
}

// Rewrite gives the course a whole new content; on an error nothing changed.
// Lessons that name the id of a lesson of this course keep it.
func (c *Course) Rewrite(content Content, ids id.Source, now time.Time) error {
	clean, err := content.check(c.Lessons)
	if err != nil {
		return err
	}
	next := Course{
		ID: c.ID, Title: clean.Title, Summary: clean.Summary, Description: clean.Description,
		Level: clean.Level, Hours: clean.Hours, Price: clean.price, Instructor: clean.Instructor,
		Category: clean.Category, Active: clean.Active,
		Version: c.Version + 1, CreatedAt: c.CreatedAt, UpdatedAt: now,
	}
	for _, l := range clean.Lessons {
		if l.ID == "" {
			l.ID = ids.New()
		}
		next.Lessons = append(next.Lessons, Lesson(l))
	}
	next.nameSlug(c.Slug, clean)
	*c = next
	return nil
}

// Content gives what Rewrite takes: rewriting a course with its own content
// changes nothing but its version.
func (c *Course) Content() Content {
	content := Content{
		Slug: c.Slug, Title: c.Title, Summary: c.Summary, Description: c.Description,
		Level: c.Level, Hours: c.Hours, Price: c.Price.String(), Currency: money.BRL,
		Instructor: c.Instructor, Category: c.Category, Active: c.Active,
	}
	for _, l := range c.Lessons {
		content.Lessons = append(content.Lessons, LessonContent(l))
	}
	return content
}
