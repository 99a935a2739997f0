package main

import (
	"fmt"
	"io"
	"strings"

	"trama/platform/config"
	"trama/system"
)

type configCmd struct {
	Print configPrintCmd `cmd:"" help:"Print every key with its value and where it came from; secrets are hidden."`
	Check configCheckCmd `cmd:"" help:"Say whether the configuration works; exit status 1 and every problem if not."`
}

type configPrintCmd struct {
	Docs bool `help:"As a reference in Markdown: key, variable, type, default, meaning."`
}

// Examples stand under the help.
func (configPrintCmd) Examples() string {
	return `  trama config print
  trama config print -s payments.fraud.maxPerCard=3
  trama config print --docs > docs/reference/configuration.md`
}

func (p configPrintCmd) Run(g *globals) error {
	if p.Docs {
		return reference(g.out)
	}
	_, fields, err := g.load(nil)
	if err != nil {
		return err
	}
	for _, f := range fields {
		if _, err := fmt.Fprintf(g.out, "%s: %q  # %s\n", f.Key, f.Value, f.Where); err != nil {
			return err
		}
	}
	return nil
}

// reference writes the page about every key. It depends on the program alone,
// not on what is configured here.
func reference(out io.Writer) error {
	fields, problems := config.Load(&system.Config{}, config.Sources{})
	if len(problems) > 0 {
		return fmt.Errorf("the defaults do not work: %s", problems[0])
	}
	if _, err := io.WriteString(out, referenceHead); err != nil {
		return err
	}
	for _, f := range fields {
		_, err := fmt.Fprintf(out, "| `%s` | `%s` | %s | %s | %s |\n", f.Key, f.Env(), f.Type, code(f.Default), cell(f.Help))
		if err != nil {
			return err
		}
	}
	return nil
}

// cell makes a text safe in a Markdown table.
func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

const referenceHead = `# Configuration

Nothing is required. A flag (` + "`--set key=value`" + `) is stronger than the environment, the environment than the file
(` + "`trama.yaml`" + ` in the current folder, or the one named with ` + "`--config`" + `), the file than the default.

- In the file, keys may be nested or dotted; lists are YAML lists or comma-separated. In flags and variables they are
  comma-separated.
- A duration is a number with its unit: ` + "`500ms`" + `, ` + "`30s`" + `, ` + "`5m`" + `, ` + "`72h`" + `.
- ` + "`discovery.<service>`" + ` (` + "`TRAMA_DISCOVERY_<SERVICE>`" + `) takes the addresses of a service that runs on another machine,
  ` + "`http://host:port`" + `, comma-separated. On one machine processes find each other through the data folder.
- A secret is never printed.
- ` + "`trama config print`" + ` shows what holds here and where it came from; ` + "`trama config check`" + ` names everything that is wrong.

Made by ` + "`trama config print --docs`" + `; a test keeps it fresh.

| key | variable | type | default | meaning |
|---|---|---|---|---|
`

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

type configCheckCmd struct{}

// Examples stand under the help.
func (configCheckCmd) Examples() string { return `  trama config check --config trama.yaml` }

func (configCheckCmd) Run(g *globals) error {
	if _, _, err := g.load(nil); err != nil {
		return err
	}
	_, err := fmt.Fprintln(g.out, "the configuration works")
	return err
}
