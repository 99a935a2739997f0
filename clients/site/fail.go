package site

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"trama/clients/site/internal/api"
	"trama/platform/telemetry"
)

// failure is an error that the site itself finds, with the page that tells of it.
type failure struct {
	status int
	title  string
	text   string
}

// Error gives the title.
func (f *failure) Error() string { return "site: " + f.title }

var (
	errNotFound = &failure{http.StatusNotFound, "Esta página não existe",
		"O endereço pode ter sido digitado errado, ou o que estava aqui saiu do ar."}
	errForeignForm = &failure{http.StatusForbidden, "Este envio não veio das nossas páginas",
		"Por segurança, só aceitamos formulários enviados daqui mesmo. Abra a página de novo e repita o envio; nada foi feito."}
	errMailboxClosed = &failure{http.StatusForbidden, "O correio só abre na própria máquina",
		"Esta caixa guarda as mensagens que a escola enviou e só pode ser lida no computador em que a Trama está rodando."}
	errLarge = &failure{http.StatusRequestEntityTooLarge, "O envio é grande demais",
		"Encurte os textos do formulário e tente de novo; nada foi gravado."}
	errMediaType = &failure{http.StatusUnsupportedMediaType, "Não conseguimos ler este envio",
		"Use o formulário da página para enviar; nada foi gravado."}
	errUnreadable = &failure{http.StatusBadRequest, "Não conseguimos ler este envio",
		"Volte, recarregue a página e tente de novo; nada foi gravado."}
	errPanic = &failure{http.StatusInternalServerError, "", ""}
)

// failurePage is what the template "erro" shows.
type failurePage struct {
	Status  int
	Title   string
	Text    string
	Retry   string // address to try again; empty: no such link
	TraceID string // to cite when asking for help; only for errors of ours
}

// fail writes the page for an error. It is where errors end, so they are logged
// here, once, without what the visitor sent.
func (s *Site) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // the visitor left
	}
	p := failurePage{TraceID: telemetry.TraceID(r.Context())}
	var own *failure
	if errors.As(err, &own) && own.status < http.StatusInternalServerError {
		p.Status, p.Title, p.Text, p.TraceID = own.status, own.title, own.text, ""
	} else if own == nil {
		s.describe(w, r, &p, err)
	} else {
		p.internal()
	}
	if p.Status >= http.StatusInternalServerError {
		s.log.Error("site: page failed", "route", r.Pattern, "status", p.Status, "trace_id", telemetry.TraceID(r.Context()), "error", err.Error())
	}
	if err := s.render(w, r, p.Status, "erro", view{Title: p.Title, Data: p}); err != nil {
		s.log.Error("site: error page failed", "error", err.Error())
		http.Error(w, p.Title, p.Status)
	}
}

// describe fills in the page for an answer of the API.
func (s *Site) describe(w http.ResponseWriter, r *http.Request, p *failurePage, err error) {
	problem := api.AsProblem(err)
	switch {
	case problem.Status == http.StatusNotFound:
		p.Status, p.Title, p.Text, p.TraceID = errNotFound.status, errNotFound.title, errNotFound.text, ""
	case problem.Status == http.StatusUnauthorized || problem.Status == http.StatusForbidden:
		p.Status, p.Title, p.TraceID = http.StatusForbidden, "Esta página não é pública", ""
		p.Text = "É preciso estar na máquina da escola, ou ser da equipe, para abri-la."
	case problem.Down():
		p.Status, p.Title = http.StatusServiceUnavailable, "A escola está fora do ar por um instante"
		p.Text = "Não conseguimos falar com o sistema da escola agora. Nada do que você já enviou se perdeu: o que foi confirmado está gravado."
		w.Header().Set("Retry-After", retryAfter(problem))
	default:
		p.internal()
	}
	if r.Method == http.MethodGet && p.Status >= http.StatusInternalServerError {
		p.Retry = r.URL.RequestURI()
	}
}

// internal fills in the page for a mistake of ours.
func (p *failurePage) internal() {
	p.Status, p.Title = http.StatusInternalServerError, "Algo deu errado do nosso lado"
	p.Text = "O erro já está registrado. Tente de novo daqui a pouco; se continuar, cite o código abaixo."
}

// retryAfter gives the seconds to wait, as the API said or a few.
func retryAfter(p *api.Problem) string {
	wait := p.RetryAfter
	if wait <= 0 {
		wait = 5 * time.Second
	}
	return strconv.Itoa(int(wait / time.Second))
}

// nowhere is every address that is none of ours.
func (s *Site) nowhere(http.ResponseWriter, *http.Request) error { return errNotFound }
