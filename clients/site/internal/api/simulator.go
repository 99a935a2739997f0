package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// TestCard is a card that the simulated acquirer knows.
type TestCard struct {
	Number string `json:"numero"`
	Brand  string `json:"bandeira"`
	Effect string `json:"descricao"` // what happens, in Portuguese
}

// TestCards gives the simulated acquirer's cards; a Problem with status 404 when
// the acquirer is a real one.
func (c *Client) TestCards(ctx context.Context) ([]TestCard, error) {
	var list struct {
		Items []TestCard `json:"itens"`
	}
	err := c.simulator(ctx, http.MethodGet, &list, "cartoes")
	return list.Items, err
}

// CanPaySimulated says whether the simulated acquirer waits for the pix or
// boleto of a payment, and the visitor may pay it.
func (c *Client) CanPaySimulated(ctx context.Context, paymentID string) bool {
	var charge struct {
		State string `json:"situacao"`
	}
	return c.simulator(ctx, http.MethodGet, &charge, "cobrancas", paymentID) == nil && charge.State == "pendente"
}

// PaySimulated tells the simulated acquirer that a pix or boleto was paid.
func (c *Client) PaySimulated(ctx context.Context, paymentID string) error {
	return c.simulator(ctx, http.MethodPost, nil, "cobrancas", paymentID, "pagar")
}

// simulator makes one call to the simulator's routes, which are no part of the
// contract's documents because they only exist beside the simulator.
func (c *Client) simulator(ctx context.Context, method string, answer any, path ...string) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	u := c.base.JoinPath(append([]string{"/v1/simulador"}, path...)...)
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return fmt.Errorf("api: simulator: %w", err)
	}
	resp, err := c.doer.Do(r)
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	if answer == nil {
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, answer)
	}
	if err != nil {
		return fmt.Errorf("api: simulator: %w", err)
	}
	return nil
}
