package app

import (
	"context"

	"trama/platform/auth"
	"trama/platform/fault"
	"trama/services/notifications/internal/message"
)

// ErrBySMTP: mail goes to a mail server, nothing is kept here.
var ErrBySMTP = fault.New(fault.NotFound, "correio-por-smtp", fault.Text{
	PT: "As mensagens vão por um servidor SMTP e não ficam aqui. Para vê-las nesta máquina, deixe notifications.smtp.host vazio.",
	EN: "Mail goes to an SMTP server and is not kept here. To see it on this machine, leave notifications.smtp.host empty.",
})

// History shows what the mailbox holds, to somebody on this machine or the operator.
type History struct {
	Finished Finished
	Box      Box // nil: mail goes by SMTP
}

// List gives a page of messages, last sent first.
func (h *History) List(ctx context.Context, after Place, limit int) ([]message.Message, error) {
	if err := h.allowed(ctx); err != nil {
		return nil, err
	}
	return h.Finished.List(ctx, after, limit)
}

// Content is a message with what it said.
type Content struct {
	message.Message
	Text, HTML string
}

// Get gives one message whole. One that was given up has no content.
func (h *History) Get(ctx context.Context, messageID string) (Content, error) {
	if err := h.allowed(ctx); err != nil {
		return Content{}, err
	}
	m, err := h.Finished.Get(ctx, messageID)
	if err != nil || m.State == message.Failed {
		return Content{Message: m}, err
	}
	text, html, err := h.Box.Read(ctx, messageID)
	return Content{Message: m, Text: text, HTML: html}, err
}

func (h *History) allowed(ctx context.Context) error {
	if err := auth.RequireLocalOrOperator(ctx); err != nil {
		return err
	}
	if h.Box == nil {
		return ErrBySMTP
	}
	return nil
}
