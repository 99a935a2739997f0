// Package docspage shows the public contract to people and programs: the page
// /docs with every operation, event and problem, the machine-readable documents,
// and a page per problem type. Pages are made on the server from the merged
// OpenAPI document, need no script, and fit a strict content security policy
// (the style sheet is a resource of its own). They are made at the first request
// and kept; nothing changes while the program runs.
package docspage

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"trama/contracts/events"
	"trama/contracts/problems"
	"trama/contracts/rest"
)

//go:embed estilo.css pages/*.html
var files embed.FS

// policy is the Content-Security-Policy of every page.
const policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves /docs, /docs/estilo.css, /v1/openapi.json, /v1/asyncapi.json,
// /problemas, /problemas/{codigo} (a page, or JSON for who prefers it) and
// /docs/eventos/{tipo} (the JSON Schema of an event's data). Only GET and HEAD.
func Handler() http.Handler {
	docs := sync.OnceValues(renderDocs)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /docs", func(w http.ResponseWriter, r *http.Request) {
		body, err := docs()
		send(w, r, "text/html; charset=utf-8", body, err)
	})
	mux.HandleFunc("GET /docs/estilo.css", func(w http.ResponseWriter, r *http.Request) {
		body, err := files.ReadFile("estilo.css")
		send(w, r, "text/css; charset=utf-8", body, err)
	})
	mux.HandleFunc("GET /v1/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		send(w, r, "application/json", rest.Document(), nil)
	})
	mux.HandleFunc("GET /v1/asyncapi.json", func(w http.ResponseWriter, r *http.Request) {
		send(w, r, "application/json", events.AsyncAPI(), nil)
	})
	mux.HandleFunc("GET /problemas", func(w http.ResponseWriter, r *http.Request) {
		if wantsJSON(r) {
			body, err := json.MarshalIndent(problems.All(), "", "  ")
			send(w, r, "application/json", body, err)
			return
		}
		body, err := render("problems.html", problems.All())
		send(w, r, "text/html; charset=utf-8", body, err)
	})
	mux.HandleFunc("GET /problemas/{codigo}", problem)
	mux.HandleFunc("GET /docs/eventos/{tipo}", eventSchema)
	return mux
}

func problem(w http.ResponseWriter, r *http.Request) {
	p, ok := problems.ByCode(r.PathValue("codigo"))
	switch {
	case !ok:
		missing(w, r)
	case wantsJSON(r):
		body, err := json.MarshalIndent(p, "", "  ")
		send(w, r, "application/json", body, err)
	default:
		body, err := render("problem.html", p)
		send(w, r, "text/html; charset=utf-8", body, err)
	}
}

func eventSchema(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("tipo")
	body, ok := events.Schema(name)
	if name == "envelope" {
		body, ok = events.EnvelopeSchema(), true
	}
	if !ok {
		missing(w, r)
		return
	}
	send(w, r, "application/schema+json", body, nil)
}

// missing answers 404 in the form that the caller prefers.
func missing(w http.ResponseWriter, r *http.Request) {
	p, _ := problems.ByCode("rota-inexistente")
	headers(w)
	if wantsJSON(r) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]any{ // the caller may be gone
			"type": "/problemas/" + p.Code, "title": p.Title.PT, "status": p.Status, "detail": p.Meaning.PT, "instance": r.URL.EscapedPath(),
		})
		return
	}
	body, err := render("missing.html", nil)
	if err != nil {
		http.Error(w, p.Title.PT, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write(body)
}

// wantsJSON says whether the caller named JSON and not HTML.
func wantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/html")
}

func headers(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Add("Vary", "Accept")
}

// send answers with a body that changes with the program only.
func send(w http.ResponseWriter, r *http.Request, contentType string, body []byte, err error) {
	headers(w)
	if err != nil { // the texts are part of the program and tested; this is a bug
		http.Error(w, "erro interno", http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256(body)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:12])+`"`)
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func render(name string, data any) ([]byte, error) {
	t, err := template.New("").Funcs(template.FuncMap{"words": words, "lower": strings.ToLower}).ParseFS(files, "pages/*.html")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, name, data); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// words makes `code` of what stands between backticks and text of the rest.
func words(text string) template.HTML {
	var out strings.Builder
	for i, part := range strings.Split(text, "`") {
		escaped := template.HTMLEscapeString(part)
		if i%2 == 1 {
			escaped = "<code>" + escaped + "</code>"
		}
		out.WriteString(escaped)
	}
	return template.HTML(out.String()) //nolint:gosec // every part was escaped above
}
