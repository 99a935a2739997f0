package events_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"trama/contracts/events"
	"trama/contracts/events/internal/describe"
	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/outbox"
)

func TestGeneratedDocumentsAreFresh(t *testing.T) {
	files, err := describe.Files(".")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale (%v): run go generate ./contracts/events", path, err)
		}
	}
	there, err := filepath.Glob("schemas/br.*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		if files[path] == nil {
			t.Errorf("%s belongs to no event of the registry", path)
		}
	}
}

// TestEveryTypeIsRegistered reads the constants: a type that was declared and not
// registered would have no schema.
func TestEveryTypeIsRegistered(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "events.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, "Type") {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared[text] = true
		}
		return true
	})
	for _, e := range events.Registry() {
		if !declared[e.Type] {
			t.Errorf("%s is registered twice or not a constant", e.Type)
		}
		delete(declared, e.Type)
		if name := reflect.TypeOf(e.Payload).Name(); name != e.Name || !strings.Contains(e.Type, "."+e.Name+".v") {
			t.Errorf("%s is named %s and carries %s", e.Type, e.Name, name)
		}
		if context := strings.Split(e.Type, ".")[2]; e.Source != "/"+context {
			t.Errorf("%s comes from %s", e.Type, e.Source)
		}
		if e.Producer == "" || e.Subject == "" {
			t.Errorf("%s lacks producer or subject", e.Type)
		}
	}
	for missing := range declared {
		t.Errorf("%s is not registered", missing)
	}
	if _, ok := events.Lookup("br.trama.nada.Nada.v1"); ok {
		t.Error("a type that does not exist was found")
	}
}

func compile(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	id := doc.(map[string]any)["$id"].(string)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(id, doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(id)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// valid validates any Go value as the JSON it becomes.
func valid(t *testing.T, schema *jsonschema.Schema, v any) error {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(doc)
}

// TestPayloadsFollowTheirSchemas: the full example, the barest payload that the
// struct can say, and every required property taken away in turn.
func TestPayloadsFollowTheirSchemas(t *testing.T) {
	for _, e := range events.Registry() {
		text, ok := events.Schema(e.Type)
		if !ok {
			t.Errorf("%s has no schema", e.Type)
			continue
		}
		schema := compile(t, text)
		if schema.ID != events.SchemaURI(e.Type)+"#" && schema.Location != events.SchemaURI(e.Type)+"#" {
			t.Errorf("%s has the id %s", e.Type, schema.Location)
		}
		if err := valid(t, schema, e.Payload); err != nil {
			t.Errorf("%s: %v", e.Type, err)
		}
		var fields map[string]any
		data, _ := json.Marshal(e.Payload)
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatal(err)
		}
		var required struct {
			Required   []string       `json:"required"`
			Properties map[string]any `json:"properties"`
		}
		if err := json.Unmarshal(text, &required); err != nil {
			t.Fatal(err)
		}
		if len(fields) != len(required.Properties) {
			t.Errorf("%s: the example has %d of %d fields", e.Type, len(fields), len(required.Properties))
		}
		for _, name := range required.Required {
			kept := fields[name]
			delete(fields, name)
			if valid(t, schema, fields) == nil {
				t.Errorf("%s passes without %s", e.Type, name)
			}
			fields[name] = []int{1}
			if valid(t, schema, fields) == nil {
				t.Errorf("%s passes with a wrong type of %s", e.Type, name)
			}
			fields[name] = kept
		}
		fields["novidade"] = "x"
		if err := valid(t, schema, fields); err != nil {
			t.Errorf("%s refuses an additional field: %v", e.Type, err)
		}
	}
}

func TestEnvelope(t *testing.T) {
	schema := compile(t, events.EnvelopeSchema())
	good := func() map[string]any {
		return map[string]any{
			"specversion": "1.0", "id": "01980a53-2000-7000-8000-000000000001", "source": "/financeiro",
			"type": events.TypePagamentoRecebido, "subject": "01980a53-10aa-7c11-8f00-2b7d9e6c5a02",
			"time": "2026-11-20T14:05:00.123Z", "datacontenttype": "application/json",
			"dataschema": events.SchemaURI(events.TypePagamentoRecebido), "sequence": "7",
			"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "data": map[string]any{},
		}
	}
	if err := valid(t, schema, good()); err != nil {
		t.Error(err)
	}
	// What the outbox really sends.
	sent, err := outbox.Build(t.Context(), id.New(clock.System{}, rand.Reader), clock.System{}, "/financeiro", outbox.Message{
		Type: events.TypePagamentoRecebido, Subject: "01980a53-10aa-7c11-8f00-2b7d9e6c5a02", Data: events.PagamentoRecebido{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := valid(t, schema, sent); err != nil || sent.DataSchema != events.SchemaURI(sent.Type) {
		t.Errorf("an event of the outbox, dataschema %s: %v", sent.DataSchema, err)
	}
	for name, bad := range map[string]any{
		"specversion": "0.3", "id": "", "source": "", "type": "PagamentoRecebido", "subject": "", "time": "ontem",
		"datacontenttype": "text/xml", "dataschema": "/eventos/x", "sequence": "sete", "traceparent": "00", "data": "texto",
		"Extensao": "maiúscula", "extensao": map[string]any{"não": "escalar"},
	} {
		e := good()
		e[name] = bad
		if valid(t, schema, e) == nil {
			t.Errorf("%s may be %v", name, bad)
		}
	}
	for _, name := range []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"} {
		e := good()
		delete(e, name)
		if valid(t, schema, e) == nil {
			t.Errorf("%s may be missing", name)
		}
	}
}

// TestAsyncAPIHoldsTogether: every reference leads somewhere, every entry has its
// channel, its operations and an example that follows envelope and payload.
func TestAsyncAPIHoldsTogether(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(events.AsyncAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case []any:
			for i, item := range v {
				walk(at+"/"+strconv.Itoa(i), item)
			}
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && !reaches(doc, ref) {
				t.Errorf("%s: %s leads nowhere", at, ref)
			}
			for k, item := range v {
				walk(at+"/"+k, item)
			}
		}
	}
	walk("", doc)
	envelope := compile(t, events.EnvelopeSchema())
	operations := doc["operations"].(map[string]any)
	want := 0
	for _, e := range events.Registry() {
		want += 1 + len(e.Consumers)
		channel, _ := doc["channels"].(map[string]any)[e.Name].(map[string]any)
		if channel["address"] != e.Type || operations[e.Producer+"-publica-"+e.Name] == nil {
			t.Errorf("%s lacks its channel or its publisher", e.Type)
		}
		for _, consumer := range e.Consumers {
			if operations[consumer+"-recebe-"+e.Name] == nil {
				t.Errorf("%s lacks its consumer %s", e.Type, consumer)
			}
		}
		message := doc["components"].(map[string]any)["messages"].(map[string]any)[e.Name].(map[string]any)
		example := message["examples"].([]any)[0].(map[string]any)["payload"].(map[string]any)
		text, _ := events.Schema(e.Type)
		if err := valid(t, envelope, example); err != nil {
			t.Errorf("%s: example: %v", e.Type, err)
		}
		if err := valid(t, compile(t, text), example["data"]); err != nil {
			t.Errorf("%s: example: %v", e.Type, err)
		}
	}
	if len(operations) != want {
		t.Errorf("%d operations, want %d", len(operations), want)
	}
}

func reaches(doc map[string]any, ref string) bool {
	var at any = doc
	for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		m, ok := at.(map[string]any)
		if !ok {
			return false
		}
		at = m[step]
	}
	return at != nil
}
