package rest

import (
	"context"
	"strings"

	"trama/contracts/rest/academico"
	"trama/platform/auth"
	"trama/platform/httpx"
	"trama/platform/rule"
	"trama/services/academics/internal/course"
	"trama/services/academics/internal/store"
)

// ListarCursos lists the courses by title; those that are not active for staff only.
func (h *Handler) ListarCursos(ctx context.Context, p academico.ListarCursosParams) (academico.ListarCursosRes, error) {
	filters := filtersOf(map[string]academico.OptString{"busca": p.Busca, "slug": p.Slug})
	list := listName(coursesPath, filters)
	place, err := h.cursors.open(list, p.Cursor, 2)
	if err != nil {
		return nil, err
	}
	page, err := h.courses.List(ctx, store.CourseFilter{
		Words: strings.Fields(rule.Fold(p.Busca.Value)), Slug: p.Slug.Value, OnlyActive: !auth.From(ctx).Operator,
	}, store.CoursePosition{SortKey: place[0], ID: place[1]}, p.Limite.Value)
	if err != nil {
		return nil, err
	}
	out := &academico.PaginaDeCursosHeaders{Response: academico.PaginaDeCursos{Itens: make([]academico.Curso, 0, len(page.Items))}}
	for _, c := range page.Items {
		out.Response.Itens = append(out.Response.Itens, courseBody(c))
	}
	if page.More {
		at := store.PositionOf(page.Items[len(page.Items)-1])
		cursor, err := h.cursors.seal(list, at.SortKey, at.ID)
		if err != nil {
			return nil, err
		}
		out.Response.Proximo = academico.NewOptString(cursor)
		out.Link = nextLink(coursesPath, filters, p.Limite.Value, cursor)
	}
	return out, nil
}

// ObterCurso shows one course.
func (h *Handler) ObterCurso(ctx context.Context, p academico.ObterCursoParams) (academico.ObterCursoRes, error) {
	c, err := h.courses.Get(ctx, p.ID, auth.From(ctx).Operator)
	if err != nil {
		return nil, err
	}
	if tag := httpx.ETag(c.Version); httpx.NotModified(p.IfNoneMatch.Value, tag) {
		return &academico.NaoModificado{ETag: tag}, nil
	}
	return courseAnswer(c), nil
}

// CriarCurso adds a course.
func (h *Handler) CriarCurso(ctx context.Context, req *academico.CursoInteiro, _ academico.CriarCursoParams) (academico.CriarCursoRes, error) {
	if err := auth.RequireOperator(ctx); err != nil {
		return nil, err
	}
	c, err := h.courses.Create(ctx, wholeContent(req))
	if err != nil {
		return nil, err
	}
	return &academico.CursoCriadoHeaders{ETag: httpx.ETag(c.Version), Location: coursesPath + "/" + c.ID, Response: courseBody(c)}, nil
}

// SubstituirCurso replaces a course.
func (h *Handler) SubstituirCurso(ctx context.Context, req *academico.CursoInteiro, p academico.SubstituirCursoParams) (academico.SubstituirCursoRes, error) {
	if err := auth.RequireOperator(ctx); err != nil {
		return nil, err
	}
	c, err := h.courses.Change(ctx, p.ID, ifMatch(p.IfMatch), func(content *course.Content) { *content = wholeContent(req) })
	if err != nil {
		return nil, err
	}
	return courseAnswer(c), nil
}

// AlterarCurso merges a patch into a course.
func (h *Handler) AlterarCurso(ctx context.Context, req *academico.CursoParcial, p academico.AlterarCursoParams) (academico.AlterarCursoRes, error) {
	if err := auth.RequireOperator(ctx); err != nil {
		return nil, err
	}
	c, err := h.courses.Change(ctx, p.ID, ifMatch(p.IfMatch), func(content *course.Content) { mergeCourse(content, req) })
	if err != nil {
		return nil, err
	}
	return courseAnswer(c), nil
}

// ExcluirCurso takes a course out of the offer.
func (h *Handler) ExcluirCurso(ctx context.Context, p academico.ExcluirCursoParams) (academico.ExcluirCursoRes, error) {
	if err := auth.RequireOperator(ctx); err != nil {
		return nil, err
	}
	if err := h.courses.Delete(ctx, p.ID, ifMatch(p.IfMatch)); err != nil {
		return nil, err
	}
	return &academico.ExcluirCursoNoContent{}, nil
}
