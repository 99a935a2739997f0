// Package api is the site's view of the public API: the calls its pages need,
// made with the clients generated from contracts/rest, with one kind of error.
//
// It owns what every call must carry (the visitor's trace, language and
// standing, a deadline) and promises that an error is a *Problem, or becomes one
// with AsProblem. It keeps nothing between calls and is safe for concurrent use.
package api

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"time"

	"trama/contracts/rest/academico"
	"trama/contracts/rest/financeiro"
	"trama/contracts/rest/marketing"
	"trama/contracts/rest/notificacoes"
	"trama/platform/clock"
)

// pageSize is how many entries are asked for at a time, maxPages how often; a
// school with more than a thousand courses needs another home page.
const (
	pageSize = 100
	maxPages = 10
)

// CodeRunning is the problem of a command whose key is being executed right now.
const CodeRunning = "pedido-em-andamento"

// runningPause is how long Pay waits before it asks again about such a command.
const runningPause = 150 * time.Millisecond

// Client calls the public API.
type Client struct {
	base    *url.URL
	timeout time.Duration
	clock   clock.Clock
	doer    transport

	courses       *academico.Client
	payments      *financeiro.Client
	leads         *marketing.Client
	notifications *notificacoes.Client
}

// New makes a client for the API at base ("http://127.0.0.1:8080") that sends
// through send. timeout limits each page's call.
func New(base string, send Send, timeout time.Duration, c clock.Clock) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("api: base %q is not an address like http://127.0.0.1:8080", base)
	}
	cl := &Client{base: u, timeout: timeout, clock: c, doer: transport{send}}
	var errs [4]error
	cl.courses, errs[0] = academico.NewClient(base, academico.WithClient(cl.doer))
	cl.payments, errs[1] = financeiro.NewClient(base, financeiro.WithClient(cl.doer))
	cl.leads, errs[2] = marketing.NewClient(base, marketing.WithClient(cl.doer))
	cl.notifications, errs[3] = notificacoes.NewClient(base, notificacoes.WithClient(cl.doer))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return cl, nil
}

// Courses gives all active courses that match search ("" for all), by title.
func (c *Client) Courses(ctx context.Context, search string) ([]academico.Curso, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	params := academico.ListarCursosParams{Limite: academico.NewOptInt(pageSize)}
	if search != "" {
		params.Busca = academico.NewOptString(search)
	}
	return c.coursePages(ctx, params)
}

// CourseBySlug gives the course with this name in its address; ok false when
// there is none.
func (c *Client) CourseBySlug(ctx context.Context, slug string) (course academico.Curso, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	found, err := c.coursePages(ctx, academico.ListarCursosParams{Slug: academico.NewOptString(slug)})
	if err != nil || len(found) == 0 {
		return academico.Curso{}, false, err
	}
	return found[0], true, nil
}

func (c *Client) coursePages(ctx context.Context, params academico.ListarCursosParams) ([]academico.Curso, error) {
	var all []academico.Curso
	for range maxPages {
		res, err := c.courses.ListarCursos(ctx, params)
		if err != nil {
			return nil, err
		}
		page, ok := res.(*academico.PaginaDeCursosHeaders)
		if !ok {
			return nil, unexpected("courses", res)
		}
		all = append(all, page.Response.Itens...)
		if !page.Response.Proximo.Set {
			break
		}
		params.Cursor = page.Response.Proximo
	}
	return all, nil
}

// Course gives one course.
func (c *Client) Course(ctx context.Context, id string) (academico.Curso, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.courses.ObterCurso(ctx, academico.ObterCursoParams{ID: id})
	if err != nil {
		return academico.Curso{}, err
	}
	course, ok := res.(*academico.CursoHeaders)
	if !ok {
		return academico.Curso{}, unexpected("course", res)
	}
	return course.Response, nil
}

// Student gives a student.
func (c *Client) Student(ctx context.Context, id string) (academico.Aluno, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.courses.ObterAluno(ctx, academico.ObterAlunoParams{ID: id})
	if err != nil {
		return academico.Aluno{}, err
	}
	student, ok := res.(*academico.AlunoHeaders)
	if !ok {
		return academico.Aluno{}, unexpected("student", res)
	}
	return student.Response, nil
}

// Enrolments gives a student's enrolments, the newest first.
func (c *Client) Enrolments(ctx context.Context, studentID string) ([]academico.Matricula, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	params := academico.ListarMatriculasParams{ID: studentID, Limite: academico.NewOptInt(pageSize)}
	var all []academico.Matricula
	for range maxPages {
		res, err := c.courses.ListarMatriculas(ctx, params)
		if err != nil {
			return nil, err
		}
		page, ok := res.(*academico.PaginaDeMatriculasHeaders)
		if !ok {
			return nil, unexpected("enrolments", res)
		}
		all = append(all, page.Response.Itens...)
		if !page.Response.Proximo.Set {
			break
		}
		params.Cursor = page.Response.Proximo
	}
	return all, nil
}

// Pay asks for a payment and gives its id. key makes a second submit of the same
// form the same payment; while the first is being executed Pay waits for it.
func (c *Client) Pay(ctx context.Context, order *financeiro.NovoPagamento, key string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	params := financeiro.CriarPagamentoParams{IdempotencyKey: financeiro.NewOptString(key)}
	for {
		res, err := c.payments.CriarPagamento(ctx, order, params)
		if err == nil {
			accepted, ok := res.(*financeiro.PagamentoAceitoHeaders)
			if !ok {
				return "", unexpected("payment", res)
			}
			return path.Base(accepted.Location), nil
		}
		if p := AsProblem(err); p.Code != CodeRunning {
			return "", err
		}
		if c.clock.Wait(ctx, runningPause) != nil {
			return "", err
		}
	}
}

// Payment gives the state of a payment.
func (c *Client) Payment(ctx context.Context, id string) (financeiro.Pagamento, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.payments.ObterPagamento(ctx, financeiro.ObterPagamentoParams{ID: id})
	if err != nil {
		return financeiro.Pagamento{}, err
	}
	payment, ok := res.(*financeiro.PagamentoHeaders)
	if !ok {
		return financeiro.Pagamento{}, unexpected("payment", res)
	}
	return payment.Response, nil
}

// Interested leaves somebody's name with the school.
func (c *Client) Interested(ctx context.Context, lead *marketing.NovoLead, key string) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	_, err := c.leads.RegistrarLead(ctx, lead, marketing.RegistrarLeadParams{IdempotencyKey: marketing.NewOptString(key)})
	return err
}

// Unsubscribe ends the reminders for the holder of a mail's token.
func (c *Client) Unsubscribe(ctx context.Context, token string) (marketing.Descadastro, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.leads.Descadastrar(ctx, marketing.DescadastrarParams{Token: token})
	if err != nil {
		return marketing.Descadastro{}, err
	}
	done, ok := res.(*marketing.Descadastro)
	if !ok {
		return marketing.Descadastro{}, unexpected("unsubscribe", res)
	}
	return *done, nil
}

// Messages gives a page of the local mailbox and the cursor of the next ("" when
// it was the last).
func (c *Client) Messages(ctx context.Context, cursor string) (page []notificacoes.MensagemResumida, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	params := notificacoes.ListarMensagensParams{Limite: notificacoes.NewOptInt(50)}
	if cursor != "" {
		params.Cursor = notificacoes.NewOptString(cursor)
	}
	res, err := c.notifications.ListarMensagens(ctx, params)
	if err != nil {
		return nil, "", err
	}
	list, ok := res.(*notificacoes.PaginaDeMensagensHeaders)
	if !ok {
		return nil, "", unexpected("messages", res)
	}
	return list.Response.Itens, list.Response.Proximo.Or(""), nil
}

// Message gives one message of the local mailbox.
func (c *Client) Message(ctx context.Context, id string) (notificacoes.Mensagem, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.notifications.ObterMensagem(ctx, notificacoes.ObterMensagemParams{ID: id})
	if err != nil {
		return notificacoes.Mensagem{}, err
	}
	m, ok := res.(*notificacoes.Mensagem)
	if !ok {
		return notificacoes.Mensagem{}, unexpected("message", res)
	}
	return *m, nil
}
