// Package events is how marketing hears: envelopes of the bus on one side, use
// cases on the other. Subscription names are durable; renaming one loses events.
package events

import (
	"context"
	"encoding/json"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/fault"
	"trama/services/marketing/internal/app"
)

// Enrolments is the durable name of the interest in MatriculaConfirmada.
const Enrolments = "marketing.matriculas"

// Subscriptions gives what marketing consumes.
func Subscriptions(enrol *app.Enrol) []bus.Subscription {
	return []bus.Subscription{{
		Name: Enrolments, Types: []string{events.TypeMatriculaConfirmada},
		Handler: func(ctx context.Context, e bus.Event) error {
			var m events.MatriculaConfirmada
			if err := json.Unmarshal(e.Data, &m); err != nil {
				return fault.New(fault.Malformed, "evento-ilegivel", fault.Text{
					PT: "Os dados do evento não podem ser lidos.", EN: "The event's data cannot be read.",
				}).Wrap(err)
			}
			return enrol.Do(ctx, Enrolments, e, m)
		},
	}}
}
