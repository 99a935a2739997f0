// Package rest is the public face of notifications: the interface generated from
// contracts/rest/notificacoes.yaml on one side, the history on the other, and
// nothing else.
package rest

import (
	"context"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"

	"trama/contracts/rest/notificacoes"
	"trama/platform/httpx"
	"trama/platform/id"
	"trama/platform/rule"
	"trama/services/notifications/internal/app"
	"trama/services/notifications/internal/message"
)

const (
	messagesPath = "/v1/notificacoes/mensagens"
	defaultLimit = 20
)

type handler struct{ history *app.History }

var _ notificacoes.Handler = handler{}

// New makes the HTTP handler of the service's public routes.
func New(h *app.History) (http.Handler, error) {
	server, err := notificacoes.NewServer(handler{h}, notificacoes.WithErrorHandler(httpx.ErrorHandler),
		notificacoes.WithNotFound(httpx.NotFound), notificacoes.WithMethodNotAllowed(httpx.MethodNotAllowed))
	if err != nil {
		return nil, fmt.Errorf("notifications: rest: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store") // mail holds passwords
		server.ServeHTTP(w, r)
	}), nil
}

// ListarMensagens lists messages, last sent first.
func (h handler) ListarMensagens(ctx context.Context, p notificacoes.ListarMensagensParams) (notificacoes.ListarMensagensRes, error) {
	after, err := openCursor(p.Cursor)
	if err != nil {
		return nil, err
	}
	limit := p.Limite.Or(defaultLimit)
	page, err := h.history.List(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	out := &notificacoes.PaginaDeMensagensHeaders{Response: notificacoes.PaginaDeMensagens{Itens: make([]notificacoes.MensagemResumida, 0, len(page))}}
	if len(page) > limit {
		page = page[:limit]
		cursor := sealCursor(page[limit-1])
		out.Response.Proximo = notificacoes.NewOptString(cursor)
		out.Link = notificacoes.NewOptString(fmt.Sprintf(`<%s?cursor=%s&limite=%d>; rel="next"`, messagesPath, cursor, limit))
	}
	for _, m := range page {
		out.Response.Itens = append(out.Response.Itens, notificacoes.MensagemResumida{
			ID: m.ID, Para: m.Email, Assunto: subject(m), Situacao: notificacoes.SituacaoDaMensagem(m.State), EnviadaEm: m.FinishedAt,
		})
	}
	return out, nil
}

// ObterMensagem shows one message whole.
func (h handler) ObterMensagem(ctx context.Context, p notificacoes.ObterMensagemParams) (notificacoes.ObterMensagemRes, error) {
	c, err := h.history.Get(ctx, strings.ToLower(p.ID))
	if err != nil {
		return nil, err
	}
	out := &notificacoes.Mensagem{
		ID: c.ID, Para: c.Email, Assunto: subject(c.Message), Situacao: notificacoes.SituacaoDaMensagem(c.State),
		EnviadaEm: c.FinishedAt, Texto: c.Text, HTML: c.HTML,
	}
	if c.State == message.Failed {
		out.Texto = "Esta mensagem não foi enviada: " + c.Reason
		out.HTML = "<p>" + html.EscapeString(out.Texto) + "</p>"
	}
	return out, nil
}

// subject gives what a list shows; a message that was given up has no subject.
func subject(m message.Message) string {
	if m.Subject == "" {
		return "(não enviada: " + string(m.Kind) + ")"
	}
	return m.Subject
}

// A cursor is the finishing time and id of the last message of a page.
func sealCursor(m message.Message) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(m.FinishedAt.UnixMilli(), 10) + "/" + m.ID))
}

func openCursor(cursor notificacoes.OptString) (app.Place, error) {
	if cursor.Value == "" {
		return app.Place{}, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor.Value)
	at, messageID, _ := strings.Cut(string(raw), "/")
	ms, numberErr := strconv.ParseInt(at, 10, 64)
	if err != nil || numberErr != nil || ms <= 0 || !id.Valid(messageID) {
		var c rule.Checker
		c.Add("?cursor", "cursor", "Este cursor não é desta lista; use o valor de proximo da página anterior.",
			"This cursor is not of this list; use the value of proximo from the page before.")
		return app.Place{}, c.Err()
	}
	return app.Place{At: time.UnixMilli(ms).UTC(), ID: messageID}, nil
}
