// Package events is how academics hears: envelopes of the bus on one side, use
// cases on the other. Subscription names are durable; renaming one loses events.
package events

import (
	"context"
	"encoding/json"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/fault"
	"trama/services/academics/internal/app"
)

// The durable names.
const (
	Payments = "academics.pagamentos" // PagamentoProcessado: enrols
	Refunds  = "academics.estornos"   // PagamentoEstornado: cancels
)

// Subscriptions gives what academics consumes. maxInFlight is how many events
// of each subscription are handled at a time.
func Subscriptions(d app.Deps, maxInFlight int) []bus.Subscription {
	enrolments := &app.Enrolments{Deps: d}
	return []bus.Subscription{
		{Name: Payments, Types: []string{events.TypePagamentoProcessado}, MaxInFlight: maxInFlight,
			Handler: handle(Payments, enrolments.Confirm)},
		{Name: Refunds, Types: []string{events.TypePagamentoEstornado}, MaxInFlight: maxInFlight,
			Handler: handle(Refunds, enrolments.Cancel)},
	}
}

// handle decodes an event's data and hands it to a use case.
func handle[T any](name string, use func(ctx context.Context, subscription string, e bus.Event, data T) error) bus.Handler {
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
