package problems_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"trama/contracts/problems"
	"trama/platform/fault"
	"trama/platform/httpx"
)

func TestEntriesAreWhole(t *testing.T) {
	slug := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, p := range problems.All() {
		if !slug.MatchString(p.Code) || seen[p.Code] {
			t.Errorf("code %q is no slug or comes twice", p.Code)
		}
		seen[p.Code] = true
		for _, text := range []problems.Text{p.Title, p.Meaning, p.Advice} {
			if text.PT == "" || text.EN == "" || text.PT == text.EN {
				t.Errorf("%s: a text is missing or not translated: %+v", p.Code, text)
			}
		}
		f := fault.New(kindNamed(t, p.Kind), p.Code, fault.Text{})
		if got := httpx.Status(f); got != p.Status {
			t.Errorf("%s: the catalogue says %d, the wall answers %d", p.Code, p.Status, got)
		}
	}
	if _, ok := problems.ByCode(fault.CodeInvalidFields); !ok {
		t.Errorf("%s is missing", fault.CodeInvalidFields)
	}
	if _, ok := problems.ByCode("nao-existe"); ok {
		t.Error("a code that does not exist was found")
	}
}

func kindNamed(t *testing.T, name string) fault.Kind {
	t.Helper()
	for k := fault.Internal; k <= fault.Timeout; k++ {
		if k.String() == name {
			return k
		}
	}
	t.Fatalf("there is no kind %q", name)
	return 0
}

// TestEveryCodeIsInTheCatalogue reads the repository's sources.
func TestEveryCodeIsInTheCatalogue(t *testing.T) {
	root := filepath.Join("..", "..")
	total := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && skipped(d.Name()) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".gen.go") {
			return nil
		}
		found, err := codesOf(path, nil)
		if err != nil {
			return nil //nolint:nilerr // the compiler reports what does not parse
		}
		for _, u := range found {
			total++
			p, ok := problems.ByCode(u.code)
			switch {
			case !ok:
				t.Errorf("%s: code %q (%s) is not in contracts/problems.yaml", u.where, u.code, u.kind)
			case u.kind != "" && kindConst(p.Kind) != u.kind:
				t.Errorf("%s: code %q is made as %s, the catalogue says %s", u.where, u.code, u.kind, p.Kind)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if total < 20 {
		t.Errorf("only %d uses found; the search is broken", total)
	}
}

// skipped are folders whose faults never reach the wall: test kits end in "test".
func skipped(folder string) bool {
	return strings.HasSuffix(folder, "test") || folder == "testdata" || folder == "node_modules" ||
		strings.HasPrefix(folder, ".") && folder != ".."
}

func TestTheSearchFindsCodes(t *testing.T) {
	found, err := codesOf("x.go", `package x
import "trama/platform/fault"
var a = fault.New(fault.Conflict, "um", fault.Text{})
var b = &fault.Error{Kind: fault.Invalid, Code: "dois"}`)
	if err != nil || len(found) != 2 || found[0].code != "um" || found[0].kind != "Conflict" || found[1].code != "dois" {
		t.Errorf("%+v %v", found, err)
	}
}

// kindConst gives the Go name of a kind: "not_found" is NotFound.
func kindConst(kind string) string {
	out := ""
	for _, word := range strings.Split(kind, "_") {
		out += strings.ToUpper(word[:1]) + word[1:]
	}
	return out
}

type use struct{ where, code, kind string }

// codesOf finds fault.New(kind, "code", …) and fault.Error{Kind: …, Code: "…"},
// inside package fault without the qualifier.
func codesOf(path string, src any) (found []use, err error) {
	files := token.NewFileSet()
	var in any
	if s, ok := src.(string); ok {
		in = s
	}
	file, err := parser.ParseFile(files, path, in, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	inside := file.Name.Name == "fault"
	named := func(e ast.Expr, name string) bool {
		if id, ok := e.(*ast.Ident); ok {
			return inside && id.Name == name
		}
		sel, ok := e.(*ast.SelectorExpr)
		return ok && isIdent(sel.X, "fault") && sel.Sel.Name == name
	}
	add := func(kind, code ast.Expr) {
		lit, ok := code.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return // a variable: decoded from the wire, or a constant checked elsewhere
		}
		text, err := strconv.Unquote(lit.Value)
		if err == nil {
			found = append(found, use{files.Position(lit.Pos()).String(), text, kindOf(kind)})
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if named(n.Fun, "New") && len(n.Args) == 3 {
				add(n.Args[0], n.Args[1])
			}
		case *ast.CompositeLit:
			if n.Type != nil && named(n.Type, "Error") {
				fields := map[string]ast.Expr{}
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						if key, ok := kv.Key.(*ast.Ident); ok {
							fields[key.Name] = kv.Value
						}
					}
				}
				if code := fields["Code"]; code != nil {
					add(fields["Kind"], code)
				}
			}
		}
		return true
	})
	return found, nil
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func kindOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		if isIdent(e.X, "fault") {
			return e.Sel.Name
		}
	case *ast.Ident:
		if ast.IsExported(e.Name) {
			return e.Name
		}
	}
	return "" // a variable
}
