package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"

	"trama/contracts/rest/operacao"
	"trama/platform/telemetry"
)

type tasksCmd struct {
	List tasksListCmd `cmd:"" default:"withargs" help:"List the scheduled tasks: last and next run, result, duration."`
	Run  tasksRunCmd  `cmd:"" help:"Run a task now."`
}

type tasksListCmd struct{ target }

// Examples stand under the help.
func (tasksListCmd) Examples() string { return `  trama tasks` }

func (c tasksListCmd) Run(g *globals) error {
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	var tasks operacao.Tarefas
	if err := o.call(ctx, "GET", "tarefas", nil, nil, &tasks); err != nil {
		return err
	}
	g.silent(tasks.SemResposta)
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TASK\tSCHEDULE\tLAST RUN\tTOOK\tRESULT\tRUNS\tFAILED\tNEXT RUN\tNOTE")
	for _, t := range tasks.Itens {
		last, took, next := "-", "-", "-"
		if t.UltimoInicio.Set {
			last = local(t.UltimoInicio.Value)
		}
		if t.DuracaoMs.Set {
			took = fmt.Sprintf("%.1f ms", t.DuracaoMs.Value)
		}
		if t.Proxima.Set {
			next = local(t.Proxima.Value)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", t.Nome, t.Agenda, last, took, resultName(t.Resultado.Value), t.Execucoes, t.Falhas, next,
			cut(strings.TrimSpace(t.Nota.Value+" "+t.Erro.Value), 60))
	}
	return w.Flush()
}

func resultName(r operacao.TarefaResultado) string {
	return map[operacao.TarefaResultado]string{"ok": "ok", "falhou": "failed", "interrompida": "stopped", "executando": "running", "nunca": "never"}[r]
}

type tasksRunCmd struct {
	target
	Name string `arg:"" help:"Name of the task, as trama tasks shows it."`
}

// Examples stand under the help.
func (tasksRunCmd) Examples() string { return `  trama tasks run payments.expiry` }

func (c tasksRunCmd) Run(g *globals) error {
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	if err := o.call(ctx, "POST", "tarefas/"+url.PathEscape(c.Name)+"/execucoes", nil, nil, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintln(g.out, "asked for; trama tasks shows the result")
	return err
}

type subscriptionsCmd struct{ target }

// Examples stand under the help.
func (subscriptionsCmd) Examples() string { return `  trama subscriptions` }

func (c subscriptionsCmd) Run(g *globals) error {
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	var list operacao.Assinaturas
	if err := o.call(ctx, "GET", "assinaturas", nil, nil, &list); err != nil {
		return err
	}
	g.silent(list.SemResposta)
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SUBSCRIPTION\tQUEUED\tWAITING\tBEHIND\tDEAD\tOLDEST DEAD\tNEXT TRY")
	for _, s := range list.Itens {
		queued, oldest, next := "?", "-", "-"
		if s.NaFila.Set {
			queued = fmt.Sprint(s.NaFila.Value)
		}
		if s.MaisAntiga.Set {
			oldest = local(s.MaisAntiga.Value)
		}
		if s.ProximaTentativa.Set {
			next = local(s.ProximaTentativa.Value)
		}
		held := ""
		if s.Parada {
			held = " (held)"
		}
		fmt.Fprintf(w, "%s%s\t%s\t%d\t%d\t%d\t%s\t%s\n", s.Nome, held, queued, s.Aguardando, s.Atras, s.Mortas, oldest, next)
	}
	return w.Flush()
}

type traceCmd struct {
	target
	ID string `arg:"" help:"Trace id: the traceId of an answer, a log line, an event or a dead letter."`
}

// Examples stand under the help.
func (traceCmd) Examples() string { return `  trama trace 4bf92f3577b34da6a3ce929d0e0e4736` }

func (c traceCmd) Run(g *globals) error {
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	var trace operacao.Rastro
	if err := o.call(ctx, "GET", "rastros/"+url.PathEscape(c.ID), nil, nil, &trace); err != nil {
		return err
	}
	g.silent(trace.SemResposta)
	text, err := json.Marshal(trace.Trechos)
	if err != nil {
		return err
	}
	var spans []telemetry.SpanRecord
	if err := json.Unmarshal(text, &spans); err != nil {
		return err
	}
	return telemetry.Waterfall(g.out, spans)
}
