// Package merge makes one OpenAPI document of several. Each source is whole by
// itself, so they repeat what they share (problems, money, paging): what is
// repeated must be equal, and then stands in the result once.
package merge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Source is one document.
type Source struct {
	Name string // for messages
	Text []byte // YAML or JSON
}

// header stands before what comes from the sources.
const header = `openapi: 3.1.0
info:
  title: Trama
  version: 1.0.0
  summary: A escola e a loja em uma só casa.
  description: >-
    Todas as rotas públicas da versão 1. Sem a versão no caminho, a rota é a da
    versão 1. Erros seguem a RFC 9457; cada tipo tem a sua página em /problemas.
  license: {name: Apache-2.0, identifier: Apache-2.0}
servers:
  - {url: /, description: Este servidor}
`

// Documents merges the sources in their order and gives indented JSON. Every
// clash is reported: a path, operationId or tag that two sources have, a
// component that differs between them.
func Documents(sources []Source) ([]byte, error) {
	var head yaml.Node
	if err := yaml.Unmarshal([]byte(header), &head); err != nil {
		return nil, err
	}
	m := merger{
		doc: head.Content[0], tags: &yaml.Node{Kind: yaml.SequenceNode}, paths: mapping(), components: mapping(),
		owner: map[string]string{},
	}
	for _, s := range sources {
		if err := m.add(s); err != nil {
			m.problems = append(m.problems, fmt.Errorf("%s: %w", s.Name, err))
		}
	}
	if err := errors.Join(m.problems...); err != nil {
		return nil, err
	}
	put(m.doc, "tags", m.tags)
	put(m.doc, "paths", m.paths)
	put(m.doc, "components", m.components)
	return JSON(m.doc)
}

type merger struct {
	doc, tags, paths, components *yaml.Node
	owner                        map[string]string // what was seen → source
	problems                     []error
}

func (m *merger) add(s Source) error {
	var root yaml.Node
	if err := yaml.Unmarshal(s.Text, &root); err != nil {
		return err
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return errors.New("is no object")
	}
	doc := root.Content[0]
	if tags := Get(doc, "tags"); tags != nil {
		for _, tag := range tags.Content {
			if m.claim(s, "tag "+value(Get(tag, "name"))) {
				m.tags.Content = append(m.tags.Content, tag)
			}
		}
	}
	for path, item := range Pairs(Get(doc, "paths")) {
		if m.claim(s, "path "+path) {
			put(m.paths, path, item)
		}
		for _, operation := range Pairs(item) {
			if id := Get(operation, "operationId"); id != nil {
				m.claim(s, "operationId "+id.Value)
			}
		}
	}
	for kind, named := range Pairs(Get(doc, "components")) {
		into := Get(m.components, kind)
		if into == nil {
			into = mapping()
			put(m.components, kind, into)
		}
		for name, component := range Pairs(named) {
			if err := m.component(s, into, kind+"/"+name, name, component); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *merger) component(s Source, into *yaml.Node, full, name string, component *yaml.Node) error {
	there := Get(into, name)
	if there == nil {
		m.owner["component "+full] = s.Name
		put(into, name, component)
		return nil
	}
	a, err := JSON(there)
	if err != nil {
		return err
	}
	b, err := JSON(component)
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		m.problems = append(m.problems, fmt.Errorf("component %s of %s differs from that of %s",
			full, s.Name, m.owner["component "+full]))
	}
	return nil
}

// claim says whether s is the first with what; if not, that is a problem.
func (m *merger) claim(s Source, what string) bool {
	if first, taken := m.owner[what]; taken {
		m.problems = append(m.problems, fmt.Errorf("%s of %s is already in %s", what, s.Name, first))
		return false
	}
	m.owner[what] = s.Name
	return true
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

func put(m *yaml.Node, key string, v *yaml.Node) {
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, v)
}

func value(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	return n.Value
}

// Get gives the value of a key; nil when n is no mapping or has no such key.
func Get(n *yaml.Node, key string) *yaml.Node {
	for k, v := range Pairs(n) {
		if k == key {
			return v
		}
	}
	return nil
}

// Pairs gives the keys and values of a mapping in their order; none for
// anything else. Aliases are followed.
func Pairs(n *yaml.Node) func(yield func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		n := follow(n)
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, follow(n.Content[i+1])) {
				return
			}
		}
	}
}

func follow(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// JSON writes a node as indented JSON with the keys in their order.
func JSON(n *yaml.Node) ([]byte, error) {
	var flat, out bytes.Buffer
	if err := writeJSON(&flat, n); err != nil {
		return nil, err
	}
	if err := json.Indent(&out, flat.Bytes(), "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func writeJSON(out *bytes.Buffer, n *yaml.Node) error {
	n = follow(n)
	switch n.Kind {
	case yaml.MappingNode:
		sep := byte('{')
		for key, v := range Pairs(n) {
			out.WriteByte(sep)
			sep = ','
			if err := writeScalar(out, key); err != nil {
				return err
			}
			out.WriteByte(':')
			if err := writeJSON(out, v); err != nil {
				return err
			}
		}
		if sep == '{' {
			out.WriteByte('{')
		}
		out.WriteByte('}')
	case yaml.SequenceNode:
		out.WriteByte('[')
		for i, v := range n.Content {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := writeJSON(out, v); err != nil {
				return err
			}
		}
		out.WriteByte(']')
	case yaml.ScalarNode:
		var v any
		if err := n.Decode(&v); err != nil {
			return err
		}
		switch v.(type) {
		case string, bool, int, float64, nil:
			return writeScalar(out, v)
		}
		return fmt.Errorf("line %d: %q is a %T in YAML; quote it", n.Line, n.Value, v)
	default:
		return fmt.Errorf("line %d: unexpected YAML", n.Line)
	}
	return nil
}

func writeScalar(out *bytes.Buffer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	out.Truncate(out.Len() - 1) // Encode ends with a line feed
	return nil
}
