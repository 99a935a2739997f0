// Package rest serves the simulator's own routes, where a person plays the payer
// of a pix or boleto. They exist only where the simulator runs, are open to
// people on this machine and to operators, and say that no money moves.
//
//	GET  /v1/simulador/cartoes                 the documented test cards (open to anyone)
//	GET  /v1/simulador/cobrancas               ?situacao=&pagamento=&limite=&cursor=
//	GET  /v1/simulador/cobrancas/{id}          by the charge's or the payment's id
//	POST /v1/simulador/cobrancas/{id}/pagar    again is harmless; 409 when expired
package rest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"trama/platform/auth"
	"trama/platform/fault"
	"trama/platform/httpx"
	"trama/platform/money"
	"trama/services/acquirersim/internal/app"
	"trama/services/acquirersim/internal/card"
	"trama/services/acquirersim/internal/charge"
	"trama/services/acquirersim/internal/store"
)

// Prefix begins every route of the simulator.
const Prefix = "/v1/simulador"

const notice = "Adquirente simulada: nenhum dinheiro é movimentado e nenhum código pode ser pago em um banco."

// Handler gives the routes.
func Handler(a *app.Acquirer) http.Handler {
	h := handler{a}
	mux := http.NewServeMux()
	route := func(method, path string, fn func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(Prefix+path, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != method && !(r.Method == http.MethodHead && method == http.MethodGet) {
				httpx.MethodNotAllowed(w, r, method)
				return
			}
			if err := fn(w, r); err != nil {
				httpx.WriteProblem(w, r, err)
			}
		})
	}
	route(http.MethodGet, "/cartoes", h.cards)
	route(http.MethodGet, "/cobrancas", h.list)
	route(http.MethodGet, "/cobrancas/{id}", h.get)
	route(http.MethodPost, "/cobrancas/{id}/pagar", h.pay)
	mux.HandleFunc("/", httpx.NotFound)
	return mux
}

type handler struct{ acquirer *app.Acquirer }

type cardJSON struct {
	Number    string `json:"numero"`
	Brand     string `json:"bandeira"`
	Behaviour string `json:"comportamento"`
	Text      string `json:"descricao"`
}

func (h handler) cards(w http.ResponseWriter, r *http.Request) error {
	list := struct {
		Notice string     `json:"aviso"`
		Items  []cardJSON `json:"itens"`
	}{Notice: notice, Items: []cardJSON{}}
	for _, t := range card.Tests() {
		text := fault.Text{PT: t.PT, EN: t.EN}
		list.Items = append(list.Items, cardJSON{t.Number, t.Brand, string(t.Behaviour), text.In(httpx.Lang(r))})
	}
	w.Header().Add("Vary", "Accept-Language")
	write(w, list)
	return nil
}

type moneyJSON struct {
	Value    string `json:"valor"`
	Currency string `json:"moeda"`
}

type chargeJSON struct {
	ID        string     `json:"id"`
	Payment   string     `json:"pagamentoId"`
	Method    string     `json:"metodo"`
	State     string     `json:"situacao"`
	Reason    string     `json:"motivo,omitempty"`
	Amount    moneyJSON  `json:"valor"`
	Code      string     `json:"codigo,omitempty"`
	ExpiresAt *time.Time `json:"expiraEm,omitempty"`
	CreatedAt time.Time  `json:"criadaEm"`
	UpdatedAt time.Time  `json:"atualizadaEm"`
}

func view(c charge.Charge) chargeJSON {
	v := chargeJSON{
		ID: c.ID, Payment: c.Key, Method: string(c.Method), State: string(c.State), Reason: c.Reason,
		Amount: moneyJSON{c.Amount.String(), money.BRL}, Code: c.Code, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
	if !c.ExpiresAt.IsZero() {
		v.ExpiresAt = &c.ExpiresAt
	}
	return v
}

func (h handler) list(w http.ResponseWriter, r *http.Request) error {
	if err := auth.RequireLocalOrOperator(r.Context()); err != nil {
		return err
	}
	q := r.URL.Query()
	limit := 20
	if text := q.Get("limite"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			return fault.Fields([]fault.Field{{Pointer: "?limite", Rule: "intervalo", Text: fault.Text{
				PT: "O limite vai de 1 a 100.", EN: "The limit is from 1 to 100."}}})
		}
		limit = n
	}
	charges, err := h.acquirer.List(r.Context(), store.Filter{
		State: charge.State(q.Get("situacao")), Key: q.Get("pagamento"), Before: q.Get("cursor"), Limit: limit + 1,
	})
	if err != nil {
		return err
	}
	page := struct {
		Notice string       `json:"aviso"`
		Items  []chargeJSON `json:"itens"`
		Next   string       `json:"proximo,omitempty"`
	}{Notice: notice, Items: []chargeJSON{}}
	if len(charges) > limit {
		charges = charges[:limit]
		page.Next = charges[limit-1].ID
	}
	for _, c := range charges {
		page.Items = append(page.Items, view(c))
	}
	write(w, page)
	return nil
}

func (h handler) get(w http.ResponseWriter, r *http.Request) error {
	if err := auth.RequireLocalOrOperator(r.Context()); err != nil {
		return err
	}
	c, err := h.acquirer.Ledger.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	write(w, view(c))
	return nil
}

func (h handler) pay(w http.ResponseWriter, r *http.Request) error {
	if err := auth.RequireLocalOrOperator(r.Context()); err != nil {
		return err
	}
	c, err := h.acquirer.Pay(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	write(w, view(c))
	return nil
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone; there is nobody left to tell
}
