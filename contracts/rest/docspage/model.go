package docspage

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"trama/contracts/events"
	"trama/contracts/problems"
	"trama/contracts/rest"
	"trama/contracts/rest/internal/merge"
)

// page is what the template shows.
type page struct {
	Title, Description string
	Groups             []group
	Events             []events.Entry
	Problems           []problems.Problem
}

type group struct {
	Name, Description, Anchor string
	Operations                []operation
}

type operation struct {
	ID, Method, Path     string
	Summary, Description string
	Access               string // who may call it; empty for anyone
	AliasOf              string
	Parameters           []parameter
	Body                 *body
	Responses            []response
	Curl                 string
}

type parameter struct {
	Name, Where, Type, Description, Example string
	Required                                bool
}

type body struct {
	Required bool
	Types    []string // media types
	Rows     []row
	Examples []example
}

type response struct {
	Status, Description string
	Headers             []parameter
	Type                string
	Rows                []row
	Examples            []example
}

type example struct{ Title, Text string }

func renderDocs() ([]byte, error) {
	p, err := build(rest.Document())
	if err != nil {
		return nil, err
	}
	return render("docs.html", p)
}

// builder reads one document. JSON is YAML, and yaml.Node keeps the order.
type builder struct{ doc *yaml.Node }

func build(document []byte) (page, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		return page{}, err
	}
	b := builder{doc: root.Content[0]}
	info := merge.Get(b.doc, "info")
	p := page{
		Title: str(info, "title"), Description: str(info, "description"), Events: events.Registry(), Problems: problems.All(),
	}
	for _, tag := range merge.Get(b.doc, "tags").Content {
		name := str(tag, "name")
		p.Groups = append(p.Groups, group{Name: name, Description: str(tag, "description"), Anchor: anchor(name)})
	}
	for path, item := range merge.Pairs(merge.Get(b.doc, "paths")) {
		for method, o := range merge.Pairs(item) {
			if !slices.Contains([]string{"get", "put", "post", "patch", "delete"}, method) {
				continue
			}
			op, err := b.operation(path, method, item, o)
			if err != nil {
				return page{}, fmt.Errorf("%s %s: %w", method, path, err)
			}
			tag := merge.Get(o, "tags").Content[0].Value
			i := slices.IndexFunc(p.Groups, func(g group) bool { return g.Name == tag })
			if i < 0 {
				return page{}, fmt.Errorf("%s %s: tag %q is not declared", method, path, tag)
			}
			p.Groups[i].Operations = append(p.Groups[i].Operations, op)
		}
	}
	return p, nil
}

func (b builder) operation(path, method string, item, o *yaml.Node) (operation, error) {
	op := operation{
		ID: str(o, "operationId"), Method: strings.ToUpper(method), Path: path,
		Summary: str(o, "summary"), Description: str(o, "description"), AliasOf: str(item, "x-trama-apelido-de"),
		Access: access(merge.Get(o, "security")),
	}
	for _, list := range []*yaml.Node{merge.Get(item, "parameters"), merge.Get(o, "parameters")} {
		if list == nil {
			continue
		}
		for _, n := range list.Content {
			p, err := b.parameter(n)
			if err != nil {
				return op, err
			}
			op.Parameters = append(op.Parameters, p)
		}
	}
	if n := merge.Get(o, "requestBody"); n != nil {
		requestBody, err := b.resolve(n)
		if err != nil {
			return op, err
		}
		op.Body = &body{Required: str(requestBody, "required") == "true"}
		for mediaType, media := range merge.Pairs(merge.Get(requestBody, "content")) {
			op.Body.Types = append(op.Body.Types, mediaType)
			if op.Body.Rows == nil {
				if op.Body.Rows, err = b.rows(merge.Get(media, "schema")); err != nil {
					return op, err
				}
			}
			found, err := examples(media, mediaType)
			if err != nil {
				return op, err
			}
			op.Body.Examples = append(op.Body.Examples, found...)
		}
	}
	for status, n := range merge.Pairs(merge.Get(o, "responses")) {
		r, err := b.response(status, n)
		if err != nil {
			return op, err
		}
		op.Responses = append(op.Responses, r)
	}
	op.Curl = curl(op)
	return op, nil
}

func access(security *yaml.Node) string {
	if security == nil || len(security.Content) == 0 {
		return ""
	}
	for _, requirement := range security.Content {
		if len(requirement.Content) == 0 {
			return "desta máquina ou com o token de operador"
		}
	}
	return "só com o token de operador"
}

func (b builder) parameter(n *yaml.Node) (parameter, error) {
	n, err := b.resolve(n)
	if err != nil {
		return parameter{}, err
	}
	kind, err := b.typeName(merge.Get(n, "schema"))
	where := map[string]string{"path": "caminho", "query": "consulta", "header": "cabeçalho"}[str(n, "in")]
	return parameter{
		Name: str(n, "name"), Where: where, Type: kind, Description: str(n, "description"),
		Example: str(n, "example"), Required: str(n, "required") == "true",
	}, err
}

func (b builder) response(status string, n *yaml.Node) (response, error) {
	n, err := b.resolve(n)
	if err != nil {
		return response{}, err
	}
	r := response{Status: status, Description: str(n, "description")}
	for name, h := range merge.Pairs(merge.Get(n, "headers")) {
		if h, err = b.resolve(h); err != nil {
			return r, err
		}
		r.Headers = append(r.Headers, parameter{Name: name, Description: str(h, "description")})
	}
	if status == "default" {
		return r, nil // the problem's fields are told once, in a section of their own
	}
	for mediaType, media := range merge.Pairs(merge.Get(n, "content")) {
		r.Type = mediaType
		if r.Rows, err = b.rows(merge.Get(media, "schema")); err != nil {
			return r, err
		}
		if r.Examples, err = examples(media, ""); err != nil {
			return r, err
		}
	}
	return r, nil
}

// resolve follows a local reference.
func (b builder) resolve(n *yaml.Node) (*yaml.Node, error) {
	ref := str(n, "$ref")
	if ref == "" {
		return n, nil
	}
	at := b.doc
	for step := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = merge.Get(at, step)
	}
	if at == nil {
		return nil, fmt.Errorf("%s leads nowhere", ref)
	}
	return b.resolve(at)
}

func str(n *yaml.Node, key string) string {
	if v := merge.Get(n, key); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// anchor makes a fragment of a name: "Notificações" is "notificacoes".
func anchor(name string) string {
	plain := strings.NewReplacer("ç", "c", "ã", "a", "á", "a", "â", "a", "é", "e", "ê", "e", "í", "i", "õ", "o", "ó", "o", "ô", "o", "ú", "u", " ", "-")
	return plain.Replace(strings.ToLower(name))
}
