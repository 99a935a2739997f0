package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"trama/contracts/rest/operacao"
)

type deadletterCmd struct {
	List   letterListCmd   `cmd:"" help:"List parked events: dead, waiting for a retry, or behind one of those."`
	Causes letterCausesCmd `cmd:"" help:"Group dead letters by what went wrong."`
	Show   letterShowCmd   `cmd:"" help:"Show one: the event, every try, what stands behind it."`
	Retry  letterRetryCmd  `cmd:"" help:"Try again: one, those of a filter, or all."`
	Edit   letterEditCmd   `cmd:"" help:"Correct the event of a dead letter and try it again."`
	Drop   letterDropCmd   `cmd:"" help:"Give up: the event will have no effect, what stands behind goes on."`
	Export letterExportCmd `cmd:"" help:"Write dead letters as lines of JSON, with bodies and tries."`
	Audit  letterAuditCmd  `cmd:"" help:"Show what operators did."`
}

// letterFilter is the flags that select letters.
type letterFilter struct {
	Subscription string `help:"Of this subscription." placeholder:"NAME"`
	Subject      string `help:"Of this subject (aggregate id)." placeholder:"ID"`
	Type         string `help:"Of this event type." placeholder:"TYPE"`
	Kind         string `help:"Whose last failure was of this kind (malformed, invalid, internal…)." placeholder:"KIND"`
	Code         string `help:"Whose last failure had this code." placeholder:"CODE"`
	Error        string `help:"Whose last failure had this text, as causes shows it." placeholder:"TEXT"`
	Since        string `help:"Parked since: 2h, 3d, or a time." placeholder:"TIME"`
}

func (f letterFilter) query() (url.Values, error) {
	q := url.Values{}
	for key, value := range map[string]string{"assinatura": f.Subscription, "assunto": f.Subject, "tipo": f.Type, "falha": f.Kind, "codigo": f.Code, "erro": f.Error} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.Since != "" {
		t, err := parseSince(f.Since, time.Now())
		if err != nil {
			return nil, fmt.Errorf("--since: %w", err)
		}
		q.Set("desde", t.Format(time.RFC3339))
	}
	return q, nil
}

// letterState is the flag of the state of letters.
type letterState struct {
	State string `help:"dead, waiting, behind or any." enum:"dead,waiting,behind,any" default:"dead"`
}

func (s letterState) word() string {
	return map[string]string{"dead": "morta", "waiting": "aguardando", "behind": "atras", "any": "todas"}[s.State]
}

type letterListCmd struct {
	target
	letterFilter
	letterState
	Limit int  `help:"At most so many." default:"100"`
	JSON  bool `name:"json" help:"As lines of JSON."`
}

// Validate is called by kong.
func (c letterListCmd) Validate() error { return atLeastOne(c.Limit) }

func atLeastOne(limit int) error {
	if limit < 1 {
		return errors.New("--limit: at least 1")
	}
	return nil
}

// Examples stand under the help.
func (letterListCmd) Examples() string {
	return `  trama deadletter list
  trama deadletter list --subscription payments.analise --since 2h
  trama deadletter list --state waiting          what will be tried again, and when`
}

func (c letterListCmd) Run(g *globals) error {
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
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	shown := 0
	for shown < c.Limit {
		q.Set("limite", strconv.Itoa(min(100, c.Limit-shown)))
		var page operacao.PaginaDeMensagensMortas
		if err := o.call(ctx, "GET", "mensagens-mortas", q, nil, &page); err != nil {
			return err
		}
		g.silent(page.SemResposta)
		for _, l := range page.Itens {
			if err := c.line(g.out, w, l, shown == 0); err != nil {
				return err
			}
			shown++
		}
		if !page.Proximo.Set {
			break
		}
		q.Set("cursor", page.Proximo.Value)
	}
	if shown == 0 && !c.JSON {
		_, err := fmt.Fprintln(g.out, "Nothing is parked.")
		return err
	}
	return w.Flush()
}

func (c letterListCmd) line(raw io.Writer, w io.Writer, l operacao.MensagemMorta, first bool) error {
	if c.JSON {
		text, err := l.MarshalJSON()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(raw, "%s\n", text)
		return err
	}
	if first {
		if _, err := fmt.Fprintln(w, "SUBSCRIPTION\tID\tEVENT\tSTATE\tTRIES\tBEHIND\tPARKED\tNEXT TRY\tERROR"); err != nil {
			return err
		}
	}
	next := "-"
	if l.ProximaTentativa.Set {
		next = local(l.ProximaTentativa.Value)
	}
	_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", l.Assinatura, harmless(l.ID), shortType(l.Tipo), stateName(l.Situacao), l.Tentativas,
		l.Atras, local(l.EstacionadaEm), next, failure(l))
	return err
}

// failure gives the last failure of a letter; one behind another has none.
func failure(l operacao.MensagemMorta) string {
	if l.Falha.Value == "" {
		return "-"
	}
	return cut(l.Falha.Value+": "+l.Erro.Value, 60)
}

func stateName(s operacao.MensagemMortaSituacao) string {
	return map[operacao.MensagemMortaSituacao]string{"morta": "dead", "aguardando": "waiting", "atras": "behind"}[s]
}

// shortType gives an event type without what all of them share.
func shortType(t string) string { return harmless(strings.TrimPrefix(t, "br.trama.")) }

func local(t time.Time) string { return t.Local().Format("01-02 15:04:05") }

// cut gives the first line of a text, at most n characters.
func cut(text string, n int) string {
	text, _, _ = strings.Cut(text, "\n")
	text = harmless(text)
	if r := []rune(text); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return text
}

// harmless takes from a text that anybody may have written what would steer a
// terminal, or a table's columns.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return ' '
		}
		return r
	}, text)
}

type letterCausesCmd struct {
	target
	letterFilter
}

// Examples stand under the help.
func (letterCausesCmd) Examples() string { return `  trama deadletter causes --since 1d` }

func (c letterCausesCmd) Run(g *globals) error {
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	q, err := c.query()
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	var causes operacao.Causas
	if err := o.call(ctx, "GET", "mensagens-mortas/causas", q, nil, &causes); err != nil {
		return err
	}
	g.silent(causes.SemResposta)
	if len(causes.Itens) == 0 {
		_, err := fmt.Fprintln(g.out, "There are no dead letters.")
		return err
	}
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "COUNT\tSUBSCRIPTION\tEVENT\tKIND\tCODE\tFIRST\tLAST\tERROR")
	for _, x := range causes.Itens {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Quantas, x.Assinatura, shortType(x.Tipo), x.Falha, x.Codigo, local(x.Primeira), local(x.Ultima), harmless(x.Erro)) // whole: --error takes it
	}
	return w.Flush()
}

// letterName names one letter.
type letterName struct {
	Subscription string `arg:"" help:"Subscription that parked it."`
	ID           string `arg:"" help:"Id of the event."`
}

func (n letterName) path(more string) string {
	return "mensagens-mortas/" + url.PathEscape(n.Subscription) + "/" + url.PathEscape(n.ID) + more
}

type letterShowCmd struct {
	target
	letterName
}

// Examples stand under the help.
func (letterShowCmd) Examples() string {
	return `  trama deadletter show payments.analise 01980a52-7c4f-7d3a-9b1e-5f2c8a6d4e01`
}

func (c letterShowCmd) Run(g *globals) error {
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	var l operacao.MensagemMortaCompleta
	if err := o.call(ctx, "GET", c.path(""), nil, nil, &l); err != nil {
		return err
	}
	m := l.Mensagem
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "subscription\t%s\nid\t%s\nsubject\t%s\ntype\t%s\nstate\t%s, %d behind it\nparked\t%s by %s\ntrace\t%s\n",
		m.Assinatura, m.ID, harmless(m.Assunto), harmless(m.Tipo), stateName(m.Situacao), m.Atras, local(m.EstacionadaEm), cmp.Or(m.EstacionadaPor.Value, "-"), cmp.Or(m.TraceID.Value, "-"))
	if m.ProximaTentativa.Set {
		fmt.Fprintf(w, "next try\t%s\n", local(m.ProximaTentativa.Value))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i, a := range l.Historico {
		fmt.Fprintf(g.out, "try %d  %s  took %.1f ms  %s (%s): %s\n", i+1, local(a.Em), a.DuracaoMs, a.Falha, a.Codigo, harmless(a.Erro))
	}
	if l.Texto.Set {
		_, err := fmt.Fprintf(g.out, "no event:\n%s\n", harmless(l.Texto.Value))
		return err
	}
	return printJSON(g.out, l.Evento.Value)
}

// printJSON prints an object for people. Its keys are sorted: those of a generated
// map come in any order.
func printJSON(out io.Writer, v any) error {
	sorted, err := sortedKeys(v)
	if err != nil {
		return err
	}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(sorted)
}

func sortedKeys(v any) (m map[string]json.RawMessage, err error) {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	return m, err
}

type letterAuditCmd struct {
	target
	Subscription string `help:"Of this subscription." placeholder:"NAME"`
	Limit        int    `help:"At most so many." default:"100"`
}

// Validate is called by kong.
func (c letterAuditCmd) Validate() error { return atLeastOne(c.Limit) }

// Examples stand under the help.
func (letterAuditCmd) Examples() string { return `  trama deadletter audit` }

func (c letterAuditCmd) Run(g *globals) error {
	o, err := g.connect(c.target)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	q := url.Values{}
	if c.Subscription != "" {
		q.Set("assinatura", c.Subscription)
	}
	w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHEN\tWHO\tACT\tSUBSCRIPTION\tEVENT\tDETAIL")
	for shown := 0; shown < c.Limit; {
		q.Set("limite", strconv.Itoa(min(100, c.Limit-shown)))
		var page operacao.PaginaDeAtos
		if err := o.call(ctx, "GET", "mensagens-mortas/auditoria", q, nil, &page); err != nil {
			return err
		}
		g.silent(page.SemResposta)
		for _, a := range page.Itens {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", local(a.Em), a.Quem, a.Ato, a.Assinatura, a.Mensagem.Value, cut(a.Detalhe.Value, 80))
		}
		shown += len(page.Itens)
		if !page.Proximo.Set {
			break
		}
		q.Set("cursor", page.Proximo.Value)
	}
	return w.Flush()
}
