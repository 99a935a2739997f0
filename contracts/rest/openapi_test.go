package rest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"trama/contracts/rest"
	"trama/contracts/rest/internal/merge"
)

func TestMergedDocumentIsFresh(t *testing.T) {
	fresh, err := rest.Merge()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(fresh, rest.Document()) {
		t.Error("openapi.gen.json is stale: run go generate ./contracts/rest")
	}
}

func TestMergeReportsEveryClash(t *testing.T) {
	source := func(name, path, description string) merge.Source {
		return merge.Source{Name: name, Text: []byte(`
tags: [{name: ` + name + `}]
paths: {` + path + `: {get: {operationId: op-` + name + `}}}
components: {schemas: {Comum: {type: string, description: ` + description + `}}}`)}
	}
	if _, err := merge.Documents([]merge.Source{source("a", "/a", "x"), source("b", "/b", "x")}); err != nil {
		t.Errorf("equal components clash: %v", err)
	}
	_, err := merge.Documents([]merge.Source{source("a", "/a", "x"), source("b", "/a", "y"), source("a", "/c", "x")})
	for _, want := range []string{"path /a of b is already in a", "component schemas/Comum of b differs from that of a", "tag a of a", "operationId op-a"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %q in: %v", want, err)
		}
	}
	if _, err := merge.Documents([]merge.Source{{Name: "a", Text: []byte(`paths: {/a: {get: {example: 2026-01-02}}}`)}}); err == nil {
		t.Error("an unquoted date became something else than text without a word")
	}
}

// object is a JSON object of the document.
type object = map[string]any

func load(t *testing.T) object {
	t.Helper()
	var doc object
	if err := json.Unmarshal(rest.Document(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// resolve follows a local $ref.
func resolve(t *testing.T, doc object, v any) object {
	t.Helper()
	o, _ := v.(object)
	ref, ok := o["$ref"].(string)
	if !ok {
		return o
	}
	var at any = doc
	for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(object)[step]
	}
	if at == nil {
		t.Fatalf("%s leads nowhere", ref)
	}
	return resolve(t, doc, at)
}

// operations calls f for every operation with the parameters of its path.
func operations(t *testing.T, doc object, f func(name, method string, o object, parameters []object)) {
	t.Helper()
	for path, item := range doc["paths"].(object) {
		for method, v := range item.(object) {
			if !slices.Contains([]string{"get", "put", "post", "patch", "delete"}, method) {
				continue
			}
			o := v.(object)
			var parameters []object
			for _, list := range []any{item.(object)["parameters"], o["parameters"]} {
				all, _ := list.([]any)
				for _, p := range all {
					parameters = append(parameters, resolve(t, doc, p))
				}
			}
			f(method+" "+path, method, o, parameters)
		}
	}
}

// TestEveryOperationKeepsTheRules holds the documents against the rules for
// every route of the public contract.
func TestEveryOperationKeepsTheRules(t *testing.T) {
	doc := load(t)
	count := 0
	operations(t, doc, func(name, method string, o object, parameters []object) {
		count++
		complain := func(format string, args ...any) { t.Errorf("%s: %s", name, fmt.Sprintf(format, args...)) }
		if !strings.HasPrefix(strings.Fields(name)[1], "/v1/") {
			complain("has no version")
		}
		tags, _ := o["tags"].([]any)
		if o["operationId"] == nil || o["summary"] == nil || o["description"] == nil || len(tags) != 1 {
			complain("lacks operationId, summary, description or its one tag")
		}
		has := func(in, param string) bool {
			return slices.ContainsFunc(parameters, func(p object) bool { return p["in"] == in && p["name"] == param })
		}
		responses := o["responses"].(object)
		fallback := resolve(t, doc, responses["default"])
		content, _ := fallback["content"].(object)
		if content["application/problem+json"] == nil {
			complain("its default answer is no problem")
		}
		for status, v := range responses {
			r := resolve(t, doc, v)
			headers, _ := r["headers"].(object)
			if (status == "201" || status == "202") && headers["Location"] == nil {
				complain("%s without Location", status)
			}
			if body, ok := r["content"].(object); ok && status == "200" && method == "get" && isPage(t, doc, body) {
				if headers["Link"] == nil || !has("query", "limite") || !has("query", "cursor") {
					complain("a list without Link, limite or cursor")
				}
			}
			if headers["ETag"] != nil && method == "get" && (responses["304"] == nil || !has("header", "If-None-Match")) {
				complain("an ETag without 304 and If-None-Match")
			}
		}
		command := method == "post" && o["requestBody"] != nil && !has("header", "Trama-Assinatura")
		if command && !has("header", "Idempotency-Key") {
			complain("a command without Idempotency-Key")
		}
		if method == "put" || method == "patch" {
			if !has("header", "If-Match") {
				complain("a write without If-Match")
			}
		}
	})
	if count < 20 {
		t.Errorf("only %d operations seen", count)
	}
}

func isPage(t *testing.T, doc object, content object) bool {
	body, _ := content["application/json"].(object)
	properties, _ := resolve(t, doc, body["schema"])["properties"].(object)
	return properties["proximo"] != nil
}

// TestRequestsAreClosed: an unknown field is refused by its name, so every object
// that a caller sends says that it has no others.
func TestRequestsAreClosed(t *testing.T) {
	doc := load(t)
	open := map[string]bool{"receberRetorno": true} // the acquirer's notice may grow without us
	operations(t, doc, func(name, _ string, o object, _ []object) {
		body := resolve(t, doc, o["requestBody"])
		content, _ := body["content"].(object)
		for mediaType, media := range content {
			if id, _ := o["operationId"].(string); !open[id] {
				closed(t, doc, name+" "+mediaType, media.(object)["schema"])
			}
		}
	})
}

func closed(t *testing.T, doc object, where string, schema any) {
	s := resolve(t, doc, schema)
	properties, _ := s["properties"].(object)
	if len(properties) > 0 && s["additionalProperties"] != false {
		t.Errorf("%s accepts fields it does not know", where)
	}
	for name, p := range properties {
		closed(t, doc, where+"/"+name, p)
		property := resolve(t, doc, p)
		if property["type"] == "string" && property["maxLength"] == nil && property["enum"] == nil {
			t.Errorf("%s/%s has no maxLength", where, name)
		}
	}
	if items, ok := s["items"]; ok {
		closed(t, doc, where+"/0", items)
	}
}

// TestExamplesFollowTheirSchemas validates every example of a body.
func TestExamplesFollowTheirSchemas(t *testing.T) {
	doc := load(t)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	seen := 0
	check := func(where string, content any) {
		all, _ := content.(object)
		for mediaType, v := range all {
			media := v.(object)
			ref, _ := media["schema"].(object)["$ref"].(string)
			if ref == "" {
				t.Errorf("%s %s: the schema of a body is a component", where, mediaType)
				continue
			}
			schema, err := c.Compile("openapi.json" + ref)
			if err != nil {
				t.Fatal(err)
			}
			examples := map[string]any{}
			if e, ok := media["example"]; ok {
				examples["example"] = e
			}
			named, _ := media["examples"].(object)
			for name, e := range named {
				examples[name] = e.(object)["value"]
			}
			if len(examples) == 0 {
				t.Errorf("%s %s has no example", where, mediaType)
			}
			for name, e := range examples {
				seen++
				if err := schema.Validate(e); err != nil {
					t.Errorf("%s %s %s: %v", where, mediaType, name, err)
				}
			}
		}
	}
	operations(t, doc, func(name, _ string, o object, _ []object) {
		check(name+" request", resolve(t, doc, o["requestBody"])["content"])
		for status, r := range o["responses"].(object) {
			check(name+" "+status, resolve(t, doc, r)["content"])
		}
	})
	if seen < 40 {
		t.Errorf("only %d examples seen", seen)
	}
}

func TestOperations(t *testing.T) {
	all, err := rest.Operations()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]rest.Operation{
		"registrarLead":             {ID: "registrarLead", Method: "POST", Path: "/v1/marketing/leads"},
		"excluirLead":               {ID: "excluirLead", Method: "DELETE", Path: "/v1/marketing/leads/{id}", Staff: true},
		"listarMensagens":           {ID: "listarMensagens", Method: "GET", Path: "/v1/notificacoes/mensagens"},
		"criarPagamentoPeloApelido": {ID: "criarPagamentoPeloApelido", Method: "POST", Path: "/v1/financeiro/pagamento", Alias: "/v1/financeiro/pagamentos"},
	}
	for _, o := range all {
		if w, ok := want[o.ID]; ok {
			if o != w {
				t.Errorf("%+v, want %+v", o, w)
			}
			delete(want, o.ID)
		}
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}
