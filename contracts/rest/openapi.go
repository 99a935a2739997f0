// Package rest is the public REST contract as a whole: one OpenAPI 3.1 document
// per service (*.yaml, written by hand before the code) and the merged document
// of all of them, which is served at /v1/openapi.json. The packages below it are
// generated, one per document; only the simulator's few routes are written by
// hand on their side.
package rest

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"trama/contracts/rest/internal/merge"
)

//go:generate go run ./internal/mergecmd

//go:embed *.yaml
var sources embed.FS

//go:embed openapi.gen.json
var document string

// Services lists the documents in the order in which they are shown.
func Services() []string {
	return []string{"academico", "marketing", "financeiro", "notificacoes", "operacao", "simulador"}
}

// Source gives the document of one service as it was written; it panics for a
// name that is not in Services.
func Source(service string) []byte {
	text, err := sources.ReadFile(service + ".yaml")
	if err != nil {
		panic(fmt.Sprintf("contracts/rest: %v", err))
	}
	return text
}

// Document gives the merged document as JSON.
func Document() []byte { return []byte(document) }

// Merge makes the merged document from the sources. Document gives the committed
// result; a test holds both equal.
func Merge() ([]byte, error) {
	var all []merge.Source
	for _, name := range Services() {
		all = append(all, merge.Source{Name: name, Text: Source(name)})
	}
	return merge.Documents(all)
}

// Operation is one route of the contract, for tests and tables that go over all.
type Operation struct {
	ID     string // operationId
	Method string // "POST"
	Path   string // template, "/v1/financeiro/pagamentos/{id}"
	Staff  bool   // only the operator may call it
	Alias  string // the path this one is another name of; empty for most
}

// Operations gives every route in order of path and method.
func Operations() ([]Operation, error) {
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(Document(), &doc); err != nil {
		return nil, fmt.Errorf("openapi.gen.json: %w", err)
	}
	var all []Operation
	for path, item := range doc.Paths {
		alias := ""
		if raw, ok := item["x-trama-apelido-de"]; ok {
			if err := json.Unmarshal(raw, &alias); err != nil {
				return nil, fmt.Errorf("%s: x-trama-apelido-de: %w", path, err)
			}
		}
		for method, raw := range item {
			if !slices.Contains([]string{"get", "put", "post", "patch", "delete"}, method) {
				continue
			}
			var o struct {
				OperationID string                `json:"operationId"`
				Security    []map[string][]string `json:"security"`
			}
			if err := json.Unmarshal(raw, &o); err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			open := func(requirement map[string][]string) bool { return len(requirement) == 0 }
			all = append(all, Operation{
				ID: o.OperationID, Method: strings.ToUpper(method), Path: path, Alias: alias,
				Staff: len(o.Security) > 0 && !slices.ContainsFunc(o.Security, open),
			})
		}
	}
	slices.SortFunc(all, func(a, b Operation) int {
		return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
	})
	return all, nil
}
