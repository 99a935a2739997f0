package main

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"trama/contracts/rest/operacao"
)

// bulk is what retry and drop work on: one letter, a filter, or all.
type bulk struct {
	letterFilter
	Of  string `arg:"" optional:"" name:"subscription-of-one" help:"Subscription of one letter."`
	ID  string `arg:"" optional:"" help:"Id of its event."`
	All bool   `help:"All dead letters of the system."`
}

// step is how many letters one request works on.
const step = 200

// filtered says whether any flag selects letters.
func (b bulk) filtered() bool { return b.letterFilter != letterFilter{} }

// Validate is called by kong.
func (b bulk) Validate() error {
	switch {
	case b.Of != "" && b.ID == "":
		return errors.New("give the subscription and the id of one letter, or flags such as --subscription")
	case b.ID != "" && (b.All || b.filtered()):
		return errors.New("give one letter, or flags that select some, not both")
	case b.ID == "" && !b.All && !b.filtered():
		return errors.New("give one letter, a filter such as --subscription NAME, or --all")
	}
	return nil
}

// one names the letter, when it is about one only.
func (b bulk) one() (name letterName, ok bool) {
	return letterName{Subscription: b.Of, ID: b.ID}, b.ID != ""
}

// body gives the request of a bulk act.
func (b bulk) body(reason string) (map[string]any, error) {
	q, err := b.query()
	if err != nil {
		return nil, err
	}
	out := map[string]any{"limite": step}
	for key := range q {
		out[key] = q.Get(key)
	}
	if b.All {
		out["todas"] = true
	}
	if reason != "" {
		out["motivo"] = reason
	}
	return out, nil
}

// run repeats the act until nothing is left, and shows how far it is.
func (b bulk) run(g *globals, t target, path, done, reason string) error {
	body, err := b.body(reason)
	if err != nil {
		return err
	}
	o, err := g.connect(t)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	body["iniciadoEm"] = time.Now().UTC().Format(time.RFC3339Nano)
	total := int64(0)
	for {
		var r operacao.Feito
		if err := o.call(ctx, "POST", "mensagens-mortas/"+path, nil, body, &r); err != nil {
			if total > 0 {
				fmt.Fprintf(g.errout, "trama: %s %d before it broke off\n", done, total)
			}
			return err
		}
		total += r.Feitas
		if r.Feitas == 0 || r.Restantes == 0 {
			break
		}
		fmt.Fprintf(g.errout, "%s %d, %d left\n", done, total, r.Restantes)
	}
	_, err = fmt.Fprintf(g.out, "%s %d\n", done, total)
	return err
}

type letterRetryCmd struct {
	target
	bulk
}

// Examples stand under the help.
func (letterRetryCmd) Examples() string {
	return `  trama deadletter retry payments.analise 01980a52-7c4f-7d3a-9b1e-5f2c8a6d4e01
  trama deadletter retry --subscription payments.analise --code erro-interno
  trama deadletter retry --all`
}

func (c letterRetryCmd) Run(g *globals) error {
	name, ok := c.one()
	if !ok {
		return c.run(g, c.target, "novas-tentativas", "retried", "")
	}
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	var r operacao.Feito
	if err := o.call(ctx, "POST", name.path("/nova-tentativa"), nil, nil, &r); err != nil {
		return err
	}
	if r.Feitas == 0 {
		_, err = fmt.Fprintln(g.out, "retried 0: it is due already, or waits behind another of its subject")
		return err
	}
	_, err = fmt.Fprintln(g.out, "retried 1")
	return err
}

type letterDropCmd struct {
	target
	bulk
	Reason string `required:"" help:"Why; kept in the audit." placeholder:"TEXT"`
}

// Examples stand under the help.
func (letterDropCmd) Examples() string {
	return `  trama deadletter drop payments.analise 01980a52-7c4f-7d3a-9b1e-5f2c8a6d4e01 --reason "test order"`
}

func (c letterDropCmd) Run(g *globals) error {
	name, ok := c.one()
	if !ok {
		return c.run(g, c.target, "descartes", "dropped", c.Reason)
	}
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	if err := o.call(ctx, "DELETE", name.path(""), url.Values{"motivo": {c.Reason}}, nil, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintln(g.out, "dropped 1")
	return err
}
