package system

import (
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
