// Package problems is the catalogue of everything that can go wrong at the
// public wall: one entry per code, which is the last part of a problem's type
// URI (/problemas/<code>) and stays valid for ever. Entries are added, and
// their texts may become better; a code is never removed nor given another kind.
//
// The source is contracts/problems.yaml. A test reads every Go file of the
// repository and fails when a fault is made with a code that is not here.
package problems

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"go.yaml.in/yaml/v3"

	"trama/contracts"
)

// Text is one text in both languages of the wall.
type Text struct {
	PT string `yaml:"pt" json:"pt"`
	EN string `yaml:"en" json:"en"`
}

// In gives the text in lang; anything but "en" means Portuguese.
func (t Text) In(lang string) string {
	if lang == "en" {
		return t.EN
	}
	return t.PT
}

// Problem is one kind of problem.
type Problem struct {
	Code    string `yaml:"codigo" json:"codigo"`         // slug, last part of the type URI
	Kind    string `yaml:"tipo" json:"tipo"`             // fault kind, as "invalid"
	Status  int    `yaml:"status" json:"status"`         // HTTP status
	Title   Text   `yaml:"titulo" json:"titulo"`         // a name
	Meaning Text   `yaml:"explicacao" json:"explicacao"` // what has happened
	Advice  Text   `yaml:"fazer" json:"fazer"`           // what the caller can do
}

// load reads the catalogue once; the text is part of the program.
var load = sync.OnceValue(func() []Problem {
	d := yaml.NewDecoder(bytes.NewReader([]byte(contracts.Problems())))
	d.KnownFields(true)
	var all []Problem
	if err := d.Decode(&all); err != nil {
		panic(fmt.Sprintf("contracts/problems.yaml: %v", err)) // a test decodes it before anybody ships it
	}
	slices.SortFunc(all, func(a, b Problem) int { return bytes.Compare([]byte(a.Code), []byte(b.Code)) })
	return all
})

// All gives every problem in order of code. The slice is the caller's own.
func All() []Problem { return slices.Clone(load()) }

// ByCode gives one problem; false when there is no such code.
func ByCode(code string) (Problem, bool) {
	for _, p := range load() {
		if p.Code == code {
			return p, true
		}
	}
	return Problem{}, false
}
