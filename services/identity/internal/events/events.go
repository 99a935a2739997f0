// Package events is how identity hears: envelopes of the bus on one side, use
// cases on the other. Subscription names are durable; renaming one loses events.
package events

import (
	"context"
	"encoding/json"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/fault"
	"trama/services/identity/internal/app"
)

// Students is the durable name of the subscription to AlunoCriado.
const Students = "identity.alunos"

// Subscriptions gives what identity consumes. maxInFlight is how many events are
// handled at a time.
func Subscriptions(a *app.Accounts, maxInFlight int) []bus.Subscription {
	return []bus.Subscription{{
		Name: Students, Types: []string{events.TypeAlunoCriado}, MaxInFlight: maxInFlight,
		Handler: func(ctx context.Context, e bus.Event) error {
			var data events.AlunoCriado
			if err := json.Unmarshal(e.Data, &data); err != nil {
				return fault.New(fault.Malformed, "evento-ilegivel", fault.Text{
					PT: "Os dados do evento não podem ser lidos.", EN: "The event's data cannot be read.",
				}).Wrap(err)
			}
			return a.Open(ctx, Students, e, data)
		},
	}}
}
