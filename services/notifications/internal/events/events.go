// Package events is how notifications hears: envelopes of the bus on one side,
// the mailroom on the other. Each kind of mail has a subscription of its own, so
// that trouble with one holds up no other. Names are durable; renaming one loses
// events.
package events

import (
	"context"
	"encoding/json"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/fault"
	"trama/services/notifications/internal/app"
)

// The durable names.
const (
	Accounts      = "notifications.boas-vindas"
	Enrolments    = "notifications.matriculas"
	Cancellations = "notifications.cancelamentos"
	Refusals      = "notifications.recusas"
	Charges       = "notifications.cobrancas"
	Refunds       = "notifications.estornos"
	Reminders     = "notifications.lembretes"
)

// Subscriptions gives what notifications consumes.
func Subscriptions(r *app.Mailroom) []bus.Subscription {
	return []bus.Subscription{
		one(Accounts, events.TypeContaCriada, r.AccountCreated),
		one(Enrolments, events.TypeMatriculaConfirmada, r.Enrolled),
		one(Cancellations, events.TypeMatriculaCancelada, r.Cancelled),
		one(Refusals, events.TypePagamentoRecusado, r.Refused),
		one(Charges, events.TypeCobrancaEmitida, r.Charged),
		one(Refunds, events.TypePagamentoEstornado, r.Refunded),
		reminders(r),
	}
}

// reminders hears of reminders and of who wants none through one subscription:
// both have the lead as subject, so they arrive in their order.
func reminders(r *app.Mailroom) bus.Subscription {
	due, unsubscribed := handle(Reminders, r.ReminderDue), handle(Reminders, r.Unsubscribed)
	return bus.Subscription{
		Name: Reminders, Types: []string{events.TypeLembreteDevido, events.TypeLeadDescadastrado},
		Handler: func(ctx context.Context, e bus.Event) error {
			if e.Type == events.TypeLeadDescadastrado {
				return unsubscribed(ctx, e)
			}
			return due(ctx, e)
		},
	}
}

func one[T any](name, eventType string, use func(context.Context, string, bus.Event, T) error) bus.Subscription {
	return bus.Subscription{Name: name, Types: []string{eventType}, Handler: handle(name, use)}
}

// handle decodes an event's data and hands it to a use case.
func handle[T any](name string, use func(context.Context, string, bus.Event, T) error) bus.Handler {
	return func(ctx context.Context, e bus.Event) error {
		var data T
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return fault.New(fault.Malformed, "evento-ilegivel", fault.Text{
				PT: "Os dados do evento não podem ser lidos.", EN: "The event's data cannot be read.",
			}).Wrap(err)
		}
		return use(ctx, name, e, data)
	}
}
