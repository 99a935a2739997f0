package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"trama/contracts/rest/operacao"
	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/platform/auth"
	"trama/platform/bus"
	"trama/platform/httpx"
	"trama/platform/telemetry"
	"trama/services/operations/internal/app"
)

// ListarEventos reads the log.
func (h handler) ListarEventos(ctx context.Context, p operacao.ListarEventosParams) (operacao.ListarEventosRes, error) {
	limit := p.Limite.Or(defaultLimit)
	q := bus.Query{After: p.Cursor.Value, Types: p.Tipo, Subject: p.Assunto.Value, From: p.Desde.Value}
	entries, err := h.app.Events(ctx, q, limit, time.Duration(p.Espera.Value)*time.Second)
	if err != nil {
		return nil, err
	}
	next := p.Cursor.Value
	out := &operacao.PaginaDeEventosHeaders{Response: operacao.PaginaDeEventos{Itens: make([]operacao.EventoRegistrado, 0, len(entries))}}
	for _, e := range entries {
		item, err := entry(e)
		if err != nil {
			return nil, err
		}
		out.Response.Itens = append(out.Response.Itens, *item)
		next = e.Position
	}
	out.Response.Proximo = optional(next)
	if len(entries) == limit {
		out.Link = operacao.NewOptString(fmt.Sprintf(`<%seventos?cursor=%s&limite=%d>; rel="next"`, base, url.QueryEscape(next), limit))
	}
	return out, nil
}

func entry(e bus.LogEntry) (*operacao.EventoRegistrado, error) {
	m, err := eventMap(e.Event)
	if err != nil {
		return nil, err
	}
	return &operacao.EventoRegistrado{Posicao: e.Position, Evento: m}, nil
}

// ObterEvento shows one event of the log.
func (h handler) ObterEvento(ctx context.Context, p operacao.ObterEventoParams) (operacao.ObterEventoRes, error) {
	e, err := h.app.Event(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	return entry(e)
}

// Reprocessar parks a part of the log for a subscription.
func (h handler) Reprocessar(ctx context.Context, n *operacao.NovoReprocessamento, p operacao.ReprocessarParams) (operacao.ReprocessarRes, error) {
	id := n.ID.Value
	if id == "" {
		id = h.app.IDs.New()
	}
	r, err := h.app.Replay(ctx, &operationsv1.ReplayRequest{
		Id: id, Subscription: p.Assinatura, FromMs: n.Desde.UnixMilli(), After: n.Cursor.Value,
		Rebuild: n.Reconstruir.Value, Who: auth.Name(ctx), Limit: int32(n.Limite.Or(replayLimit)),
	})
	if err != nil {
		return nil, err
	}
	return &operacao.Reprocessamento{ID: id, Assinatura: p.Assinatura, Entregues: r.GetParked(), Cursor: optional(r.GetNext()), Fim: r.GetDone()}, nil
}

// ObterRastro shows what the processes remember of a trace, and of those it goes
// on in.
func (h handler) ObterRastro(ctx context.Context, p operacao.ObterRastroParams) (operacao.ObterRastroRes, error) {
	var silent []string
	spans, err := telemetry.Gather(p.TraceID, func(id string) ([]telemetry.SpanRecord, error) {
		parts, missing := h.app.Spans(ctx, id)
		silent = missing
		return decodeSpans(parts)
	})
	if err != nil {
		return nil, err
	}
	if len(spans) == 0 {
		return nil, httpx.ErrNotFound
	}
	out := &operacao.Rastro{TraceID: p.TraceID, SemResposta: silent}
	for _, s := range spans {
		text, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		var item rawMap
		if err := json.Unmarshal(text, &item); err != nil {
			return nil, err
		}
		out.Trechos = append(out.Trechos, operacao.RastroTrechosItem(item))
	}
	return out, nil
}

func decodeSpans(parts []app.Part[*operationsv1.SpansResponse]) (all []telemetry.SpanRecord, err error) {
	for _, part := range parts {
		if len(part.Answer.GetSpans()) == 0 {
			continue
		}
		var list []telemetry.SpanRecord
		if err := json.Unmarshal(part.Answer.GetSpans(), &list); err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}
