// Command restgen writes the Go package (server and client) of one OpenAPI
// document of contracts/rest with ogen.
//
// The document says more than the generator should act on, so four things are
// rewritten on the way, in memory only:
//
//   - security requirements are dropped: services check the caller themselves
//     (platform/auth), so that one rule holds for every way into them;
//   - a path marked x-trama-apelido-de is dropped: the service rewrites the
//     alias to the real path in front of the generated server;
//   - a PATCH body offered both as merge patch and as plain JSON is generated
//     once, as plain JSON: httpx translates the content type in front;
//   - UUIDs become strings: in paths with a pattern, so that anything else is
//     not found, and elsewhere without one, because the domain has the better
//     message.
//
// Usage: restgen -spec FILE -target DIR -package NAME
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ogen-go/ogen"
	"github.com/ogen-go/ogen/gen"
	"go.yaml.in/yaml/v3"
)

func main() {
	spec := flag.String("spec", "", "OpenAPI document")
	target := flag.String("target", "", "directory of the package to write")
	pkg := flag.String("package", "", "name of the package")
	flag.Parse()
	if err := run(*spec, *target, *pkg); err != nil {
		fmt.Fprintln(os.Stderr, "restgen:", err)
		os.Exit(1)
	}
}

func run(spec, target, pkg string) error {
	text, err := os.ReadFile(spec)
	if err != nil {
		return err
	}
	prepared, err := prepare(text)
	if err != nil {
		return fmt.Errorf("%s: %w", spec, err)
	}
	parsed, err := ogen.Parse(prepared)
	if err != nil {
		return fmt.Errorf("%s: parse: %w", spec, err)
	}
	features := gen.FeatureOptions{DisableAll: true, Enable: gen.FeatureSet{
		gen.PathsServer.Name: {}, gen.PathsClient.Name: {}, gen.ClientEditors.Name: {}, gen.NamingCamelInitialisms.Name: {},
	}}
	g, err := gen.NewGenerator(parsed, gen.Options{Generator: gen.GenerateOptions{
		Features:         &features,
		ConvenientErrors: -1, // every error goes to the ErrorHandler, which is httpx
	}})
	if err != nil {
		return fmt.Errorf("%s: %w", spec, err)
	}
	if err := clean(target); err != nil {
		return err
	}
	return g.WriteSource(folder(target), pkg)
}

// clean removes what an earlier run wrote, so that nothing outlives its template.
func clean(target string) error {
	old, err := filepath.Glob(filepath.Join(target, "*.gen.go"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// folder writes ogen's files under this repository's naming rule, *.gen.go.
type folder string

// WriteFile implements gen.FileSystem.
func (f folder) WriteFile(name string, source []byte) error {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "oas_"), "_gen.go") + ".gen.go"
	return os.WriteFile(filepath.Join(string(f), name), source, 0o644)
}

// prepare rewrites the document as the command's comment says.
func prepare(text []byte) ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	delete(doc, "security")
	if components, ok := doc["components"].(map[string]any); ok {
		delete(components, "securitySchemes")
	}
	paths, ok := doc["paths"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("no paths")
	}
	for path, item := range paths {
		operations, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("path %s is no object", path)
		}
		if _, alias := operations["x-trama-apelido-de"]; alias {
			delete(paths, path)
			continue
		}
		for _, operation := range operations {
			if o, ok := operation.(map[string]any); ok {
				delete(o, "security")
			}
		}
		if patch, ok := operations["patch"].(map[string]any); ok {
			onePatchBody(patch)
		}
	}
	plainIDs(doc)
	return yaml.Marshal(doc)
}

func onePatchBody(patch map[string]any) {
	body, _ := patch["requestBody"].(map[string]any)
	content, _ := body["content"].(map[string]any)
	if _, both := content["application/json"]; both {
		delete(content, "application/merge-patch+json")
	}
}

const uuidPattern = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

func plainIDs(node any) {
	switch n := node.(type) {
	case []any:
		for _, item := range n {
			plainIDs(item)
		}
	case map[string]any:
		if schema, ok := n["schema"].(map[string]any); ok && n["in"] == "path" && schema["format"] == "uuid" {
			schema["pattern"] = uuidPattern
		}
		if n["format"] == "uuid" {
			delete(n, "format")
		}
		for _, value := range n {
			plainIDs(value)
		}
	}
}
