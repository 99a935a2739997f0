package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"trama/contracts/rest/operacao"
)

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
	text, kept, err := c.corrected(ctx, o)
	if err == nil {
		err = c.send(ctx, o, text)
	}
	if kept != "" {
		if err != nil {
			return fmt.Errorf("%w; what you wrote is in %s, use it with --file", err, kept)
		}
		_ = os.Remove(kept) // a left-over in the folder for such
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(g.out, "corrected; it is tried again now")
	return err
}

func (c letterEditCmd) send(ctx context.Context, o *operator, text []byte) error {
	var event map[string]json.RawMessage
	if err := json.Unmarshal(text, &event); err != nil || event == nil {
		return fmt.Errorf("the corrected event is no JSON object: %w", cmp.Or(err, errors.New("it is null")))
	}
	in := map[string]any{"evento": event}
	if c.Reason != "" {
		in["motivo"] = c.Reason
	}
	return o.call(ctx, "POST", c.path("/correcoes"), nil, in, nil)
}

// corrected gives the event as it shall be, and the file to keep when it cannot be
// sent.
func (c letterEditCmd) corrected(ctx context.Context, o *operator) (text []byte, kept string, err error) {
	switch c.File {
	case "-":
		text, err = io.ReadAll(os.Stdin)
	case "":
		return c.edit(ctx, o)
	default:
		text, err = os.ReadFile(c.File)
	}
	return text, "", err
}

// edit opens the event in the editor.
func (c letterEditCmd) edit(ctx context.Context, o *operator) (after []byte, kept string, err error) {
	editor := os.Getenv("EDITOR")
	if editor == "" {
		return nil, "", errors.New("$EDITOR is not set; give --file FILE")
	}
	var l operacao.MensagemMortaCompleta
	if err := o.call(ctx, "GET", c.path(""), nil, nil, &l); err != nil {
		return nil, "", err
	}
	var before bytes.Buffer
	if l.Texto.Set {
		before.WriteString(l.Texto.Value)
	} else if err := printJSON(&before, l.Evento.Value); err != nil {
		return nil, "", err
	}
	f, err := os.CreateTemp("", "trama-*.json") // mode 0600
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if kept == "" {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(before.Bytes())
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", f.Name()) // $EDITOR may hold options
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, "", fmt.Errorf("%s: %w", editor, err)
	}
	after, err = os.ReadFile(f.Name())
	if err != nil {
		return nil, "", err
	}
	if bytes.Equal(after, before.Bytes()) {
		return nil, "", errors.New("nothing was changed; use trama deadletter retry to try it as it is")
	}
	return after, f.Name(), nil
}
