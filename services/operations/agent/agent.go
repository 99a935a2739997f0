// Package agent is what operators' calls reach in every service: it answers
// contracts/rpc/operations from the service's own store (what its subscriptions
// parked, its tasks), the bus's log and the process's spans. It is registered by
// the host in every process that serves the service's calls, beside the service's
// own; it knows no service.
package agent

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"connectrpc.com/connect/v2"

	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/contracts/rpc/operations/v1/operationsv1connect"
	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/fault"
	"trama/platform/parking"
	"trama/platform/schedule"
	"trama/platform/telemetry"
)

// Agent serves one service's operators' calls. Parking, Tasks and Spans may be
// nil: there is then nothing to show.
type Agent struct {
	Subscriptions []bus.Subscription // of the service; without handlers
	Bus           bus.Bus
	Parking       Lot
	Tasks         schedule.Desk
	Spans         *telemetry.Recorder
	Clock         clock.Clock
	Patience      time.Duration // how long a replay waits for the consumer to step aside; 0 means 15 s
}

// Lot is a service's parking: both its sides.
type Lot interface {
	bus.Parking
	parking.Admin
}

// Register makes the calls available on a service's server.
func (a *Agent) Register(s *connect.Server) {
	operationsv1connect.RegisterOperationsServiceHandler(s, server{a})
}

type server struct{ *Agent }

var errNoSubscription = fault.New(fault.NotFound, "assinatura-nao-encontrada", fault.Text{
	PT: "Não há assinatura com este nome.",
	EN: "There is no subscription with this name.",
})

// Subscriptions tells what waits for each of the service's subscriptions.
func (s server) Subscriptions(ctx context.Context, _ *operationsv1.SubscriptionsRequest) (*operationsv1.SubscriptionsResponse, error) {
	counts := map[string]parking.Count{}
	if s.Parking != nil {
		list, err := s.Parking.Counts(ctx)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			counts[c.Subscription] = c
		}
	}
	out := &operationsv1.SubscriptionsResponse{}
	for _, sub := range s.Agent.Subscriptions {
		backlog, err := s.Bus.Backlog(ctx, sub.Name)
		if err != nil {
			backlog = -1 // the broker is down: the rest is still worth seeing
		}
		c := counts[sub.Name]
		out.Subscriptions = append(out.Subscriptions, &operationsv1.Subscription{
			Name: sub.Name, Types: sub.Types, Backlog: backlog, Rebuildable: sub.Rebuildable,
			Waiting: int64(c.Waiting), Behind: int64(c.Behind), Dead: int64(c.Dead),
			OldestDeadMs: millis(c.OldestDead), NextDueMs: millis(c.NextDue), Held: c.Held,
		})
	}
	return out, nil
}

// Tasks lists the service's scheduled tasks.
func (s server) Tasks(ctx context.Context, _ *operationsv1.TasksRequest) (*operationsv1.TasksResponse, error) {
	out := &operationsv1.TasksResponse{}
	if s.Agent.Tasks == nil {
		return out, nil
	}
	states, err := s.Agent.Tasks.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range states {
		out.Tasks = append(out.Tasks, taskMessage(t))
	}
	return out, nil
}

// RunTask asks for a run now.
func (s server) RunTask(ctx context.Context, r *operationsv1.RunTaskRequest) (*operationsv1.RunTaskResponse, error) {
	if s.Agent.Tasks == nil {
		return nil, schedule.ErrUnknown
	}
	return &operationsv1.RunTaskResponse{}, s.Agent.Tasks.Request(ctx, r.GetName(), r.GetWho())
}

// Spans gives what this process remembers of a trace.
func (s server) Spans(_ context.Context, r *operationsv1.SpansRequest) (*operationsv1.SpansResponse, error) {
	list := s.Agent.Spans.Trace(r.GetTraceId())
	if len(list) == 0 {
		return &operationsv1.SpansResponse{}, nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	return &operationsv1.SpansResponse{Spans: text}, nil
}

// subscription finds one of the service's own.
func (s server) subscription(name string) (bus.Subscription, error) {
	i := slices.IndexFunc(s.Agent.Subscriptions, func(x bus.Subscription) bool { return x.Name == name })
	if i < 0 {
		return bus.Subscription{}, errNoSubscription
	}
	return s.Agent.Subscriptions[i], nil
}

// millis gives Unix ms; 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
