package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

type letterExportCmd struct {
	target
	letterFilter
	letterState
	Output string `short:"o" help:"File to write. Default: standard output." placeholder:"FILE"`
}

// Examples stand under the help.
func (letterExportCmd) Examples() string {
	return `  trama deadletter export --subscription payments.analise -o mortas.ndjson`
}

func (c letterExportCmd) Run(g *globals) (err error) {
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	q, err := c.query()
	if err != nil {
		return err
	}
	q.Set("situacao", c.word())
	ctx, stop := untilSignal()
	defer stop()
	o.http.Timeout = 0 // as long as it takes; Ctrl-C ends it
	answer, err := o.do(ctx, "GET", "mensagens-mortas/exportacao", q, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	out := g.out
	if c.Output != "" {
		f, err := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // personal data
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	if _, err := io.Copy(out, answer.Body); err != nil {
		if ctx.Err() != nil {
			err = errStopped
		}
		return fmt.Errorf("the export broke off, what was written is not whole: %w", err)
	}
	return nil
}
