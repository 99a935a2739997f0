package payments_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	academicsv1 "trama/contracts/rpc/academics/v1"
	acquirerv1 "trama/contracts/rpc/acquirer/v1"
	"trama/platform/clock"
	"trama/platform/fault"
)

// bank is an acquirer whose troubles the test chooses. It keeps the promise of
// the contract: a key has one charge.
type bank struct {
	clock clock.Clock

	mu      sync.Mutex
	cards   map[string]string // token → number
	charges map[string]*acquirerv1.ChargeResponse
	log     []string // "charge key", "find key", "refund id": every call that arrived
	// trouble is asked before ("") and after an operation took effect; an error is
	// what the caller gets instead of the answer.
	trouble func(op, when, key string) error
}

func newBank() *bank {
	return &bank{cards: map[string]string{}, charges: map[string]*acquirerv1.ChargeResponse{}}
}

var (
	errLost = fault.New(fault.Timeout, "adquirente-sem-resposta", fault.Text{PT: "sem resposta", EN: "no answer"})
	errDown = fault.New(fault.Unavailable, "servico-indisponivel", fault.Text{PT: "fora do ar", EN: "down"})
	errNone = fault.New(fault.NotFound, "cobranca-inexistente", fault.Text{PT: "não há", EN: "none"})
)

// operate runs an operation with the test's troubles around it.
func (b *bank) operate(op, key string, do func() (*acquirerv1.ChargeResponse, error)) (*acquirerv1.ChargeResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, op+" "+key)
	if b.trouble != nil {
		if err := b.trouble(op, "before", key); err != nil {
			return nil, err
		}
	}
	res, err := do()
	if err == nil && b.trouble != nil {
		err = b.trouble(op, "after", key)
	}
	return res, err
}

func (b *bank) Tokenize(_ context.Context, r *acquirerv1.TokenizeRequest) (*acquirerv1.TokenizeResponse, error) {
	token := ""
	_, err := b.operate("tokenize", "", func() (*acquirerv1.ChargeResponse, error) {
		token = fmt.Sprintf("tok%d", len(b.cards))
		b.cards[token] = r.GetNumber()
		return nil, nil
	})
	return &acquirerv1.TokenizeResponse{Token: token}, err
}

func (b *bank) Charge(_ context.Context, r *acquirerv1.ChargeRequest) (*acquirerv1.ChargeResponse, error) {
	return b.operate("charge", r.GetIdempotencyKey(), func() (*acquirerv1.ChargeResponse, error) {
		if c, ok := b.charges[r.GetIdempotencyKey()]; ok {
			return c, nil
		}
		c := &acquirerv1.ChargeResponse{
			ChargeId: fmt.Sprintf("cob%d", len(b.charges)), IdempotencyKey: r.GetIdempotencyKey(), AmountCents: r.GetAmountCents(),
			State: acquirerv1.ChargeState_CHARGE_STATE_APPROVED, ExpiresAtMillis: r.GetExpiresAtMillis(),
		}
		switch {
		case r.GetMethod() != acquirerv1.Method_METHOD_CARD:
			c.State, c.Code = acquirerv1.ChargeState_CHARGE_STATE_PENDING, "codigo-"+c.ChargeId
		case b.cards[r.GetToken()] == "":
			return nil, fault.New(fault.Invalid, "token-de-cartao-invalido", fault.Text{PT: "token", EN: "token"})
		case b.cards[r.GetToken()] == "4000000000009995":
			c.State, c.Reason = acquirerv1.ChargeState_CHARGE_STATE_REFUSED, "saldo-insuficiente"
		}
		b.charges[r.GetIdempotencyKey()] = c
		return c, nil
	})
}

func (b *bank) GetCharge(_ context.Context, r *acquirerv1.GetChargeRequest) (*acquirerv1.ChargeResponse, error) {
	return b.operate("find", r.GetIdempotencyKey(), func() (*acquirerv1.ChargeResponse, error) {
		c, ok := b.charges[r.GetIdempotencyKey()]
		if !ok {
			return nil, errNone
		}
		return c, nil
	})
}

func (b *bank) Refund(_ context.Context, r *acquirerv1.RefundRequest) (*acquirerv1.ChargeResponse, error) {
	return b.operate("refund", r.GetChargeId(), func() (*acquirerv1.ChargeResponse, error) {
		for _, c := range b.charges {
			if c.ChargeId != r.GetChargeId() {
				continue
			}
			switch c.State {
			case acquirerv1.ChargeState_CHARGE_STATE_APPROVED, acquirerv1.ChargeState_CHARGE_STATE_REFUNDED:
				c.State = acquirerv1.ChargeState_CHARGE_STATE_REFUNDED
				return c, nil
			}
			return nil, fault.New(fault.Conflict, "cobranca-nao-aprovada", fault.Text{PT: "não aprovada", EN: "not approved"})
		}
		return nil, errNone
	})
}

// becomes changes the state of a key's charge: the payer paid, or was too late.
func (b *bank) becomes(key string, state acquirerv1.ChargeState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.charges[key].State = state
}

// calls gives the operations that arrived for a key, in order.
func (b *bank) calls(key string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out bytes.Buffer
	for _, l := range b.log {
		var op, k string
		_, _ = fmt.Sscanf(l, "%s %s", &op, &k)
		if k == key {
			fmt.Fprintf(&out, "%s ", op)
		}
	}
	return string(bytes.TrimSpace(out.Bytes()))
}

// kept gives the money that the bank holds for the merchant, per number of charges.
func (b *bank) kept() (charges int, cents int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.charges {
		if c.State == acquirerv1.ChargeState_CHARGE_STATE_APPROVED {
			charges, cents = charges+1, cents+c.AmountCents
		}
	}
	return charges, cents
}

// once makes the n-th call of an operation go wrong at the given moment.
func once(op, when string, n int, err error) func(string, string, string) error {
	seen := 0
	return func(o, w, _ string) error {
		if o != op || w != when {
			return nil
		}
		if seen++; seen == n {
			return err
		}
		return nil
	}
}

// desk is academics.
type desk struct {
	mu      sync.Mutex
	courses map[string]*academicsv1.GetCourseResponse
	down    error
}

func newDesk() *desk {
	d := &desk{courses: map[string]*academicsv1.GetCourseResponse{}}
	for _, c := range []*academicsv1.GetCourseResponse{
		{Id: goCourse, Title: "Go para serviços", PriceCents: 129900, Active: true},
		{Id: sqlCourse, Title: "SQL de verdade", PriceCents: 99000, Active: true},
		{Id: oldCourse, Title: "Flash", PriceCents: 10000},
		{Id: freeCourse, Title: "Aula aberta", Active: true},
		{Id: cheapCourse, Title: "Oficina", PriceCents: 2000, Active: true},
	} {
		d.courses[c.Id] = c
	}
	return d
}

func (d *desk) GetCourse(_ context.Context, r *academicsv1.GetCourseRequest) (*academicsv1.GetCourseResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down != nil {
		return nil, d.down
	}
	c, ok := d.courses[r.GetId()]
	if !ok {
		return nil, fault.New(fault.NotFound, "curso-nao-encontrado", fault.Text{PT: "não há", EN: "none"})
	}
	return c, nil
}

// buffer is a bytes.Buffer that may be written to from anywhere.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// ana is a wish to pay for the Go course by card, that can be changed.
func ana(changes ...func(map[string]any)) map[string]any {
	w := map[string]any{
		"aluno":   map[string]any{"nome": "Ana Souza", "email": "ana@exemplo.com.br", "cpf": "529.982.247-25", "telefone": "(11) 91234-5678"},
		"cursoId": goCourse, "metodo": "cartao",
		"cartao": map[string]any{"titular": "ANA SOUZA", "numero": "4111 1111 1111 1111", "validade": "12/99", "cvv": "987"},
	}
	for _, c := range changes {
		c(w)
	}
	return w
}

// set changes a field; "cartao.cvv" is one of an object.
func set(path string, v any) func(map[string]any) {
	return func(w map[string]any) {
		for i := range len(path) {
			if path[i] == '.' {
				w[path[:i]].(map[string]any)[path[i+1:]] = v
				return
			}
		}
		w[path] = v
	}
}

// by changes the method to one without a card.
func by(method string) func(map[string]any) {
	return func(w map[string]any) {
		w["metodo"] = method
		delete(w, "cartao")
	}
}

const day = 24 * time.Hour
