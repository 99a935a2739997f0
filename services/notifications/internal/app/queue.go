package app

import (
	"context"
	"strings"
	"time"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/id"
	"trama/services/notifications/internal/message"
)

// Mailroom decides which event makes which mail. Every method handles one event
// of the named subscription; delivered twice, it has one effect.
type Mailroom struct {
	Queue Queue
	Clock clock.Clock
	IDs   id.Source
	Crash *crash.Points
}

// AccountCreated queues the welcome.
func (r *Mailroom) AccountCreated(ctx context.Context, sub string, e bus.Event, d events.ContaCriada) error {
	m := r.message(e, message.Welcome, d.Pessoa)
	m.Facts = message.Facts{AccountID: d.ContaID, KnownBefore: !d.Nova, CourseID: d.Curso.ID, CourseTitle: d.Curso.Titulo}
	return r.once(ctx, sub, e, func(k Desk) error { return k.Add(ctx, m) })
}

// Enrolled drops reminders that have become pointless, and tells somebody who
// is a student already of the new course; a new student reads it in the welcome.
func (r *Mailroom) Enrolled(ctx context.Context, sub string, e bus.Event, d events.MatriculaConfirmada) error {
	m := r.message(e, message.Enrolled, d.Pessoa)
	m.Facts = message.Facts{CourseID: d.Curso.ID, CourseTitle: d.Curso.Titulo}
	return r.once(ctx, sub, e, func(k Desk) error {
		for _, email := range []string{d.Pessoa.Email, d.Contato} {
			if err := k.DropReminders(ctx, address(email), d.Curso.ID); err != nil {
				return err
			}
		}
		if d.AlunoNovo {
			return nil
		}
		return k.Add(ctx, m)
	})
}

// Cancelled tells of an enrolment that ended. When the same person was told of
// the refund behind it, that mail said so: nothing is sent.
func (r *Mailroom) Cancelled(ctx context.Context, sub string, e bus.Event, d events.MatriculaCancelada) error {
	m := r.message(e, message.Cancelled, d.Pessoa)
	m.Topic = refund(d.PagamentoID)
	m.Facts = message.Facts{CourseID: d.Curso.ID, CourseTitle: d.Curso.Titulo, Reason: d.Motivo}
	return r.once(ctx, sub, e, func(k Desk) error {
		told, err := k.Told(ctx, m.Topic, m.Email, message.Refunded)
		if err != nil || told {
			return err
		}
		return k.Add(ctx, m)
	})
}

// Refunded tells of money that went back, and of the enrolment that ended with
// it. It takes the place of a mail about the latter that still waits.
func (r *Mailroom) Refunded(ctx context.Context, sub string, e bus.Event, d events.PagamentoEstornado) error {
	m := r.message(e, message.Refunded, d.Pagador)
	m.Topic = refund(d.PagamentoID)
	m.Facts = message.Facts{PaymentID: d.PagamentoID, CourseID: d.Curso.ID, CourseTitle: d.Curso.Titulo, Amount: d.Valor.Valor,
		Enrolment: d.Referencia.Tipo == "matricula"}
	return r.once(ctx, sub, e, func(k Desk) error {
		if err := k.Drop(ctx, m.Topic, m.Email, message.Cancelled); err != nil {
			return err
		}
		return k.Add(ctx, m)
	})
}

// Refused tells the payer and shows the way back.
func (r *Mailroom) Refused(ctx context.Context, sub string, e bus.Event, d events.PagamentoRecusado) error {
	m := r.message(e, message.Refused, d.Pagador)
	m.Facts = message.Facts{PaymentID: d.PagamentoID, CourseID: d.Curso.ID, CourseTitle: d.Curso.Titulo, Amount: d.Valor.Valor,
		Method: d.Metodo, Reason: d.Motivo}
	return r.once(ctx, sub, e, func(k Desk) error { return k.Add(ctx, m) })
}

// Charged sends the instructions for pix or boleto, which are worth nothing once
// they have expired.
func (r *Mailroom) Charged(ctx context.Context, sub string, e bus.Event, d events.CobrancaEmitida) error {
	m := r.message(e, message.Instructions, d.Pagador)
	m.ExpiresAt = d.ExpiraEm
	m.Facts = message.Facts{PaymentID: d.PagamentoID, CourseID: d.Curso.ID, CourseTitle: d.Curso.Titulo, Amount: d.Valor.Valor,
		Method: d.Metodo, Code: d.Codigo, ExpiresAt: d.ExpiraEm}
	return r.once(ctx, sub, e, func(k Desk) error { return k.Add(ctx, m) })
}

// ReminderDue queues a reminder.
func (r *Mailroom) ReminderDue(ctx context.Context, sub string, e bus.Event, d events.LembreteDevido) error {
	m := r.message(e, message.Reminder, d.Pessoa)
	m.Topic = lead(d.LeadID)
	if limit, err := time.Parse(time.RFC3339, d.Limite); err == nil {
		m.ExpiresAt = limit
	}
	m.Facts = message.Facts{Step: d.Passo, Steps: d.Passos, Token: d.Token}
	if d.Curso != nil {
		m.CourseID, m.Facts.CourseID, m.Facts.CourseTitle = d.Curso.ID, d.Curso.ID, d.Curso.Titulo
	}
	return r.once(ctx, sub, e, func(k Desk) error { return k.Add(ctx, m) })
}

// Unsubscribed drops the reminders of a lead that still wait. It comes through
// the same subscription as the reminders, after them.
func (r *Mailroom) Unsubscribed(ctx context.Context, sub string, e bus.Event, d events.LeadDescadastrado) error {
	return r.once(ctx, sub, e, func(k Desk) error { return k.Drop(ctx, lead(d.LeadID), "", message.Reminder) })
}

func (r *Mailroom) once(ctx context.Context, sub string, e bus.Event, do func(Desk) error) error {
	err := r.Queue.Once(ctx, sub, e, do)
	if err == nil {
		r.Crash.At("notifications.queued")
	}
	return err
}

func (r *Mailroom) message(e bus.Event, k message.Kind, to events.Pessoa) message.Message {
	now := r.Clock.Now()
	return message.Message{ID: r.IDs.New(), EventID: e.ID, Kind: k, Name: to.Nome, Email: address(to.Email), Trace: e.TraceParent,
		CreatedAt: now, Due: now, State: message.Waiting}
}

func address(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// refund and lead name topics.
func refund(paymentID string) string { return "refund:" + paymentID }

func lead(leadID string) string { return "lead:" + leadID }
