package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/go-faster/jx"

	"trama/contracts/rest/operacao"
	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/platform/auth"
	"trama/platform/bus"
	"trama/platform/fault"
	"trama/services/operations/internal/app"
)

const lettersPath = base + "mensagens-mortas"

// ListarMensagensMortas lists parked events.
func (h handler) ListarMensagensMortas(ctx context.Context, p operacao.ListarMensagensMortasParams) (operacao.ListarMensagensMortasRes, error) {
	limit := p.Limite.Or(defaultLimit)
	page, err := h.app.Letters(ctx, &operationsv1.Filter{
		Subscription: p.Assinatura.Value, Subject: p.Assunto.Value, Type: p.Tipo.Value, Kind: p.Falha.Value, Code: p.Codigo.Value,
		Error: p.Erro.Value, State: state(string(p.Situacao.Value)), FromMs: millis(p.Desde), ToMs: millis(p.Ate),
	}, p.Cursor.Value, limit)
	if err != nil {
		return nil, err
	}
	out := &operacao.PaginaDeMensagensMortasHeaders{Response: operacao.PaginaDeMensagensMortas{
		Itens: make([]operacao.MensagemMorta, 0, len(page.Items)), SemResposta: page.Silent, Proximo: optional(page.Next)}}
	out.Link = link(lettersPath, page.Next, limit)
	for _, l := range page.Items {
		out.Response.Itens = append(out.Response.Itens, letter(l))
	}
	return out, nil
}

// AgruparMensagensMortas groups by cause.
func (h handler) AgruparMensagensMortas(ctx context.Context, p operacao.AgruparMensagensMortasParams) (operacao.AgruparMensagensMortasRes, error) {
	causes, silent := h.app.Causes(ctx, &operationsv1.Filter{
		Subscription: p.Assinatura.Value, Subject: p.Assunto.Value, Type: p.Tipo.Value, Kind: p.Falha.Value, Code: p.Codigo.Value,
		Error: p.Erro.Value, State: state(string(p.Situacao.Value)), FromMs: millis(p.Desde), ToMs: millis(p.Ate),
	})
	out := &operacao.Causas{Itens: []operacao.Causa{}, SemResposta: silent}
	for _, c := range causes {
		out.Itens = append(out.Itens, operacao.Causa{
			Assinatura: c.GetSubscription(), Tipo: c.GetType(), Falha: c.GetKind(), Codigo: c.GetCode(), Erro: c.GetError(),
			Quantas: c.GetCount(), Primeira: instant(c.GetOldestMs()).Value, Ultima: instant(c.GetNewestMs()).Value, Exemplo: c.GetExample(),
		})
	}
	return out, nil
}

// ExportarMensagensMortas writes parked events as lines of JSON.
func (h handler) ExportarMensagensMortas(ctx context.Context, p operacao.ExportarMensagensMortasParams) (operacao.ExportarMensagensMortasRes, error) {
	r, err := h.app.ExportReader(ctx, &operationsv1.Filter{
		Subscription: p.Assinatura.Value, Subject: p.Assunto.Value, Type: p.Tipo.Value, Kind: p.Falha.Value, Code: p.Codigo.Value,
		Error: p.Erro.Value, State: state(string(p.Situacao.Value)), FromMs: millis(p.Desde), ToMs: millis(p.Ate),
	}, auth.Name(ctx), line)
	if err != nil {
		return nil, err
	}
	return &operacao.ExportarMensagensMortasOK{Data: r}, nil
}

func line(l *operationsv1.Letter) []byte {
	e := jx.Encoder{}
	whole(l).Encode(&e)
	return append(e.Bytes(), '\n')
}

// ObterMensagemMorta shows one parked event whole.
func (h handler) ObterMensagemMorta(ctx context.Context, p operacao.ObterMensagemMortaParams) (operacao.ObterMensagemMortaRes, error) {
	l, err := h.app.Letter(ctx, p.Assinatura, p.ID)
	if err != nil {
		return nil, err
	}
	return whole(l), nil
}

// TentarMensagensDeNovo retries what a filter selects.
func (h handler) TentarMensagensDeNovo(ctx context.Context, f *operacao.Filtro, _ operacao.TentarMensagensDeNovoParams) (operacao.TentarMensagensDeNovoRes, error) {
	r, err := act(ctx, f)
	if err != nil {
		return nil, err
	}
	done, left, err := h.app.Retry(ctx, r)
	if err != nil {
		return nil, err
	}
	return &operacao.Feito{Feitas: done, Restantes: left}, nil
}

// DescartarMensagens drops what a filter selects.
func (h handler) DescartarMensagens(ctx context.Context, f *operacao.Filtro, _ operacao.DescartarMensagensParams) (operacao.DescartarMensagensRes, error) {
	r, err := act(ctx, f)
	if err != nil {
		return nil, err
	}
	done, left, err := h.app.Drop(ctx, r)
	if err != nil {
		return nil, err
	}
	return &operacao.Feito{Feitas: done, Restantes: left}, nil
}

// TentarMensagemDeNovo retries one.
func (h handler) TentarMensagemDeNovo(ctx context.Context, p operacao.TentarMensagemDeNovoParams) (operacao.TentarMensagemDeNovoRes, error) {
	if _, err := h.app.Letter(ctx, p.Assinatura, p.ID); err != nil {
		return nil, err
	}
	done, left, err := h.app.Retry(ctx, one(ctx, p.Assinatura, p.ID, ""))
	if err != nil {
		return nil, err
	}
	return &operacao.Feito{Feitas: done, Restantes: left}, nil
}

// DescartarMensagem drops one.
func (h handler) DescartarMensagem(ctx context.Context, p operacao.DescartarMensagemParams) (operacao.DescartarMensagemRes, error) {
	if _, err := h.app.Letter(ctx, p.Assinatura, p.ID); err != nil {
		return nil, err
	}
	if _, _, err := h.app.Drop(ctx, one(ctx, p.Assinatura, p.ID, p.Motivo)); err != nil {
		return nil, err
	}
	return &operacao.DescartarMensagemNoContent{}, nil
}

// CorrigirMensagem replaces the event of a letter. A correction made before is
// answered like the first time, also when its letter has been handled since.
func (h handler) CorrigirMensagem(ctx context.Context, c *operacao.Correcao, p operacao.CorrigirMensagemParams) (operacao.CorrigirMensagemRes, error) {
	body, err := plain(c.Evento)
	if err != nil {
		return nil, err
	}
	err = h.app.Edit(ctx, &operationsv1.EditRequest{Subscription: p.Assinatura, Id: p.ID, Body: body, Who: auth.Name(ctx), Why: c.Motivo.Value})
	if err != nil {
		return nil, err
	}
	after, err := h.app.Letter(ctx, p.Assinatura, p.ID)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	if err != nil { // handled in the meantime
		e, _ := bus.Decode(body) // it was one a moment ago
		after = &operationsv1.Letter{Subscription: p.Assinatura, Id: p.ID, Subject: e.Subject, Type: e.Type, State: string(bus.Waiting),
			ParkedAtMs: h.app.Clock.Now().UnixMilli(), Body: body}
	}
	return whole(after), nil
}

// plain gives an event the one text that all requests with this event give: the
// keys of the generated map come in any order.
func plain(event operacao.CorrecaoEvento) ([]byte, error) {
	sorted := make(map[string]json.RawMessage, len(event))
	for k, v := range event {
		sorted[k] = json.RawMessage(v)
	}
	return json.Marshal(sorted)
}

// ListarAuditoria lists what operators did.
func (h handler) ListarAuditoria(ctx context.Context, p operacao.ListarAuditoriaParams) (operacao.ListarAuditoriaRes, error) {
	limit := p.Limite.Or(defaultLimit)
	page, err := h.app.Audit(ctx, &operationsv1.Filter{Subscription: p.Assinatura.Value}, p.Cursor.Value, limit)
	if err != nil {
		return nil, err
	}
	out := &operacao.PaginaDeAtosHeaders{Response: operacao.PaginaDeAtos{
		Itens: make([]operacao.Ato, 0, len(page.Items)), SemResposta: page.Silent, Proximo: optional(page.Next)}}
	out.Link = link(lettersPath+"/auditoria", page.Next, limit)
	for _, a := range page.Items {
		out.Response.Itens = append(out.Response.Itens, operacao.Ato{
			ID: a.GetId(), Em: instant(a.GetAtMs()).Value, Quem: a.GetWho(), Ato: acts(a.GetAct()), Assinatura: a.GetSubscription(),
			Mensagem: optional(a.GetLetter()), Tipo: optional(a.GetType()), Assunto: optional(a.GetSubject()), Detalhe: optional(a.GetDetail()),
		})
	}
	return out, nil
}

func link(path, next string, limit int) operacao.OptString {
	if next == "" {
		return operacao.OptString{}
	}
	return operacao.NewOptString(fmt.Sprintf(`<%s?cursor=%s&limite=%d>; rel="next"`, path, url.QueryEscape(next), limit))
}

// act reads the filter of a bulk act. Without a state it is about dead letters.
func act(ctx context.Context, f *operacao.Filtro) (*operationsv1.ActRequest, error) {
	out := &operationsv1.Filter{
		Subscription: f.Assinatura.Value, Subject: f.Assunto.Value, Type: f.Tipo.Value, Kind: f.Falha.Value, Code: f.Codigo.Value,
		Error: f.Erro.Value, Ids: f.Ids, FromMs: millis(f.Desde), ToMs: millis(f.Ate),
	}
	empty := out.Subscription == "" && out.Subject == "" && out.Type == "" && out.Kind == "" && out.Code == "" && out.Error == "" &&
		len(out.Ids) == 0 && out.FromMs == 0 && out.ToMs == 0
	if empty && !f.Todas.Value {
		return nil, app.ErrNoFilter
	}
	out.ActedBeforeMs = millis(f.IniciadoEm)
	if len(out.Ids) == 0 {
		out.State = string(bus.Dead)
	}
	return &operationsv1.ActRequest{Filter: out, Who: auth.Name(ctx), Why: f.Motivo.Value, Limit: int32(f.Limite.Or(bulkLimit))}, nil
}

func one(ctx context.Context, subscription, id, why string) *operationsv1.ActRequest {
	return &operationsv1.ActRequest{Filter: &operationsv1.Filter{Subscription: subscription, Ids: []string{id}}, Who: auth.Name(ctx), Why: why, Limit: 1}
}
