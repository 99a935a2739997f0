package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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
	switch {
	case b.Of != "" && b.ID == "":
		return nil, errors.New("give the subscription and the id of one letter, or flags such as --subscription")
	case b.ID != "":
		out["assinatura"], out["ids"] = b.Of, []string{b.ID}
	case len(q) == 0 && !b.All:
		return nil, errors.New("give one letter, a filter such as --subscription NAME, or --all")
	case b.All:
		out["todas"] = true
	}
	if reason != "" {
		out["motivo"] = reason
	}
	return out, nil
}

// run repeats the act until nothing is left, and shows how far it is.
func (b bulk) run(ctx context.Context, g *globals, o *operator, path, done string, body map[string]any) error {
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
	_, err := fmt.Fprintf(g.out, "%s %d\n", done, total)
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
	body, err := c.body("")
	if err != nil {
		return err
	}
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	return c.run(ctx, g, o, "novas-tentativas", "retried", body)
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
	body, err := c.body(c.Reason)
	if err != nil {
		return err
	}
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	return c.run(ctx, g, o, "descartes", "dropped", body)
}

type letterEditCmd struct {
	target
	letterName
	File   string `help:"File with the corrected event (JSON); - is standard input. Default: open $EDITOR." placeholder:"FILE"`
	Reason string `help:"Why; kept in the audit." placeholder:"TEXT"`
}

// Examples stand under the help.
func (letterEditCmd) Examples() string {
	return `  trama deadletter edit payments.analise 01980a52-7c4f-7d3a-9b1e-5f2c8a6d4e01
  trama deadletter edit payments.analise 01980a52-7c4f-7d3a-9b1e-5f2c8a6d4e01 --file corrected.json --reason "wrong course"`
}

func (c letterEditCmd) Run(g *globals) error {
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	text, err := c.corrected(ctx, o)
	if err != nil {
		return err
	}
	var event map[string]json.RawMessage
	if err := json.Unmarshal(text, &event); err != nil {
		return fmt.Errorf("the corrected event is no JSON object: %w", err)
	}
	in := map[string]any{"evento": event}
	if c.Reason != "" {
		in["motivo"] = c.Reason
	}
	if err := o.call(ctx, "POST", c.path("/correcoes"), nil, in, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintln(g.out, "corrected; it is tried again now")
	return err
}

// corrected gives the event as it shall be.
func (c letterEditCmd) corrected(ctx context.Context, o *operator) ([]byte, error) {
	switch c.File {
	case "-":
		return io.ReadAll(os.Stdin)
	case "":
		return c.edit(ctx, o)
	}
	return os.ReadFile(c.File)
}

// edit opens the event in the editor.
func (c letterEditCmd) edit(ctx context.Context, o *operator) ([]byte, error) {
	editor := os.Getenv("EDITOR")
	if editor == "" {
		return nil, errors.New("$EDITOR is not set; give --file FILE")
	}
	var l operacao.MensagemMortaCompleta
	if err := o.call(ctx, "GET", c.path(""), nil, nil, &l); err != nil {
		return nil, err
	}
	var before bytes.Buffer
	if l.Texto.Set {
		before.WriteString(l.Texto.Value)
	} else if err := printJSON(&before, l.Evento.Value); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "trama-*.json") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(before.Bytes())
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", f.Name()) // $EDITOR may hold options
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w", editor, err)
	}
	after, err := os.ReadFile(f.Name())
	if err == nil && bytes.Equal(after, before.Bytes()) {
		err = errors.New("nothing was changed; use trama deadletter retry to try it as it is")
	}
	return after, err
}
