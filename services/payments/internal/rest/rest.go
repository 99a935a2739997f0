// Package rest stands between the generated server of contracts/rest/financeiro
// and the use cases. It decides who may do what, and in which form a payment is
// shown: the payer, who holds its unguessable address, and staff see the same
// payment with different words about its analysis.
package rest

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"trama/contracts/rest/financeiro"
	"trama/platform/auth"
	"trama/platform/fault"
	"trama/platform/httpx"
	"trama/platform/id"
	"trama/platform/idempotency"
	"trama/services/payments/internal/app"
	"trama/services/payments/internal/payment"
)

const payments = "/v1/financeiro/pagamentos"

// Handler implements financeiro.Handler.
type Handler struct {
	Accept  *app.Accept
	Refunds *app.Refunds
	Notices *app.Notices
	Store   Reader
}

// Reader reads payments.
type Reader interface {
	Get(ctx context.Context, id string) (*payment.Payment, error)
	app.Lister
}

// Server gives the service's routes: the generated server, the other name of
// POST pagamentos, and in front of the notices the check of their signature.
func Server(h *Handler, s Signature) (http.Handler, error) {
	server, err := financeiro.NewServer(h, financeiro.WithErrorHandler(httpx.ErrorHandler),
		financeiro.WithNotFound(httpx.NotFound), financeiro.WithMethodNotAllowed(httpx.MethodNotAllowed))
	if err != nil {
		return nil, err
	}
	return httpx.Chain(server, httpx.Alias(map[string]string{"/v1/financeiro/pagamento": payments}), s.Middleware), nil
}

// CriarPagamento accepts a wish to pay. The answer is made of what never
// changes, so that a repeated request gets the same bytes.
func (h *Handler) CriarPagamento(ctx context.Context, req *financeiro.NovoPagamento, _ financeiro.CriarPagamentoParams) (financeiro.CriarPagamentoRes, error) {
	w := app.Wish{
		Name: req.Aluno.Nome, Email: req.Aluno.Email, CPF: req.Aluno.Cpf, Phone: req.Aluno.Telefone.Or(""),
		CourseID: req.CursoID, Method: string(req.Metodo), Coupon: req.Desconto.Or(""),
	}
	if v, ok := req.Valor.Get(); ok {
		w.Amount = &app.Amount{Value: v.Valor, Currency: v.Moeda}
	}
	if c, ok := req.Cartao.Get(); ok {
		w.Card = &app.WishedCard{Holder: c.Titular, Number: c.Numero, Expiry: c.Validade, CVV: c.Cvv}
	}
	if n, ok := req.Parcelas.Get(); ok {
		w.Installments = &n
	}
	p, err := h.Accept.Do(ctx, w, keyOf(ctx))
	if err != nil {
		return nil, err
	}
	return &financeiro.PagamentoAceitoHeaders{Location: payments + "/" + p.ID(), Response: asAccepted(p.State())}, nil
}

// ObterPagamento gives one payment to whoever knows its address.
func (h *Handler) ObterPagamento(ctx context.Context, params financeiro.ObterPagamentoParams) (financeiro.ObterPagamentoRes, error) {
	p, err := h.Store.Get(ctx, params.ID)
	if err != nil {
		return nil, err
	}
	r := readerOf(ctx)
	tag := httpx.ETag(p.State().Version, r.variants()...)
	if match, ok := params.IfNoneMatch.Get(); ok && httpx.NotModified(match, tag) {
		return &financeiro.NaoModificado{ETag: tag}, nil
	}
	return &financeiro.PagamentoHeaders{ETag: tag, Response: view(p, r)}, nil
}

// ListarPagamentos lists payments for staff.
func (h *Handler) ListarPagamentos(ctx context.Context, params financeiro.ListarPagamentosParams) (financeiro.ListarPagamentosRes, error) {
	if err := auth.RequireOperator(ctx); err != nil {
		return nil, err
	}
	limit := params.Limite.Or(20)
	f := app.Filter{
		Status: payment.Status(params.Situacao.Or("")), Email: strings.ToLower(strings.TrimSpace(params.Email.Or(""))),
		Before: params.Cursor.Or(""), Limit: limit + 1,
	}
	if f.Before != "" && !id.Valid(f.Before) {
		return nil, fault.Fields([]fault.Field{{Pointer: "?cursor", Rule: "cursor", Text: fault.Text{
			PT: "Use o valor de proximo da página anterior.", EN: "Use the value of proximo of the page before."}}})
	}
	list, err := h.Store.List(ctx, f)
	if err != nil {
		return nil, err
	}
	res := &financeiro.PaginaDePagamentosHeaders{Response: financeiro.PaginaDePagamentos{Itens: []financeiro.Pagamento{}}}
	if len(list) > limit {
		list = list[:limit]
		next := list[limit-1].ID()
		res.Response.Proximo = financeiro.NewOptString(next)
		res.Link = financeiro.NewOptString(link(f, limit, next))
	}
	for _, p := range list {
		res.Response.Itens = append(res.Response.Itens, view(p, staff))
	}
	return res, nil
}

// link names the next page of the same list (RFC 8288).
func link(f app.Filter, limit int, next string) string {
	q := url.Values{"cursor": {next}, "limite": {strconv.Itoa(limit)}}
	if f.Status != "" {
		q.Set("situacao", string(f.Status))
	}
	if f.Email != "" {
		q.Set("email", f.Email)
	}
	return "<" + payments + "?" + q.Encode() + `>; rel="next"`
}

// EstornarPagamento asks for a payment to be refunded.
func (h *Handler) EstornarPagamento(ctx context.Context, req financeiro.OptPedidoDeEstorno, params financeiro.EstornarPagamentoParams) (financeiro.EstornarPagamentoRes, error) {
	if err := auth.RequireOperator(ctx); err != nil {
		return nil, err
	}
	note := strings.TrimSpace(req.Or(financeiro.PedidoDeEstorno{}).Motivo.Or(""))
	render := func(p *payment.Payment) ([]byte, error) {
		v := view(p, staff)
		return v.MarshalJSON()
	}
	body, err := h.Refunds.Request(ctx, params.ID, note, keyOf(ctx), render)
	if err != nil {
		return nil, err
	}
	res := &financeiro.PagamentoAceitoHeaders{Location: payments + "/" + params.ID}
	return res, res.Response.UnmarshalJSON(body)
}

// ReceberRetorno takes a notice, whose signature has been checked.
func (h *Handler) ReceberRetorno(ctx context.Context, req *financeiro.Retorno, _ financeiro.ReceberRetornoParams) (financeiro.ReceberRetornoRes, error) {
	n := app.Notice{
		PaymentID: req.PagamentoID, ChargeID: req.CobrancaID.Or(""), Approved: req.Situacao == financeiro.RetornoSituacaoAprovada,
	}
	if v, ok := req.Valor.Get(); ok {
		n.Amount = &app.Amount{Value: v.Valor, Currency: v.Moeda}
	}
	if err := h.Notices.Take(ctx, n); err != nil {
		return nil, err
	}
	return &financeiro.ReceberRetornoNoContent{}, nil
}

// keyOf gives the request's Idempotency-Key; nil when it has none.
func keyOf(ctx context.Context) *idempotency.Key {
	if k, ok := idempotency.FromContext(ctx); ok {
		return &k
	}
	return nil
}
