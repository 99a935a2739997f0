package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/fault"
	"trama/platform/schedule"
	"trama/platform/telemetry"
)

var errPoison = fault.New(fault.Invalid, "veneno", fault.Text{PT: "veneno", EN: "poison 42"})

// dead makes a consumer of effect park event 1 of each subject dead, with event 2
// behind it, until it is healed.
func (k *kit) dead(subjects int) (all []bus.Event, healed *atomic.Bool) {
	k.t.Helper()
	healed = &atomic.Bool{}
	all = k.publish(subjects, 1, 2)
	k.consume(effect, func(e bus.Event) error {
		if bustest.Number(e) == 1 && !healed.Load() {
			return errPoison
		}
		return nil
	})
	k.await("all to be parked", func() bool {
		s := k.subscription(effect)
		return s.GetDead() == int64(subjects) && s.GetBehind() == int64(subjects)
	})
	return all, healed
}

func (k *kit) subscription(name string) *operationsv1.Subscription {
	k.t.Helper()
	r, err := k.Subscriptions(k.ctx(), &operationsv1.SubscriptionsRequest{})
	k.must(err)
	i := slices.IndexFunc(r.GetSubscriptions(), func(s *operationsv1.Subscription) bool { return s.GetName() == name })
	return r.GetSubscriptions()[i]
}

func (k *kit) acts() (out []string) {
	k.t.Helper()
	r, err := k.Audit(k.ctx(), &operationsv1.AuditRequest{})
	k.must(err)
	for _, a := range r.GetActs() {
		out = append(out, a.GetAct()+" "+a.GetWho())
	}
	return out
}

func ofEffect() *operationsv1.Filter {
	return &operationsv1.Filter{Subscription: effect, State: string(bus.Dead)}
}

func TestDeadLettersAreSeenAndRetried(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	all, healed := k.dead(3)
	list, err := k.Letters(k.ctx(), &operationsv1.LettersRequest{Filter: ofEffect(), Limit: 10})
	k.must(err)
	l := list.GetLetters()[0]
	if len(list.GetLetters()) != 3 || l.GetBehindIt() != 1 || l.GetLastKind() != "invalid" || l.GetLastCode() != "veneno" || l.GetTries() != 1 || len(l.GetBody()) > 0 {
		t.Errorf("the list is %v", list)
	}
	whole, err := k.Letter(k.ctx(), &operationsv1.LetterRequest{Subscription: effect, Id: all[0].ID})
	k.must(err)
	if e, err := bus.Decode(whole.GetLetter().GetBody()); err != nil || e.ID != all[0].ID || len(whole.GetLetter().GetHistory()) != 1 {
		t.Errorf("one is %v, %v", whole, err)
	}
	causes, err := k.Causes(k.ctx(), &operationsv1.CausesRequest{Filter: ofEffect()})
	k.must(err)
	if c := causes.GetCauses(); len(c) != 1 || c[0].GetCount() != 3 || c[0].GetCode() != "veneno" || c[0].GetExample() == "" {
		t.Errorf("the causes are %v", c)
	}
	if s := k.subscription(effect); s.GetOldestDeadMs() == 0 || s.GetRebuildable() || k.subscription(view).GetDead() != 0 {
		t.Errorf("the subscription is %v", s)
	}

	healed.Store(true)
	r, err := k.Retry(k.ctx(), &operationsv1.ActRequest{Filter: ofEffect(), Who: "ana", Limit: 2})
	if err != nil || r.GetDone() != 2 || r.GetLeft() != 1 {
		t.Errorf("the first two: %v %v", r, err)
	}
	if r, err = k.Retry(k.ctx(), &operationsv1.ActRequest{Filter: ofEffect(), Who: "ana"}); err != nil || r.GetDone() != 1 || r.GetLeft() != 0 {
		t.Errorf("the rest: %v %v", r, err)
	}
	k.await("everything to be handled", func() bool { return k.parked(effect) == 0 })
	if got := k.effects(effect)["s1"]; !slices.Equal(got, []done{{1, ""}, {2, ""}}) {
		t.Errorf("the effects are %v", got)
	}
	if got := k.acts(); !slices.Equal(got, []string{"retry ana", "retry ana", "retry ana"}) {
		t.Errorf("the audit is %v", got)
	}
}

func TestDroppedAndEdited(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	all, healed := k.dead(2)
	drop := &operationsv1.ActRequest{Filter: &operationsv1.Filter{Subscription: effect, Ids: []string{all[0].ID}}, Who: "ana", Why: "teste"}
	for want := int64(1); want >= 0; want-- { // the second time there is nothing to do
		if r, err := k.Drop(k.ctx(), drop); err != nil || r.GetDone() != want || r.GetLeft() != 0 {
			t.Errorf("drop: %v %v", r, err)
		}
	}
	k.await("what stood behind it", func() bool { return len(k.effects(effect)["s0"]) == 1 })

	corrected := all[1]
	corrected.Type = bustest.TypeB
	body, err := bus.Encode(corrected)
	k.must(err)
	healed.Store(true)
	edit := &operationsv1.EditRequest{Subscription: effect, Id: corrected.ID, Body: body, Who: "bia", Why: "tipo"}
	for range 3 { // also when it has been handled since
		_, err := k.Edit(k.ctx(), edit)
		k.must(err)
		k.await("the corrected event", func() bool { return k.parked(effect) == 0 })
	}
	if got := k.effects(effect)["s1"]; !slices.Equal(got, []done{{1, ""}, {2, ""}}) {
		t.Errorf("the effects are %v", got)
	}
	if got := k.acts(); !slices.Equal(got, []string{"drop ana", "edit bia"}) {
		t.Errorf("the audit is %v", got)
	}
	_, err = k.Edit(k.ctx(), &operationsv1.EditRequest{Subscription: effect, Id: all[3].ID, Body: body, Who: "bia"})
	k.want(err, fault.NotFound, "mensagem-nao-encontrada")
	_, err = k.Edit(k.ctx(), &operationsv1.EditRequest{Subscription: effect, Id: corrected.ID, Body: []byte(`{}`), Who: "bia"})
	k.want(err, fault.Malformed, "evento-malformado")
	_, err = k.Letter(k.ctx(), &operationsv1.LetterRequest{Subscription: effect, Id: "nada"})
	k.want(err, fault.NotFound, "mensagem-nao-encontrada")
}

func TestTasksAndSpans(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	_, err := k.RunTask(k.ctx(), &operationsv1.RunTaskRequest{Name: "loja.nada", Who: "ana"})
	k.want(err, fault.NotFound, "tarefa-inexistente")
	runner, err := schedule.New(schedule.Config{Leaser: k.db, Ledger: k.ledger, Clock: k.clock, Process: "teste:1",
		Log: slog.New(slog.DiscardHandler), Tasks: []schedule.Task{{Name: "loja.faxina", About: "Limpa", Every: time.Hour,
			Run: func(context.Context) (schedule.Result, error) {
				return schedule.Result{Note: "limpo"}, errors.New("sujo")
			}}}})
	k.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { runner.Run(ctx); close(over) }()
	defer func() { cancel(); <-over }()
	task := func() *operationsv1.Task {
		r, err := k.Tasks(k.ctx(), &operationsv1.TasksRequest{})
		k.must(err)
		if len(r.GetTasks()) == 0 {
			return nil
		}
		return r.GetTasks()[0]
	}
	k.await("a failed run", func() bool { return task().GetFailures() > 0 })
	if x := task(); x.GetName() != "loja.faxina" || x.GetAbout() != "Limpa" || x.GetLastError() == "" || x.GetLastResult() != string(schedule.Failed) || x.GetLastStartMs() == 0 {
		t.Errorf("the task is %v", x)
	}
	runs := task().GetRuns()
	_, err = k.RunTask(k.ctx(), &operationsv1.RunTaskRequest{Name: "loja.faxina", Who: "ana"})
	k.must(err)
	k.await("the run asked for", func() bool { return task().GetRuns() > runs })

	within, span := k.spans.Span(telemetry.Start(t.Context()), telemetry.Consumer, "loja.algo")
	span.End(nil)
	r, err := k.Spans(k.ctx(), &operationsv1.SpansRequest{TraceId: telemetry.TraceID(within)})
	k.must(err)
	var spans []telemetry.SpanRecord
	if err := json.Unmarshal(r.GetSpans(), &spans); err != nil || len(spans) != 1 || spans[0].Name != "loja.algo" {
		t.Errorf("spans %s, %v", r.GetSpans(), err)
	}
	if r, err := k.Spans(k.ctx(), &operationsv1.SpansRequest{TraceId: "ff"}); err != nil || len(r.GetSpans()) != 0 {
		t.Errorf("no such trace: %v %v", r, err)
	}
}
