// Package rest is the public face of operations: the interface generated from
// contracts/rest/operacao.yaml on one side, the use cases on the other, and
// nothing else. Every route is the operator's.
package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"trama/contracts/rest/operacao"
	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/platform/auth"
	"trama/platform/httpx"
	"trama/platform/schedule"
	"trama/services/operations/internal/app"
)

const (
	base         = "/v1/operacao/"
	defaultLimit = 20
	bulkLimit    = 500
	replayLimit  = 1000
)

type handler struct{ app *app.Operations }

var _ operacao.Handler = handler{}

// New makes the HTTP handler of the operators' routes.
func New(o *app.Operations) (http.Handler, error) {
	server, err := operacao.NewServer(handler{o}, operacao.WithErrorHandler(fail),
		operacao.WithNotFound(httpx.NotFound), operacao.WithMethodNotAllowed(httpx.MethodNotAllowed))
	if err != nil {
		return nil, fmt.Errorf("operations: rest: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := auth.RequireOperator(r.Context()); err != nil {
			httpx.WriteProblem(w, r, err)
			return
		}
		w.Header().Set("Cache-Control", "no-store") // events hold personal data
		a := &answer{ResponseWriter: w}
		server.ServeHTTP(a, r.WithContext(context.WithValue(r.Context(), answerKey{}, a)))
	}), nil
}

// ListarAssinaturas lists the subscriptions.
func (h handler) ListarAssinaturas(ctx context.Context) (operacao.ListarAssinaturasRes, error) {
	parts, silent := h.app.Subscriptions(ctx)
	out := &operacao.Assinaturas{Itens: []operacao.Assinatura{}, SemResposta: silent}
	for _, p := range parts {
		for _, s := range p.Answer.GetSubscriptions() {
			item := operacao.Assinatura{
				Nome: s.GetName(), Servico: p.Service, Tipos: s.GetTypes(), Aguardando: s.GetWaiting(), Atras: s.GetBehind(), Mortas: s.GetDead(),
				MaisAntiga: instant(s.GetOldestDeadMs()), ProximaTentativa: instant(s.GetNextDueMs()), Parada: s.GetHeld(), Reconstruivel: s.GetRebuildable(),
			}
			if s.GetBacklog() >= 0 {
				item.NaFila = operacao.NewOptInt64(s.GetBacklog())
			}
			out.Itens = append(out.Itens, item)
		}
	}
	return out, nil
}

// ListarTarefas lists the scheduled tasks.
func (h handler) ListarTarefas(ctx context.Context) (operacao.ListarTarefasRes, error) {
	parts, silent := h.app.Tasks(ctx)
	out := &operacao.Tarefas{Itens: []operacao.Tarefa{}, SemResposta: silent}
	for _, p := range parts {
		for _, t := range p.Answer.GetTasks() {
			out.Itens = append(out.Itens, operacao.Tarefa{
				Nome: t.GetName(), Servico: p.Service, Sobre: t.GetAbout(), Agenda: t.GetSchedule(), Proxima: instant(t.GetNextMs()),
				UltimoInicio: instant(t.GetLastStartMs()), DuracaoMs: milliseconds(t), Resultado: operacao.NewOptTarefaResultado(result(t)),
				Nota: optional(t.GetLastNote()), Erro: optional(t.GetLastError()), Execucoes: t.GetRuns(), Falhas: t.GetFailures(),
				ExecutadaPor: optional(t.GetRunningBy()), PedidaEm: instant(t.GetRequestedMs()),
			})
		}
	}
	return out, nil
}

func milliseconds(t *operationsv1.Task) operacao.OptFloat64 {
	if t.GetLastStartMs() == 0 {
		return operacao.OptFloat64{}
	}
	return operacao.NewOptFloat64(float64(t.GetLastTookUs()) / 1000)
}

func result(t *operationsv1.Task) operacao.TarefaResultado {
	switch {
	case t.GetRunningSinceMs() != 0:
		return operacao.TarefaResultadoExecutando
	case t.GetLastResult() == string(schedule.OK):
		return operacao.TarefaResultadoOk
	case t.GetLastResult() == string(schedule.Failed):
		return operacao.TarefaResultadoFalhou
	case t.GetLastResult() == string(schedule.Stopped):
		return operacao.TarefaResultadoInterrompida
	}
	return operacao.TarefaResultadoNunca
}

// ExecutarTarefa asks for a run now.
func (h handler) ExecutarTarefa(ctx context.Context, p operacao.ExecutarTarefaParams) (operacao.ExecutarTarefaRes, error) {
	if err := h.app.RunTask(ctx, p.Nome, auth.Name(ctx), schedule.ErrUnknown); err != nil {
		return nil, err
	}
	return &operacao.ExecutarTarefaAccepted{Location: base + "tarefas?nome=" + url.QueryEscape(p.Nome)}, nil
}

func instant(ms int64) operacao.OptDateTime {
	if ms == 0 {
		return operacao.OptDateTime{}
	}
	return operacao.NewOptDateTime(time.UnixMilli(ms).UTC())
}

func millis(t operacao.OptDateTime) int64 {
	if !t.Set || t.Value.IsZero() {
		return 0
	}
	return t.Value.UnixMilli()
}

func optional(s string) operacao.OptString {
	if s == "" {
		return operacao.OptString{}
	}
	return operacao.NewOptString(s)
}
