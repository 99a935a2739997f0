package site

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"trama/contracts/rest/academico"
	"trama/platform/id"
)

// maxSearch is the longest search sent to the API, in characters.
const maxSearch = 200

// homePage is what the template "inicio" shows.
type homePage struct {
	Search     string
	Category   string
	Categories []categoryLink
	Courses    []academico.Curso
	Filtered   bool
}

// categoryLink leads to the courses of one subject.
type categoryLink struct {
	Name    string
	URL     string
	Count   int
	Current bool
}

func (s *Site) home(w http.ResponseWriter, r *http.Request) error {
	search := cut(strings.TrimSpace(r.URL.Query().Get("busca")), maxSearch)
	category := cut(strings.TrimSpace(r.URL.Query().Get("categoria")), maxSearch)
	courses, err := s.api.Courses(r.Context(), search)
	if err != nil {
		return err
	}
	p := homePage{Search: search, Category: category, Filtered: search != "" || category != ""}
	p.Categories = categories(courses, search, category)
	p.Courses = slices.DeleteFunc(courses, func(c academico.Curso) bool { return category != "" && c.Categoria != category })
	title := "Cursos para aprender no seu ritmo"
	if p.Filtered {
		title = "Cursos encontrados"
	}
	return s.render(w, r, http.StatusOK, "inicio", view{
		Title: title, Nav: "cursos", Public: true, Data: p,
		Description: "Cursos práticos com começo, meio e fim. Matrícula em minutos por cartão, pix ou boleto.",
	})
}

// categories lists the subjects of the courses found, and all of them first.
func categories(courses []academico.Curso, search, current string) []categoryLink {
	counts := map[string]int{}
	for _, c := range courses {
		counts[c.Categoria]++
	}
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.Sort(names)
	links := []categoryLink{{Name: "Todos", URL: homeURL(search, ""), Count: len(courses), Current: current == ""}}
	for _, name := range names {
		links = append(links, categoryLink{Name: name, URL: homeURL(search, name), Count: counts[name], Current: name == current})
	}
	return links
}

func homeURL(search, category string) string {
	q := url.Values{}
	if search != "" {
		q.Set("busca", search)
	}
	if category != "" {
		q.Set("categoria", category)
	}
	if len(q) == 0 {
		return "/#cursos"
	}
	return "/?" + q.Encode() + "#cursos"
}

// toCourses sends a guessed address to where the courses are.
func (s *Site) toCourses(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "/#cursos", http.StatusPermanentRedirect)
	return nil
}

// coursePage is what the template "curso" shows.
type coursePage struct {
	Course   academico.Curso
	Minutes  int // of all lessons
	Parts    int // into which the price may be split
	Interest *form
}

func (s *Site) course(w http.ResponseWriter, r *http.Request) error {
	course, ok, err := s.findCourse(w, r)
	if err != nil || !ok {
		return err
	}
	p := coursePage{Course: course, Parts: maxInstallments, Interest: s.newInterest()}
	for _, lesson := range course.Aulas {
		p.Minutes += lesson.Minutos
	}
	return s.render(w, r, http.StatusOK, "curso", view{
		Title: course.Titulo, Nav: "cursos", Public: true, Description: course.Resumo, Data: p,
	})
}

// findCourse gives the course named in the path. A slug is sent on to the page
// with the id; ok is then false.
func (s *Site) findCourse(w http.ResponseWriter, r *http.Request) (course academico.Curso, ok bool, err error) {
	name := r.PathValue("id")
	if id.Valid(name) {
		course, err = s.api.Course(r.Context(), name)
		if err == nil && !course.Ativo {
			err = errNotFound
		}
		return course, err == nil, err
	}
	if len(name) > maxSearch {
		return course, false, errNotFound
	}
	course, ok, err = s.api.CourseBySlug(r.Context(), name)
	if err != nil {
		return course, false, err
	}
	if !ok {
		return course, false, errNotFound
	}
	rest := strings.TrimPrefix(r.URL.Path, "/cursos/"+name)
	http.Redirect(w, r, "/cursos/"+course.ID+rest, http.StatusTemporaryRedirect)
	return course, false, nil
}
