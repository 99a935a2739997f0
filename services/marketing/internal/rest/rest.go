// Package rest is the public face of marketing: the interface generated from
// contracts/rest/marketing.yaml on one side, the use cases on the other, and
// nothing else.
package rest

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"trama/contracts/rest/marketing"
	"trama/platform/httpx"
	"trama/services/marketing/internal/app"
	"trama/services/marketing/internal/lead"
)

// leadsPath is the collection of leads.
const leadsPath = "/v1/marketing/leads"

// UseCases is what the routes lead to.
type UseCases struct {
	Register    *app.Register
	Unsubscribe *app.Unsubscribe
	Staff       *app.Staff
}

type handler struct{ UseCases }

var _ marketing.Handler = handler{}

// New makes the HTTP handler of the service's public routes.
func New(u UseCases) (http.Handler, error) {
	server, err := marketing.NewServer(handler{u}, marketing.WithErrorHandler(httpx.ErrorHandler),
		marketing.WithNotFound(httpx.NotFound), marketing.WithMethodNotAllowed(httpx.MethodNotAllowed))
	if err != nil {
		return nil, fmt.Errorf("marketing: rest: %w", err)
	}
	return personal(server), nil
}

// personal keeps answers, which are all about people, out of shared caches; a
// stored one must be revalidated.
func personal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, no-cache")
		w.Header().Add("Vary", "Authorization")
		next.ServeHTTP(w, r)
	})
}

// RegistrarLead takes in a lead.
func (h handler) RegistrarLead(ctx context.Context, in *marketing.NovoLead, _ marketing.RegistrarLeadParams) (marketing.RegistrarLeadRes, error) {
	done, err := h.Register.Do(ctx, app.NewLead{
		Name: in.Nome, Email: in.Email, Phone: in.Telefone.Value,
		CourseID: in.CursoID.Value, Origin: in.Origem.Value, Consent: in.Consentimento,
	})
	if err != nil {
		return nil, err
	}
	l := done.Lead
	out := marketing.LeadRegistradoHeaders{
		Location: leadsPath + "/" + l.ID,
		Response: marketing.LeadRegistrado{
			ID: l.ID, Email: l.Email, CursoID: optional(l.CourseID), Consentimento: true, CriadoEm: l.CreatedAt,
		},
	}
	if !done.New { // whoever asks may be somebody else: nothing is shown that was not sent
		return (*marketing.RegistrarLeadOK)(&out), nil
	}
	out.Response.Nome = optional(l.Name)
	out.Response.Telefone = optional(l.Phone)
	out.Response.Origem = optional(l.Origin)
	return (*marketing.RegistrarLeadCreated)(&out), nil
}

// ListarLeads lists leads to the staff, newest first.
func (h handler) ListarLeads(ctx context.Context, p marketing.ListarLeadsParams) (marketing.ListarLeadsRes, error) {
	before, err := openCursor(p.Cursor)
	if err != nil {
		return nil, err
	}
	limit := p.Limite.Or(defaultLimit)
	leads, err := h.Staff.List(ctx, before, limit+1)
	if err != nil {
		return nil, err
	}
	out := &marketing.PaginaDeLeadsHeaders{Response: marketing.PaginaDeLeads{Itens: make([]marketing.Lead, 0, len(leads))}}
	if len(leads) > limit {
		leads = leads[:limit]
		cursor := sealCursor(leads[limit-1].ID)
		out.Response.Proximo = marketing.NewOptString(cursor)
		out.Link = marketing.NewOptString(fmt.Sprintf(`<%s?cursor=%s&limite=%d>; rel="next"`, leadsPath, cursor, limit))
	}
	for _, l := range leads {
		out.Response.Itens = append(out.Response.Itens, body(l))
	}
	return out, nil
}

// ObterLead shows one lead to the staff.
func (h handler) ObterLead(ctx context.Context, p marketing.ObterLeadParams) (marketing.ObterLeadRes, error) {
	l, err := h.Staff.Get(ctx, strings.ToLower(p.ID))
	if err != nil {
		return nil, err
	}
	tag := httpx.ETag(l.Version)
	if httpx.NotModified(p.IfNoneMatch.Value, tag) {
		return &marketing.NaoModificado{ETag: tag}, nil
	}
	return &marketing.LeadHeaders{ETag: tag, Response: body(l)}, nil
}

// ExcluirLead erases the person behind a lead.
func (h handler) ExcluirLead(ctx context.Context, p marketing.ExcluirLeadParams) (marketing.ExcluirLeadRes, error) {
	if err := h.Staff.Erase(ctx, strings.ToLower(p.ID)); err != nil {
		return nil, err
	}
	return &marketing.ExcluirLeadNoContent{}, nil
}

// AbrirDescadastro unsubscribes whoever opens the address in a mail.
func (h handler) AbrirDescadastro(ctx context.Context, p marketing.AbrirDescadastroParams) (marketing.AbrirDescadastroRes, error) {
	return h.unsubscribe(ctx, p.Token)
}

// Descadastrar is the one click of RFC 8058.
func (h handler) Descadastrar(ctx context.Context, p marketing.DescadastrarParams) (marketing.DescadastrarRes, error) {
	return h.unsubscribe(ctx, p.Token)
}

func (h handler) unsubscribe(ctx context.Context, token string) (*marketing.Descadastro, error) {
	l, err := h.Unsubscribe.Do(ctx, token)
	if err != nil {
		return nil, err
	}
	return &marketing.Descadastro{Descadastrado: true, Email: lead.MaskEmail(l.Email), Desde: l.UnsubscribedAt}, nil
}

func body(l lead.Lead) marketing.Lead {
	return marketing.Lead{
		ID: l.ID, Nome: l.Name, Email: l.Email, Telefone: optional(l.Phone), CursoID: optional(l.CourseID),
		Origem: optional(l.Origin), Consentimento: true, Situacao: marketing.LeadSituacao(l.State()),
		CriadoEm: l.CreatedAt, AtualizadoEm: l.UpdatedAt,
	}
}

func optional(s string) marketing.OptString {
	return marketing.OptString{Value: s, Set: s != ""}
}
