// Package operations is what the people who run the system see and do: what
// subscriptions parked (dead letters), the event log and its replay, scheduled
// tasks, traces.
//
// It owns no data. Each service's own store holds what its subscriptions parked
// and its tasks' state; the agent (package agent), registered by the host in every
// service, answers for it. This service asks the agents and puts their answers
// together, wherever they run.
//
//	/v1/operacao/…  →  operations.api  →  agent in payments  →  payments' store
//	                                   →  agent in academics →  academics' store
//	                                   →  the bus's log
//
// Publishes and consumes nothing. Calls: the agent of every service.
package operations
