package main

import (
	"fmt"
	"io"
	"strings"

	"trama/contracts/events"
	"trama/system"
)

type modulesCmd struct {
	Docs bool `help:"As a reference in Markdown."`
}

// Examples stand under the help.
func (modulesCmd) Examples() string {
	return `  trama modules
  trama modules --docs > docs/reference/modules.md`
}

func (m modulesCmd) Run(g *globals) error {
	if m.Docs {
		return modulesPage(g.out)
	}
	width := 0
	for _, e := range system.Table() {
		width = max(width, len(e.Module))
	}
	var b strings.Builder
	for _, e := range system.Table() {
		lines := wrap(e.About)
		if len(e.Needs) > 0 {
			lines = append(lines, wrap("needs "+strings.Join(e.Needs, ", "))...)
		}
		if names := waitsFor(e); len(names) > 0 {
			lines = append(lines, wrap("waits for "+strings.Join(names, ", "))...)
		}
		for i, line := range lines {
			name := ""
			if i == 0 {
				name = e.Module
			}
			fmt.Fprintf(&b, "%-*s  %s\n", width, name, line)
		}
	}
	_, err := fmt.Fprintf(g.out, "%s\n%s.\n", b.String(), groupsLine)
	return err
}

// textWidth leaves room for the modules' names on a terminal of 80 columns.
const textWidth = 56

// wrap breaks a text into lines of textWidth; those after the first stand in.
func wrap(text string) []string {
	lines := []string{""}
	for i, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case i == 0:
			*last = word
		case len(*last)+1+len(word) > textWidth:
			lines = append(lines, "  "+word)
		default:
			*last += " " + word
		}
	}
	return lines
}

const groupsLine = "Groups of services: school (marketing, payments, academics, identity,\nnotifications), edge (gateway, site,\noperations), all"

// waitsFor gives the names of the events that wake a module.
func waitsFor(e system.Entry) []string {
	var out []string
	for _, s := range e.Consume {
		for _, t := range s.Types {
			name := t
			if entry, ok := events.Lookup(t); ok {
				name = entry.Name
			}
			out = append(out, name)
		}
	}
	return out
}

const modulesHead = `# Modules

A module is a role of a service that can run by itself. ` + "`trama up`" + ` runs them all in one process, ` + "`trama up --split`" + ` a
process per service, ` + "`trama serve`" + ` any modules, services or groups in one process.

` + groupsLine + `.

Made by ` + "`trama modules --docs`" + `; a test keeps it fresh, another holds the table against what the services declare.

| module | what it does | needs | waits for |
|---|---|---|---|
`

func modulesPage(out io.Writer) error {
	if _, err := io.WriteString(out, modulesHead); err != nil {
		return err
	}
	for _, e := range system.Table() {
		if _, err := fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", e.Module, cell(e.About), cell(strings.Join(e.Needs, ", ")), strings.Join(waitsFor(e), ", ")); err != nil {
			return err
		}
	}
	return nil
}
