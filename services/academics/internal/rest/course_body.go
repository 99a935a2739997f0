package rest

import (
	"trama/contracts/rest/academico"
	"trama/platform/httpx"
	"trama/platform/money"
	"trama/services/academics/internal/course"
)

func courseAnswer(c course.Course) *academico.CursoHeaders {
	return &academico.CursoHeaders{ETag: httpx.ETag(c.Version), Response: courseBody(c)}
}

func courseBody(c course.Course) academico.Curso {
	out := academico.Curso{
		ID: c.ID, Slug: c.Slug, Titulo: c.Title, Resumo: c.Summary, Descricao: c.Description,
		Nivel: academico.Nivel(c.Level), CargaHoraria: c.Hours,
		Preco:     academico.Dinheiro{Valor: c.Price.String(), Moeda: money.BRL},
		Instrutor: c.Instructor, Categoria: c.Category, Ativo: c.Active,
		Aulas:    make([]academico.Aula, 0, len(c.Lessons)),
		CriadoEm: c.CreatedAt, AtualizadoEm: c.UpdatedAt,
	}
	for _, l := range c.Lessons {
		out.Aulas = append(out.Aulas, academico.Aula{ID: l.ID, Titulo: l.Title, Minutos: l.Minutes})
	}
	return out
}

// wholeContent is what POST and PUT send; what may be left out has its default.
func wholeContent(r *academico.CursoInteiro) course.Content {
	return course.Content{
		Slug: r.Slug.Value, Title: r.Titulo, Summary: r.Resumo, Description: r.Descricao,
		Level: course.Level(r.Nivel), Hours: r.CargaHoraria, Price: r.Preco.Valor, Currency: r.Preco.Moeda,
		Instructor: r.Instrutor, Category: r.Categoria, Lessons: lessonContents(r.Aulas), Active: r.Ativo.Or(true),
	}
}

// mergeCourse applies a merge patch (RFC 7396). null is refused by the decoder:
// no field of a course can be without a value.
func mergeCourse(c *course.Content, p *academico.CursoParcial) {
	set(&c.Slug, p.Slug)
	set(&c.Title, p.Titulo)
	set(&c.Summary, p.Resumo)
	set(&c.Description, p.Descricao)
	set(&c.Instructor, p.Instrutor)
	set(&c.Category, p.Categoria)
	if p.Nivel.Set {
		c.Level = course.Level(p.Nivel.Value)
	}
	if p.CargaHoraria.Set {
		c.Hours = p.CargaHoraria.Value
	}
	if p.Preco.Set {
		c.Price, c.Currency = p.Preco.Value.Valor, p.Preco.Value.Moeda
	}
	if p.Ativo.Set {
		c.Active = p.Ativo.Value
	}
	if p.Aulas != nil {
		c.Lessons = lessonContents(p.Aulas)
	}
}

func set(field *string, v academico.OptString) {
	if v.Set {
		*field = v.Value
	}
}

func lessonContents(in []academico.AulaInformada) []course.LessonContent {
	out := make([]course.LessonContent, 0, len(in))
	for _, l := range in {
		out = append(out, course.LessonContent{ID: l.ID.Value, Title: l.Titulo, Minutes: l.Minutos})
	}
	return out
}
