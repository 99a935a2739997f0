package site

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"trama/clients/site/internal/weave"
	"trama/platform/auth"
)

//go:embed templates
var templateFiles embed.FS

// view is what the layout and a page's template are given.
type view struct {
	Title       string // of the document, without the school's name
	Description string // for search engines; empty: none
	Public      bool   // may be kept by browsers (revalidated) and found by search engines
	Nav         string // the part of the site this page belongs to: "cursos", "correio", "entrar"
	Refresh     int    // seconds after which a browser without JavaScript loads the page again; 0: never
	Local       bool   // the visitor is on this machine
	Data        any    // the page's own
}

// views holds the parsed templates: one set per page, each with the layout and
// the shared parts.
type views struct{ pages map[string]*template.Template }

var pageNames = []string{
	"inicio", "curso", "interesse", "obrigado", "matricula", "pagamento", "aluno",
	"descadastro", "descadastrado", "correio", "mensagem", "entrar", "erro",
}

func newViews(a *assets) (*views, error) {
	base, err := template.New("base").Funcs(functions(a)).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	v := &views{pages: map[string]*template.Template{}}
	for _, name := range pageNames {
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, "templates/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("templates: %s: %w", name, err)
		}
		v.pages[name] = t
	}
	return v, nil
}

func functions(a *assets) template.FuncMap {
	return template.FuncMap{
		"asset":     a.url,
		"cover":     func(id string) template.HTML { return template.HTML(weave.Cover(id)) }, // safe: drawn by us; the id only chooses
		"loom":      func() template.HTML { return template.HTML(weave.Loom()) },             // safe: drawn by us
		"money":     moneyText,
		"level":     level,
		"day":       day,
		"moment":    moment,
		"hour":      hour,
		"iso":       iso,
		"lasts":     lasts,
		"count":     count,
		"initial":   initial,
		"sentences": sentences,
		"card":      func(number string) string { return groups(number, 4) },
		"cardBrand": cardBrand,
	}
}

// render writes a page in one piece: a template that fails sends nothing.
func (s *Site) render(w http.ResponseWriter, r *http.Request, status int, name string, v view) error {
	return s.write(w, r, status, name, "layout", v)
}

// write executes one template of a page's set and sends it.
func (s *Site) write(w http.ResponseWriter, r *http.Request, status int, name, part string, v view) error {
	v.Local = auth.From(r.Context()).Local
	var body bytes.Buffer
	if err := s.views.pages[name].ExecuteTemplate(&body, part, v); err != nil {
		return fmt.Errorf("site: page %s: %w", name, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", "pt-BR")
	if v.Public && status == http.StatusOK {
		h.Set("Cache-Control", "private, no-cache")
	}
	if status == http.StatusOK {
		sum := sha256.Sum256(body.Bytes())
		tag := `"` + hex.EncodeToString(sum[:8]) + `"`
		h.Set("ETag", tag)
		if strings.Contains(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the visitor may have left
	return nil
}
