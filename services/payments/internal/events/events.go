// Package events stands between the bus and the use cases: what happened to a
// payment becomes an event of contracts/events, and the events that payments
// consumes become calls of use cases, each in one transaction with its inbox row.
package events

import (
	"context"
	"encoding/json"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/fault"
	"trama/platform/money"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/services/payments/internal/app"
	"trama/services/payments/internal/payment"
)

// Reference is the kind of thing that payments are for.
const Reference = "matricula"

// Tell gives the event of what happened to a payment.
func Tell(s payment.State, h payment.Happening) outbox.Message {
	m := outbox.Message{Subject: s.ID}
	ref := events.Referencia{Tipo: Reference, ID: s.EnrolmentRef}
	payer := events.Pessoa{Nome: s.Payer.Name, Email: s.Payer.Email}
	course := events.Curso{ID: s.Course.ID, Titulo: s.Course.Title}
	amount := events.Dinheiro{Valor: s.Amount.String(), Moeda: money.BRL}
	switch h {
	case payment.HasBeenReceived:
		m.Type, m.Data = events.TypePagamentoRecebido, events.PagamentoRecebido{PagamentoID: s.ID}
	case payment.HasBeenIssued:
		m.Type, m.Data = events.TypeCobrancaEmitida, events.CobrancaEmitida{
			PagamentoID: s.ID, Pagador: payer, Curso: course, Valor: amount, Metodo: string(s.Method), Codigo: s.Code, ExpiraEm: s.ExpiresAt,
		}
	case payment.HasBeenApproved:
		m.Type, m.Data = events.TypePagamentoProcessado, events.PagamentoProcessado{
			PagamentoID: s.ID, Referencia: ref, Curso: course, Valor: amount, Metodo: string(s.Method), AprovadoEm: s.UpdatedAt,
			Aluno: events.Aluno{Nome: s.Payer.Name, Email: s.Payer.Email, CPF: s.Payer.CPF, Telefone: s.Payer.Phone},
		}
	case payment.HasBeenRefused:
		m.Type, m.Data = events.TypePagamentoRecusado, events.PagamentoRecusado{
			PagamentoID: s.ID, Referencia: ref, Pagador: payer, Curso: course, Valor: amount, Metodo: string(s.Method),
			Motivo: string(s.Reason), RecusadoEm: s.UpdatedAt,
		}
	case payment.RefundIsDue:
		m.Type, m.Data = events.TypeEstornoSolicitado, events.EstornoSolicitado{PagamentoID: s.ID}
	case payment.HasBeenRefunded:
		m.Type, m.Data = events.TypePagamentoEstornado, events.PagamentoEstornado{
			PagamentoID: s.ID, Referencia: ref, Pagador: payer, Curso: course, Valor: amount, EstornadoEm: s.UpdatedAt,
		}
	}
	return m
}

// Consumer turns events into calls of use cases.
type Consumer struct {
	Box        *outbox.Box
	Charger    *app.Charger
	Refunds    *app.Refunds
	Enrolments *app.Enrolments
	InFlight   int // payments charged at a time
}

// Subscriptions gives what payments consumes.
func (c *Consumer) Subscriptions() []bus.Subscription {
	return []bus.Subscription{
		c.subscription("payments.analise", events.TypePagamentoRecebido, func(ctx context.Context, unit app.Unit, e bus.Event) error {
			data, err := decode[events.PagamentoRecebido](e)
			if err != nil {
				return err
			}
			return c.Charger.Do(ctx, unit, data.PagamentoID)
		}),
		c.subscription("payments.estornos", events.TypeEstornoSolicitado, func(ctx context.Context, unit app.Unit, e bus.Event) error {
			data, err := decode[events.EstornoSolicitado](e)
			if err != nil {
				return err
			}
			return c.Refunds.Do(ctx, unit, data.PagamentoID)
		}),
		c.subscription("payments.matriculas", events.TypeMatriculaConfirmada, c.enrolled),
	}
}

func (c *Consumer) enrolled(ctx context.Context, unit app.Unit, e bus.Event) error {
	data, err := decode[events.MatriculaConfirmada](e)
	if err != nil || data.PagamentoID == "" { // an enrolment that nobody paid for
		return err
	}
	return c.Enrolments.Note(ctx, unit, data.PagamentoID, data.AlunoID, data.MatriculaID)
}

func (c *Consumer) subscription(name, eventType string, do func(context.Context, app.Unit, bus.Event) error) bus.Subscription {
	return bus.Subscription{
		Name: name, Types: []string{eventType}, MaxInFlight: c.InFlight,
		Handler: func(ctx context.Context, e bus.Event) error {
			return do(ctx, func(ctx context.Context, fn func(tx store.Tx) error) error {
				return c.Box.Once(ctx, name, e, fn)
			}, e)
		},
	}
}

// decode reads an event's data; what cannot be read will never be (Malformed).
func decode[T any](e bus.Event) (T, error) {
	var data T
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return data, fault.New(fault.Malformed, "evento-ilegivel", fault.Text{
			PT: "O evento não pode ser lido.", EN: "The event cannot be read.",
		}).Wrap(err)
	}
	return data, nil
}
