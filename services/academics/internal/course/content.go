package course

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"trama/platform/money"
	"trama/platform/rule"
)

// Content is everything about a course that staff write, as they wrote it.
type Content struct {
	Slug        string // empty: made from the title
	Title       string
	Summary     string
	Description string
	Level       Level
	Hours       int
	Price       string // decimal, "1299.00"
	Currency    string // "BRL"
	Instructor  string
	Category    string
	Lessons     []LessonContent
	Active      bool
}

// LessonContent is one lesson as written.
type LessonContent struct {
	ID      string // of a lesson the course has; empty for a new one
	Title   string
	Minutes int
}

// Limits of a course.
const (
	MaxHours         = 2000 // hours of a course
	MaxLessonMinutes = 600  // minutes of a lesson
	MaxLessons       = 500
)

// checked is a Content that keeps every rule.
type checked struct {
	Content
	price money.Cents
}

// check gives the content in its normal form, or every broken rule. known are
// the lessons the course has now.
func (c Content) check(known []Lesson) (checked, error) {
	var k rule.Checker
	out := checked{Content: c}
	out.Slug = slugRule(&k, "/slug", c.Slug)
	out.Title = line(&k, "/titulo", c.Title, 3, 150)
	out.Summary = line(&k, "/resumo", c.Summary, 1, 300)
	out.Description = paragraphs(&k, "/descricao", c.Description, 1, 10_000)
	out.Instructor = k.Name("/instrutor", c.Instructor)
	out.Category = line(&k, "/categoria", c.Category, 2, 60)
	if c.Level != Beginner && c.Level != Intermediate && c.Level != Advanced {
		k.Add("/nivel", "valor", "O nível é iniciante, intermediario ou avancado.", "The level is iniciante, intermediario or avancado.")
	}
	whole(&k, "/cargaHoraria", c.Hours, MaxHours)
	out.price = priceRule(&k, c.Price, c.Currency)
	out.Lessons = lessonsRule(&k, c.Lessons, known)
	return out, k.Err()
}

func priceRule(k *rule.Checker, price, currency string) money.Cents {
	cents, err := money.Parse(price)
	switch {
	case err != nil:
		k.Add("/preco/valor", "valor", "Informe o preço com ponto e duas casas, como 1299.00, até 1000000.00.",
			"Give the price with a point and two decimals, like 1299.00, at most 1000000.00.")
	case cents == 0:
		k.Add("/preco/valor", "minimo", "O preço precisa ser maior que zero.", "The price must be more than zero.")
	}
	if currency != money.BRL {
		k.Add("/preco/moeda", "moeda", "A moeda é BRL.", "The currency is BRL.")
	}
	return cents
}

func lessonsRule(k *rule.Checker, lessons []LessonContent, known []Lesson) []LessonContent {
	if len(lessons) > MaxLessons {
		k.Add("/aulas", "tamanho", "Um curso pode ter até 500 aulas.", "A course may have up to 500 lessons.")
		return nil
	}
	out := slices.Clone(lessons)
	seen := map[string]bool{}
	for i := range out {
		at := fmt.Sprintf("/aulas/%d", i)
		out[i].Title = line(k, at+"/titulo", out[i].Title, 1, 200)
		whole(k, at+"/minutos", out[i].Minutes, MaxLessonMinutes)
		lessonID := out[i].ID
		if lessonID == "" {
			continue
		}
		if !slices.ContainsFunc(known, func(l Lesson) bool { return l.ID == lessonID }) {
			k.Add(at+"/id", "aula-desconhecida", "O curso não tem aula com este id; sem id a aula é nova.",
				"The course has no lesson with this id; without an id the lesson is new.")
		} else if seen[lessonID] {
			k.Add(at+"/id", "repetido", "Este id aparece em mais de uma aula.", "This id appears in more than one lesson.")
		}
		seen[lessonID] = true
	}
	return out
}

func whole(k *rule.Checker, pointer string, n, max int) {
	if n < 1 || n > max {
		k.Add(pointer, "faixa", fmt.Sprintf("Informe um número inteiro de 1 a %d.", max), fmt.Sprintf("Give a whole number from 1 to %d.", max))
	}
}

// line checks a text of one line: its result has single spaces.
func line(k *rule.Checker, pointer, s string, min, max int) string {
	s = strings.Join(strings.Fields(s), " ")
	textRule(k, pointer, s, min, max)
	return s
}

// paragraphs checks a text of several lines: its result has "\n" between them.
func paragraphs(k *rule.Checker, pointer, s string, min, max int) string {
	s = strings.TrimSpace(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\t", " ").Replace(s))
	textRule(k, pointer, s, min, max)
	return s
}

func textRule(k *rule.Checker, pointer, s string, min, max int) {
	n := utf8.RuneCountInString(s)
	switch {
	case n == 0:
		k.Add(pointer, "obrigatorio", "Preencha este campo.", "Fill in this field.")
	case strings.ContainsFunc(s, forbidden):
		k.Add(pointer, "caracteres", "O texto tem caracteres que não podem ser aceitos.", "The text has characters that cannot be accepted.")
	case n < min || n > max:
		k.Add(pointer, "tamanho", fmt.Sprintf("O texto precisa ter de %d a %d caracteres.", min, max),
			fmt.Sprintf("The text must have %d to %d characters.", min, max))
	}
}

// forbidden are control characters, those that reorder text (they can make it
// show something else than it says) and what was not valid UTF-8.
func forbidden(r rune) bool {
	return unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError
}
