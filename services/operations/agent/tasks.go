package agent

import (
	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/platform/schedule"
)

func taskMessage(t schedule.State) *operationsv1.Task {
	return &operationsv1.Task{
		Name: t.Name, About: t.About, Schedule: t.Schedule, NextMs: millis(t.Next),
		LastStartMs: millis(t.LastStart), LastTookUs: t.Took().Microseconds(), LastResult: string(t.LastResult), LastNote: t.LastNote, LastError: t.LastError,
		Runs: t.Runs, Failures: t.Failures, RunningBy: t.RunningBy, RunningSinceMs: millis(t.RunningSince), RequestedMs: millis(t.RequestedAt),
	}
}
