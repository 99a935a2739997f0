// Package app is what operators see and do over the whole system: it asks every
// service that keeps parked events or tasks, and puts their answers together. A
// service that does not answer is named in the answer instead of failing it; an
// act on such a service fails.
package app

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/contracts/rpc/operations/v1/operationsv1connect"
	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/fault"
	"trama/platform/id"
)

// askTime is how long one service may take to answer.
const askTime = 5 * time.Second

// actTime is how long one step of an act may take: a replay waits for a consumer
// to step aside.
const actTime = 25 * time.Second

// Log is the event log.
type Log interface {
	Read(ctx context.Context, q bus.Query, fn func(bus.LogEntry) error) error
}

// Operations is the use cases.
type Operations struct {
	Services []string // that have an agent, in the order in which they are shown
	Client   func(service string) operationsv1connect.OperationsServiceClient
	Log      Log
	Clock    clock.Clock
	IDs      id.Source
}

// Part is one service's share of an answer.
type Part[T any] struct {
	Service string
	Answer  T
}

// ask asks all services side by side; those that do not answer are named.
func ask[T any](ctx context.Context, o *Operations, call func(ctx context.Context, c operationsv1connect.OperationsServiceClient) (T, error)) (parts []Part[T], silent []string) {
	answers := make([]*T, len(o.Services))
	var wg sync.WaitGroup
	for i, service := range o.Services {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, askTime)
			defer cancel()
			if a, err := call(ctx, o.Client(service)); err == nil {
				answers[i] = &a
			}
		})
	}
	wg.Wait()
	for i, service := range o.Services {
		if answers[i] == nil {
			silent = append(silent, service)
			continue
		}
		parts = append(parts, Part[T]{service, *answers[i]})
	}
	return parts, silent
}

// owner gives the service whose subscription or task this is: the part of its name
// before the dot.
func (o *Operations) owner(name string, unknown error) (operationsv1connect.OperationsServiceClient, error) {
	service, _, _ := strings.Cut(name, ".")
	if !slices.Contains(o.Services, service) {
		return nil, unknown
	}
	return o.Client(service), nil
}

// ErrNoSubscription is the fault for a subscription that nobody has.
var ErrNoSubscription = fault.New(fault.NotFound, "assinatura-nao-encontrada", fault.Text{
	PT: "Não há assinatura com este nome.",
	EN: "There is no subscription with this name.",
})

// Subscriptions lists every subscription of the system.
func (o *Operations) Subscriptions(ctx context.Context) ([]Part[*operationsv1.SubscriptionsResponse], []string) {
	return ask(ctx, o, func(ctx context.Context, c operationsv1connect.OperationsServiceClient) (*operationsv1.SubscriptionsResponse, error) {
		return c.Subscriptions(ctx, &operationsv1.SubscriptionsRequest{})
	})
}

// Causes groups dead letters of the whole system.
func (o *Operations) Causes(ctx context.Context, f *operationsv1.Filter) ([]*operationsv1.Cause, []string) {
	parts, silent := ask(ctx, o.only(f), func(ctx context.Context, c operationsv1connect.OperationsServiceClient) (*operationsv1.CausesResponse, error) {
		return c.Causes(ctx, &operationsv1.CausesRequest{Filter: f})
	})
	var out []*operationsv1.Cause
	for _, p := range parts {
		out = append(out, p.Answer.GetCauses()...)
	}
	slices.SortStableFunc(out, func(a, b *operationsv1.Cause) int { return int(b.GetCount() - a.GetCount()) })
	return out, silent
}

// only narrows the services to the one whose subscription is asked for.
func (o *Operations) only(f *operationsv1.Filter) *Operations {
	if f.GetSubscription() == "" {
		return o
	}
	service, _, _ := strings.Cut(f.GetSubscription(), ".")
	narrowed := *o
	narrowed.Services = slices.DeleteFunc(slices.Clone(o.Services), func(s string) bool { return s != service })
	return &narrowed
}

// Tasks lists every scheduled task of the system.
func (o *Operations) Tasks(ctx context.Context) ([]Part[*operationsv1.TasksResponse], []string) {
	return ask(ctx, o, func(ctx context.Context, c operationsv1connect.OperationsServiceClient) (*operationsv1.TasksResponse, error) {
		return c.Tasks(ctx, &operationsv1.TasksRequest{})
	})
}

// RunTask asks for a run now.
func (o *Operations) RunTask(ctx context.Context, name, who string, unknown error) error {
	c, err := o.owner(name, unknown)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	_, err = c.RunTask(ctx, &operationsv1.RunTaskRequest{Name: name, Who: who})
	return err
}

// Spans gives what the processes remember of a trace, each service's part as JSON.
func (o *Operations) Spans(ctx context.Context, trace string) ([]Part[*operationsv1.SpansResponse], []string) {
	return ask(ctx, o, func(ctx context.Context, c operationsv1connect.OperationsServiceClient) (*operationsv1.SpansResponse, error) {
		return c.Spans(ctx, &operationsv1.SpansRequest{TraceId: trace})
	})
}
