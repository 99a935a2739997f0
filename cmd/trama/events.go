package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"trama/contracts/rest/operacao"
	"trama/platform/bus"
)

type eventsCmd struct {
	Tail   eventsTailCmd   `cmd:"" help:"Follow the event log."`
	Show   eventsShowCmd   `cmd:"" help:"Show one event."`
	Replay eventsReplayCmd `cmd:"" help:"Deliver events of the log again to one subscription."`
}

type eventsTailCmd struct {
	target
	Type    []string `help:"Only this event type; may be repeated." placeholder:"TYPE"`
	Subject string   `help:"Only this subject (aggregate id)." placeholder:"ID"`
	Since   string   `help:"Begin at: 10m, 2h, 3d ago, or a time. Default: now." placeholder:"TIME"`
	Once    bool     `help:"Stop at the end of the log."`
	JSON    bool     `name:"json" help:"As lines of JSON."`
}

// Examples stand under the help.
func (eventsTailCmd) Examples() string {
	return `  trama events tail
  trama events tail --since 1h --type br.trama.financeiro.PagamentoProcessado.v1
  trama events tail --since 30d --once --json > eventos.ndjson`
}

// tailWait is how long, in seconds, one request waits for a new event.
const tailWait = 15

func (c eventsTailCmd) Run(g *globals) error {
	since := time.Now().Add(-time.Second) // what was published while this started
	if c.Since != "" {
		var err error
		if since, err = parseSince(c.Since, time.Now()); err != nil {
			return fmt.Errorf("--since: %w", err)
		}
	} else if c.Once {
		since = time.Time{}
	}
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	q := url.Values{"tipo": c.Type, "limite": {"100"}}
	if !since.IsZero() {
		q.Set("desde", since.UTC().Format(time.RFC3339))
	}
	if c.Subject != "" {
		q.Set("assunto", c.Subject)
	}
	if !c.Once {
		q.Set("espera", strconv.Itoa(tailWait))
	}
	for ctx.Err() == nil {
		var page operacao.PaginaDeEventos
		if err := o.call(ctx, "GET", "eventos", q, nil, &page); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		for _, e := range page.Itens {
			if err := c.line(g, e); err != nil {
				return err
			}
		}
		if c.Once && len(page.Itens) < 100 {
			return nil
		}
		if page.Proximo.Set {
			q.Set("cursor", page.Proximo.Value)
		}
	}
	return nil
}

func (c eventsTailCmd) line(g *globals, item operacao.EventoRegistrado) error {
	sorted, err := sortedKeys(item.Evento)
	if err != nil {
		return err
	}
	text, err := json.Marshal(sorted)
	if err != nil {
		return err
	}
	if c.JSON {
		_, err := fmt.Fprintf(g.out, "%s\n", text)
		return err
	}
	var e bus.Event
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	_, err = fmt.Fprintf(g.out, "%s  %s  %s  %s\n", local(e.Time), harmless(e.ID), shortType(e.Type), harmless(e.Subject))
	return err
}

type eventsShowCmd struct {
	target
	ID string `arg:"" help:"Id of the event."`
}

// Examples stand under the help.
func (eventsShowCmd) Examples() string {
	return `  trama events show 01980a52-7c4f-7d3a-9b1e-5f2c8a6d4e01`
}

func (c eventsShowCmd) Run(g *globals) error {
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	var e operacao.EventoRegistrado
	if err := o.call(ctx, "GET", "eventos/"+url.PathEscape(c.ID), nil, nil, &e); err != nil {
		return err
	}
	return printJSON(g.out, e.Evento)
}

type eventsReplayCmd struct {
	target
	To      string `required:"" help:"Subscription that gets the events." placeholder:"SUBSCRIPTION"`
	From    string `required:"" help:"Begin at: 2h, 3d ago, or a time." placeholder:"TIME"`
	Rebuild bool   `help:"Handle again also what was handled: for read models only."`
}

// Examples stand under the help.
func (eventsReplayCmd) Examples() string {
	return `  trama events replay --to academics.pagamentos --from 2h
  trama events replay --to insights.alunos --from 2026-01-01T00:00:00Z --rebuild`
}

func (c eventsReplayCmd) Run(g *globals) error {
	from, err := parseSince(c.From, time.Now())
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	return c.replay(ctx, g, o, map[string]any{"desde": from.Format(time.RFC3339), "reconstruir": c.Rebuild, "limite": 1000})
}

// replay goes on, request by request, until the log's end.
func (c eventsReplayCmd) replay(ctx context.Context, g *globals, o *operator, in map[string]any) error {
	total := int64(0)
	for {
		var r operacao.Reprocessamento
		if err := o.call(ctx, "POST", "assinaturas/"+url.PathEscape(c.To)+"/reprocessamentos", nil, in, &r); err != nil {
			if total > 0 {
				fmt.Fprintf(g.errout, "trama: %d events were handed over before it broke off; run it again\n", total)
			}
			return err
		}
		total += r.Entregues
		if r.Fim {
			_, err := fmt.Fprintf(g.out, "%d events handed over to %s; trama deadletter list --state any shows those it has not handled yet\n", total, c.To)
			return err
		}
		in["id"], in["cursor"] = r.ID, r.Cursor.Value
		fmt.Fprintf(g.errout, "%d events\n", total)
	}
}
