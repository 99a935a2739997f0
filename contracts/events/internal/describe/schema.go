// Package describe writes the documents of the event catalogue: a JSON Schema
// per event type and one AsyncAPI document, from the registry, the payload
// structs and the comments beside them. It reads the Go source of the catalogue
// and therefore runs at generation time and in tests only.
package describe

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"trama/contracts/events"
)

// Files gives the generated files by their path relative to contracts/events,
// whose folder is dir.
func Files(dir string) (map[string][]byte, error) {
	comments, err := readComments(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range events.Registry() {
		s := schemas{comments: comments, prefix: "#/$defs/"}
		schema := object{
			{"$schema", "https://json-schema.org/draft/2020-12/schema"},
			{"$id", events.SchemaURI(e.Type)},
			{"title", e.Name},
		}
		body, err := s.structure(reflect.TypeOf(e.Payload))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Type, err)
		}
		schema = append(schema, body...)
		if len(s.shared) > 0 {
			schema = schema.with("$defs", s.shared)
		}
		if files["schemas/"+e.Type+".json"], err = text(schema); err != nil {
			return nil, err
		}
	}
	doc, err := asyncAPI(comments)
	if err != nil {
		return nil, err
	}
	files["asyncapi.gen.json"], err = text(doc)
	return files, err
}

// comments are the words beside types ("Curso") and fields ("Curso.ID").
type comments map[string]string

func readComments(dir string) (comments, error) {
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	found := comments{}
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, spec := range g.Specs {
				t, _ := spec.(*ast.TypeSpec)
				structure, ok := t.Type.(*ast.StructType)
				if !ok {
					continue
				}
				doc := strings.TrimPrefix(g.Doc.Text(), t.Name.Name+":") // "Name: what happened", or a whole sentence
				found[t.Name.Name] = strings.Join(strings.Fields(doc), " ")
				for _, f := range structure.Fields.List {
					for _, name := range f.Names {
						found[t.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Comment.Text()), " ")
					}
				}
			}
		}
	}
	return found, nil
}

// schemas writes the schemas of structs and gathers the shared ones.
type schemas struct {
	comments comments
	prefix   string // of references to shared schemas
	shared   object
}

// structure gives the schema of a struct; the structs in it become shared ones.
func (s *schemas) structure(t reflect.Type) (object, error) {
	var properties object
	var required []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			return nil, fmt.Errorf("%s.%s has no JSON name", t.Name(), f.Name)
		}
		if !strings.Contains(rest, "omitempty") {
			required = append(required, name)
		}
		property, err := s.property(t, f, name)
		if err != nil {
			return nil, err
		}
		properties = properties.with(name, property)
	}
	out := object{}
	if c := s.comments[t.Name()]; c != "" {
		out = out.with("description", sentence(c))
	}
	out = out.with("type", "object")
	if len(required) > 0 {
		out = out.with("required", required)
	}
	return out.with("properties", properties), nil
}

func (s *schemas) property(owner reflect.Type, f reflect.StructField, name string) (object, error) {
	out := object{}
	if c := s.comments[owner.Name()+"."+f.Name]; c != "" {
		out = out.with("description", c)
	}
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return append(out, field{"type", "string"}, field{"format", "date-time"}), nil
	case t.Kind() == reflect.Struct:
		if err := s.share(t); err != nil {
			return nil, err
		}
		return out.with("$ref", s.prefix+t.Name()), nil
	case t.Kind() == reflect.String:
		return append(append(out, field{"type", "string"}), constraint(owner.Name(), name)...), nil
	case t.Kind() == reflect.Int:
		return append(out, field{"type", "integer"}, field{"minimum", 0}), nil
	case t.Kind() == reflect.Bool:
		return out.with("type", "boolean"), nil
	}
	return nil, fmt.Errorf("%s.%s: no schema for %s", owner.Name(), f.Name, t)
}

func (s *schemas) share(t reflect.Type) error {
	for _, f := range s.shared {
		if f.name == t.Name() {
			return nil
		}
	}
	body, err := s.structure(t)
	if err != nil {
		return err
	}
	s.shared = s.shared.with(t.Name(), body)
	return nil
}

// constraint gives what more is known of a text by its owner and name.
func constraint(owner, name string) object {
	switch {
	case name == "id" || strings.HasSuffix(name, "Id"):
		return object{{"format", "uuid"}}
	case name == "cpf":
		return object{{"pattern", "^[0-9]{11}$"}}
	case name == "limite":
		return object{{"format", "date-time"}}
	case owner == "Dinheiro" && name == "valor":
		return object{{"pattern", `^[0-9]+\.[0-9]{2}$`}}
	case owner == "Dinheiro" && name == "moeda":
		return object{{"pattern", "^[A-Z]{3}$"}}
	case owner == "Referencia" && name == "tipo":
		return object{{"enum", []string{"matricula", "pedido"}}}
	case name == "metodo":
		return object{{"enum", []string{"cartao", "pix", "boleto"}}}
	case name == "motivo":
		return object{{"pattern", "^[a-z0-9]+(-[a-z0-9]+)*$"}}
	}
	return nil
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s[0] >= 'a' && s[0] <= 'z' {
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}
