package rest

import (
	"context"
	"strconv"
	"time"

	"trama/contracts/rest/academico"
	"trama/platform/auth"
	"trama/platform/httpx"
	"trama/platform/rule"
	"trama/services/academics/internal/enrolment"
	"trama/services/academics/internal/store"
	"trama/services/academics/internal/student"
)

// ListarAlunos lists the students, newest first.
func (h *Handler) ListarAlunos(ctx context.Context, p academico.ListarAlunosParams) (academico.ListarAlunosRes, error) {
	if err := auth.RequireOperator(ctx); err != nil {
		return nil, err
	}
	filter, err := studentFilter(p)
	if err != nil {
		return nil, err
	}
	filters := filtersOf(map[string]academico.OptString{"email": p.Email, "cpf": p.Cpf})
	list := listName(studentsPath, filters)
	place, err := h.cursors.open(list, p.Cursor, 1)
	if err != nil {
		return nil, err
	}
	page, err := h.students.List(ctx, filter, place[0], p.Limite.Value)
	if err != nil {
		return nil, err
	}
	out := &academico.PaginaDeAlunosHeaders{Response: academico.PaginaDeAlunos{Itens: make([]academico.Aluno, 0, len(page.Items))}}
	for _, s := range page.Items {
		out.Response.Itens = append(out.Response.Itens, studentBody(ctx, s))
	}
	if page.More {
		cursor, err := h.cursors.seal(list, page.Items[len(page.Items)-1].ID)
		if err != nil {
			return nil, err
		}
		out.Response.Proximo = academico.NewOptString(cursor)
		out.Link = nextLink(studentsPath, filters, p.Limite.Value, cursor)
	}
	return out, nil
}

// studentFilter reads the filters; one that no student can match is refused.
func studentFilter(p academico.ListarAlunosParams) (store.StudentFilter, error) {
	var k rule.Checker
	var f store.StudentFilter
	if p.Email.Value != "" {
		f.Email = k.Email("?email", p.Email.Value)
	}
	if p.Cpf.Value != "" {
		f.CPF = k.CPF("?cpf", p.Cpf.Value)
	}
	return f, k.Err()
}

// ObterAluno shows one student to whoever knows the id.
func (h *Handler) ObterAluno(ctx context.Context, p academico.ObterAlunoParams) (academico.ObterAlunoRes, error) {
	s, err := h.students.Get(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	if tag := studentTag(ctx, s); httpx.NotModified(p.IfNoneMatch.Value, tag) {
		return &academico.NaoModificado{ETag: tag}, nil
	}
	return studentAnswer(ctx, s), nil
}

// SubstituirAluno replaces a student's profile.
func (h *Handler) SubstituirAluno(ctx context.Context, req *academico.AlunoInteiro, p academico.SubstituirAlunoParams) (academico.SubstituirAlunoRes, error) {
	if err := auth.RequireOperator(ctx); err != nil {
		return nil, err
	}
	s, err := h.students.Change(ctx, p.ID, ifMatch(p.IfMatch), func(profile *student.Profile) {
		*profile = student.Profile{Name: req.Nome, Email: req.Email, Phone: req.Telefone.Value}
	})
	if err != nil {
		return nil, err
	}
	return studentAnswer(ctx, s), nil
}

// AlterarAluno merges a patch (RFC 7396) into a student's profile.
func (h *Handler) AlterarAluno(ctx context.Context, req *academico.AlunoParcial, p academico.AlterarAlunoParams) (academico.AlterarAlunoRes, error) {
	if err := auth.RequireOperator(ctx); err != nil {
		return nil, err
	}
	s, err := h.students.Change(ctx, p.ID, ifMatch(p.IfMatch), func(profile *student.Profile) {
		set(&profile.Name, req.Nome)
		set(&profile.Email, req.Email)
		if req.Telefone.Set {
			profile.Phone = req.Telefone.Value // null leaves it empty
		}
	})
	if err != nil {
		return nil, err
	}
	return studentAnswer(ctx, s), nil
}

// ListarMatriculas lists a student's enrolments, newest first.
func (h *Handler) ListarMatriculas(ctx context.Context, p academico.ListarMatriculasParams) (academico.ListarMatriculasRes, error) {
	path := studentsPath + "/" + p.ID + "/matriculas"
	place, err := h.cursors.open(path, p.Cursor, 2)
	if err != nil {
		return nil, err
	}
	var before store.EnrolmentPosition
	if place[1] != "" {
		at, err := strconv.ParseInt(place[0], 10, 64)
		if err != nil {
			return nil, errCursor()
		}
		before = store.EnrolmentPosition{CreatedAt: time.UnixMilli(at), ID: place[1]}
	}
	page, err := h.students.Enrolments(ctx, p.ID, before, p.Limite.Value)
	if err != nil {
		return nil, err
	}
	out := &academico.PaginaDeMatriculasHeaders{Response: academico.PaginaDeMatriculas{Itens: make([]academico.Matricula, 0, len(page.Items))}}
	for _, e := range page.Items {
		out.Response.Itens = append(out.Response.Itens, enrolmentBody(e))
	}
	if page.More {
		end := page.Items[len(page.Items)-1]
		cursor, err := h.cursors.seal(path, strconv.FormatInt(end.CreatedAt.UnixMilli(), 10), end.ID)
		if err != nil {
			return nil, err
		}
		out.Response.Proximo = academico.NewOptString(cursor)
		out.Link = nextLink(path, nil, p.Limite.Value, cursor)
	}
	return out, nil
}

func studentAnswer(ctx context.Context, s student.Student) *academico.AlunoHeaders {
	return &academico.AlunoHeaders{ETag: studentTag(ctx, s), Response: studentBody(ctx, s)}
}

// studentTag differs for staff, who see another body.
func studentTag(ctx context.Context, s student.Student) string {
	if auth.From(ctx).Operator {
		return httpx.ETag(s.Version, "equipe")
	}
	return httpx.ETag(s.Version)
}

// studentBody shows the whole CPF to staff only.
func studentBody(ctx context.Context, s student.Student) academico.Aluno {
	cpf := s.CPF
	if !auth.From(ctx).Operator {
		cpf = rule.MaskCPF(cpf)
	}
	out := academico.Aluno{ID: s.ID, Nome: s.Name, Email: s.Email, Cpf: cpf, CriadoEm: s.CreatedAt, AtualizadoEm: s.UpdatedAt}
	if s.Phone != "" {
		out.Telefone = academico.NewOptString(s.Phone)
	}
	return out
}

func enrolmentBody(e enrolment.Enrolment) academico.Matricula {
	out := academico.Matricula{
		ID: e.ID, CursoID: e.Course.ID, Curso: academico.CursoResumido{ID: e.Course.ID, Titulo: e.Course.Title},
		Situacao: academico.MatriculaSituacao(e.State), PagamentoID: e.PaymentID, CriadaEm: e.CreatedAt,
	}
	if !e.CancelledAt.IsZero() {
		out.CanceladaEm = academico.NewOptDateTime(e.CancelledAt)
	}
	return out
}
