package system

import (
	"context"
	"fmt"

	"trama/platform/schedule"
	"trama/platform/store"
	"trama/platform/store/mongostore"
)

// startTasks runs the scheduled tasks of the modules here until ctx ends.
func (h *Host) startTasks(ctx context.Context) error {
	for _, m := range h.modules() {
		if len(m.Tasks) == 0 {
			continue
		}
		service := Entry{Module: m.Name}.Service()
		s := h.stores[service]
		if s == nil {
			return fmt.Errorf("%s: it has tasks and no store that knows their times", m.Name)
		}
		runner, err := schedule.New(schedule.Config{
			Tasks: m.Tasks, Ledger: s.desk, Leaser: h.leaser(s), Process: process(), Clock: h.Clock,
			Log: h.Log.With("module", m.Name), Crash: h.Crash, Telemetry: h.telemetry.For(service),
		})
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		h.loops.Go(func() { runner.Run(ctx) })
	}
	return nil
}

// leaser gives the leases of a store.
func (h *Host) leaser(s *openStore) store.Leaser {
	if s.mongo != nil {
		return mongostore.NewLeases(s.mongo.Database().Collection("leases"), h.Clock, h.ids)
	}
	return s.db
}
