package repository

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	maxFile     = 500
	maxFunction = 60
)

// longFiles and longFunctions are excused, each with its reason.
var (
	longFiles     = map[string]string{}
	longFunctions = map[string]string{
		"system.Table": "it is one table: every module of the system on a line",
	}
)

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" && !under(p.ImportPath, "contracts/rpc") { // generated; the .proto files say it
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func TestFilesAndFunctionsStayReadable(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			file := filepath.Join(p.Dir, name)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if generated(text) {
				continue
			}
			rel := strings.TrimPrefix(p.ImportPath, "trama/") + "/" + name
			if n := bytes.Count(text, []byte("\n")); n > maxFile && longFiles[rel] == "" {
				t.Errorf("%s has %d lines; over %d wants a reason in longFiles", rel, n, maxFile)
			}
			functions(t, p, file, text)
		}
	}
}

func functions(t *testing.T, p pkg, file string, text []byte) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		name := parsed.Name.Name + "." + f.Name.Name
		if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; n > maxFunction && longFunctions[name] == "" {
			t.Errorf("%s: %s has %d lines; over %d wants a reason in longFunctions", strings.TrimPrefix(p.ImportPath, "trama/"), name, n, maxFunction)
		}
	}
}

func generated(text []byte) bool {
	s := bufio.NewScanner(bytes.NewReader(text))
	for i := 0; i < 5 && s.Scan(); i++ {
		if strings.HasPrefix(s.Text(), "// Code generated") {
			return true
		}
	}
	return false
}
