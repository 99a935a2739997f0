package site

import (
	"net/http"

	"trama/clients/site/internal/api"
	"trama/contracts/rest/academico"
	"trama/contracts/rest/marketing"
)

// interestPage is what the templates "interesse" and "obrigado" show.
type interestPage struct {
	Course *academico.Curso // nil: the school as a whole
	Form   *form
}

// Action gives the address the form is sent to.
func (p interestPage) Action() string {
	if p.Course == nil {
		return "/interesse"
	}
	return "/cursos/" + p.Course.ID + "/interesse"
}

// newInterest makes an empty interest form.
func (s *Site) newInterest() *form {
	return newForm(s.ids.New(), map[string]string{
		"/nome": "nome", "/email": "email", "/telefone": "telefone", "/consentimento": "consentimento",
	},
		field{Name: "nome", Label: "Nome", Autocomplete: "name", Required: true},
		field{Name: "email", Label: "E-mail", Type: "email", Autocomplete: "email", InputMode: "email", Required: true},
		field{Name: "telefone", Label: "Telefone", Hint: "Com DDD.", Type: "tel", Autocomplete: "tel", InputMode: "tel"},
		field{Name: "consentimento", Label: "Aceito receber por e-mail até três lembretes sobre o curso. Posso parar com um clique."},
	)
}

// interestOf gives the course of the path; nil on /interesse.
func (s *Site) interestOf(w http.ResponseWriter, r *http.Request) (p interestPage, ok bool, err error) {
	p.Form = s.newInterest()
	if r.PathValue("id") == "" {
		return p, true, nil
	}
	course, ok, err := s.findCourse(w, r)
	if ok {
		p.Course = &course
	}
	return p, ok, err
}

func (s *Site) interestForm(w http.ResponseWriter, r *http.Request) error {
	p, ok, err := s.interestOf(w, r)
	if err != nil || !ok {
		return err
	}
	return s.render(w, r, http.StatusOK, "interesse", view{Title: "Quero saber mais", Nav: "cursos", Data: p})
}

func (s *Site) interestSend(w http.ResponseWriter, r *http.Request) error {
	p, ok, err := s.interestOf(w, r)
	if err != nil || !ok {
		return err
	}
	value := p.Form.fill(r)
	lead := &marketing.NovoLead{Nome: value("nome"), Email: value("email"), Consentimento: value("consentimento") != ""}
	lead.Origem.SetTo("site")
	if phone := value("telefone"); phone != "" {
		lead.Telefone.SetTo(phone)
	}
	if p.Course != nil {
		lead.CursoID.SetTo(p.Course.ID)
	}
	err = s.api.Interested(r.Context(), lead, s.formKey(value("chave")))
	if err == nil {
		http.Redirect(w, r, p.Action()+"/obrigado", http.StatusSeeOther)
		return nil
	}
	return s.interestAgain(w, r, p, err)
}

// interestAgain shows the form with what was typed and what is wrong.
func (s *Site) interestAgain(w http.ResponseWriter, r *http.Request, p interestPage, err error) error {
	problem := api.AsProblem(err)
	status := http.StatusUnprocessableEntity
	switch {
	case problem.Status == http.StatusUnprocessableEntity || problem.Status == http.StatusBadRequest:
		p.Form.reject(problem)
	case problem.Down():
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", retryAfter(problem))
		p.Form.Notice = "O sistema da escola não respondeu agora. O que você digitou continua aqui: espere um instante e envie de novo."
		s.log.Warn("site: interest not sent", "status", problem.Status, "code", problem.Code)
	default:
		return err
	}
	return s.render(w, r, status, "interesse", view{Title: "Erro: Quero saber mais", Nav: "cursos", Data: p})
}

func (s *Site) interestThanks(w http.ResponseWriter, r *http.Request) error {
	p, ok, err := s.interestOf(w, r)
	if err != nil || !ok {
		return err
	}
	return s.render(w, r, http.StatusOK, "obrigado", view{Title: "Obrigado pelo interesse", Nav: "cursos", Data: p})
}
