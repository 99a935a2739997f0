package docspage

import (
	"bytes"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"

	"trama/contracts/rest/internal/merge"
)

// row is one field of a body. The fields of an inner object follow it with its
// name before theirs: "cartao.numero", "aulas[].titulo".
type row struct {
	Name, Type, Description string
	Required                bool
}

// maxRowDepth is how far inner objects are opened.
const maxRowDepth = 4

// rows gives the fields of an object schema, inner ones after their owner.
func (b builder) rows(schema *yaml.Node) ([]row, error) { return b.fields(schema, "", 0) }

func (b builder) fields(schema *yaml.Node, prefix string, depth int) ([]row, error) {
	schema, err := b.resolve(schema)
	if err != nil || depth > maxRowDepth {
		return nil, err
	}
	required := map[string]bool{}
	if list := merge.Get(schema, "required"); list != nil {
		for _, n := range list.Content {
			required[n.Value] = true
		}
	}
	all := []row{}
	for name, property := range merge.Pairs(merge.Get(schema, "properties")) {
		resolved, err := b.resolve(property)
		if err != nil {
			return nil, err
		}
		r := row{Name: prefix + name, Required: required[name], Description: str(property, "description")}
		if r.Description == "" {
			r.Description = str(resolved, "description")
		}
		if r.Type, err = b.typeName(property); err != nil {
			return nil, err
		}
		all = append(all, r)
		inner, below := resolved, prefix+name+"."
		if items := merge.Get(resolved, "items"); items != nil {
			inner, below = items, prefix+name+"[]."
		}
		more, err := b.fields(inner, below, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// typeName says in words what a schema accepts.
func (b builder) typeName(schema *yaml.Node) (string, error) {
	schema, err := b.resolve(schema)
	if err != nil || schema == nil {
		return "", err
	}
	kind := str(schema, "type")
	if list := merge.Get(schema, "type"); list != nil && list.Kind == yaml.SequenceNode {
		kind = list.Content[0].Value // the other one is null
	}
	name := map[string]string{
		"string": "texto", "integer": "inteiro", "number": "número", "boolean": "verdadeiro ou falso", "object": "objeto", "array": "lista",
	}[kind]
	if format := map[string]string{"uuid": "UUID", "date-time": "data e hora (RFC 3339)"}[str(schema, "format")]; format != "" {
		name = format
	}
	if enum := merge.Get(schema, "enum"); enum != nil {
		var values []string
		for _, v := range enum.Content {
			values = append(values, "`"+v.Value+"`")
		}
		name = strings.Join(values, ", ")
	}
	if items := merge.Get(schema, "items"); items != nil {
		inner, err := b.typeName(items)
		if err != nil {
			return "", err
		}
		name = "lista de " + inner
	}
	for _, limit := range [][2]string{{"maxLength", "até %s caracteres"}, {"minimum", "no mínimo %s"}, {"maximum", "no máximo %s"}, {"maxItems", "até %s itens"}, {"default", "padrão %s"}} {
		if v := str(schema, limit[0]); v != "" {
			name += ", " + strings.Replace(limit[1], "%s", v, 1)
		}
	}
	if list := merge.Get(schema, "type"); list != nil && list.Kind == yaml.SequenceNode {
		name += " ou nulo"
	}
	return name, nil
}

// examples gives the examples of a media type as indented JSON. Their title is
// their summary, else the given one.
func examples(media *yaml.Node, title string) ([]example, error) {
	var all []example
	add := func(title string, n *yaml.Node) error {
		text, err := pretty(n)
		all = append(all, example{title, text})
		return err
	}
	if n := merge.Get(media, "example"); n != nil {
		if err := add(title, n); err != nil {
			return nil, err
		}
	}
	for name, n := range merge.Pairs(merge.Get(media, "examples")) {
		if summary := str(n, "summary"); summary != "" {
			name = summary
		}
		if err := add(name, merge.Get(n, "value")); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func pretty(n *yaml.Node) (string, error) {
	text, err := merge.JSON(n)
	return strings.TrimSpace(string(text)), err
}

// curl shows a call that can be pasted into a shell.
func curl(op operation) string {
	var out strings.Builder
	out.WriteString("curl -i")
	if op.Method != "GET" {
		out.WriteString(" -X " + op.Method)
	}
	path, query := op.Path, ""
	for _, p := range op.Parameters {
		switch {
		case p.Where == "caminho":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", p.Example)
		case p.Where == "consulta" && p.Required:
			query = "?" + p.Name + "=" + p.Example
		}
	}
	out.WriteString(" 'http://127.0.0.1:8080" + path + query + "'")
	if op.Access == "só com o token de operador" {
		out.WriteString(" \\\n  -H \"Authorization: Bearer $(cat trama-data/operator-token)\"")
	}
	for _, p := range op.Parameters {
		switch p.Name {
		case "If-Match":
			out.WriteString(" \\\n  -H 'If-Match: \"3\"'")
		case "Trama-Assinatura", "Idempotency-Key":
			out.WriteString(" \\\n  -H '" + p.Name + ": " + p.Example + "'")
		}
	}
	if op.Body != nil && len(op.Body.Examples) > 0 {
		out.WriteString(" \\\n  -H 'Content-Type: " + op.Body.Types[0] + "' \\\n  -d '" + compact(op.Body.Examples[0].Text) + "'")
	}
	return out.String()
}

// compact writes JSON on one line, safe between single quotes of a shell.
func compact(text string) string {
	var out bytes.Buffer
	if json.Compact(&out, []byte(text)) != nil {
		return text
	}
	return strings.ReplaceAll(out.String(), "'", `'\''`)
}
