package site

import (
	"net/http"
	"strings"
	"time"

	"trama/clients/site/internal/api"
	"trama/contracts/rest/academico"
	"trama/contracts/rest/marketing"
	"trama/contracts/rest/notificacoes"
	"trama/platform/auth"
	"trama/platform/id"
)

// studentPage is what the template "aluno" shows.
type studentPage struct {
	Student    academico.Aluno
	Enrolments []academico.Matricula
}

func (s *Site) student(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("id")
	if !id.Valid(name) {
		return errNotFound
	}
	student, err := s.api.Student(r.Context(), name)
	if err != nil {
		return err
	}
	enrolments, err := s.api.Enrolments(r.Context(), name)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, "aluno", view{Title: "Aluno", Data: studentPage{student, enrolments}})
}

func (s *Site) signIn(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, r, http.StatusOK, "entrar", view{Title: "Entrar", Nav: "entrar", Public: true})
}

// unsubscribePage is what the templates "descadastro" and "descadastrado" show.
type unsubscribePage struct {
	Token  string
	Done   marketing.Descadastro
	Before bool // it was done some time before this visit
}

// unsubscribeAsk changes nothing: mail scanners open every link they find.
func (s *Site) unsubscribeAsk(w http.ResponseWriter, r *http.Request) error {
	token := strings.TrimSpace(r.URL.Query().Get("token"))
	status := http.StatusOK
	if token == "" {
		status = http.StatusNotFound
	}
	return s.render(w, r, status, "descadastro", view{Title: "Parar os lembretes", Data: unsubscribePage{Token: token}})
}

func (s *Site) unsubscribeDo(w http.ResponseWriter, r *http.Request) error {
	p := unsubscribePage{Token: strings.TrimSpace(r.FormValue("token"))}
	done, err := s.api.Unsubscribe(r.Context(), p.Token)
	if problem := api.AsProblem(err); err != nil && problem.Status >= http.StatusBadRequest && problem.Status < http.StatusInternalServerError &&
		problem.Status != http.StatusTooManyRequests {
		p.Token = ""
		return s.render(w, r, http.StatusNotFound, "descadastro", view{Title: "Parar os lembretes", Data: p})
	}
	if err != nil {
		return err
	}
	p.Done, p.Before = done, s.clock.Now().Sub(done.Desde) > time.Minute
	return s.render(w, r, http.StatusOK, "descadastrado", view{Title: "Lembretes parados", Data: p})
}

// mailboxPage is what the template "correio" shows.
type mailboxPage struct {
	Messages []notificacoes.MensagemResumida
	Next     string // cursor of the older ones; empty on the last page
	Older    bool   // not the first page
}

// openMailbox keeps out who is neither on this machine nor of the staff. The API
// decides the same again by itself.
func openMailbox(r *http.Request) error {
	if auth.RequireLocalOrOperator(r.Context()) != nil {
		return errMailboxClosed
	}
	return nil
}

func (s *Site) mailbox(w http.ResponseWriter, r *http.Request) error {
	if err := openMailbox(r); err != nil {
		return err
	}
	cursor := r.URL.Query().Get("cursor")
	messages, next, err := s.api.Messages(r.Context(), cursor)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, "correio", view{Title: "Correio", Nav: "correio", Data: mailboxPage{messages, next, cursor != ""}})
}

func (s *Site) findMail(r *http.Request) (notificacoes.Mensagem, error) {
	if err := openMailbox(r); err != nil {
		return notificacoes.Mensagem{}, err
	}
	if !id.Valid(r.PathValue("id")) {
		return notificacoes.Mensagem{}, errNotFound
	}
	return s.api.Message(r.Context(), r.PathValue("id"))
}

func (s *Site) mail(w http.ResponseWriter, r *http.Request) error {
	message, err := s.findMail(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Security-Policy", policyMailbox)
	return s.render(w, r, http.StatusOK, "mensagem", view{Title: message.Assunto, Nav: "correio", Data: message})
}

// mailHTML gives a mail's own document, in a sandbox: no scripts, no forms, no
// origin, no pictures from outside; its links open in a new window.
func (s *Site) mailHTML(w http.ResponseWriter, r *http.Request) error {
	message, err := s.findMail(r)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "+
		"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, err = w.Write([]byte(openElsewhere(message.HTML)))
	if err != nil {
		return nil // the visitor left; there is nobody to tell
	}
	return nil
}

// openElsewhere makes links open outside the frame, where our pages may be shown.
func openElsewhere(html string) string {
	const base = `<base target="_blank">`
	if i := strings.Index(strings.ToLower(html), "<head>"); i >= 0 && len(strings.ToLower(html)) == len(html) {
		i += len("<head>")
		return html[:i] + base + html[i:]
	}
	return base + html
}
