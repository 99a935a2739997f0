package system

import (
	"context"
	"log/slog"
	"slices"

	"trama/platform/bus"
	"trama/services/operations/agent"
)

// serveAgents registers, beside the calls of every service that answers here, what
// operators ask of it.
func (h *Host) serveAgents() {
	for _, service := range storeServices {
		s := h.stores[service]
		if s == nil || !h.answers(service) {
			continue
		}
		a := &agent.Agent{
			Subscriptions: subscriptionsOf(service), Bus: h.bus, Parking: s.lot, Tasks: s.desk, Spans: h.telemetry, Clock: h.Clock,
		}
		h.network.Serve(service, a.Register)
	}
}

// subscriptionsOf gives what a service consumes, without the work.
func subscriptionsOf(service string) []bus.Subscription {
	var out []bus.Subscription
	for _, e := range Table() {
		if e.Service() == service {
			out = append(out, slices.Clone(e.Consume)...)
		}
	}
	return out
}

// observe shows, to whoever reads this process's metrics, what is parked and what
// waits in the outboxes of the services here.
func (h *Host) observe() {
	h.telemetry.Observe("trama.parking.letters", func(ctx context.Context, report func(float64, ...slog.Attr)) {
		for _, s := range h.stores {
			counts, err := s.lot.Counts(ctx)
			if err != nil {
				continue // the store is down: readiness tells
			}
			for _, c := range counts {
				for state, n := range map[string]int{"waiting": c.Waiting, "behind": c.Behind, "dead": c.Dead} {
					report(float64(n), slog.String("subscription", c.Subscription), slog.String("state", state))
				}
			}
		}
	})
	h.telemetry.Observe("trama.outbox.waiting", func(ctx context.Context, report func(float64, ...slog.Attr)) {
		for service, s := range h.stores {
			if s.box == nil {
				continue
			}
			if n, _, err := s.box.Backlog(ctx); err == nil {
				report(float64(n), slog.String("service", service))
			}
		}
	})
}
