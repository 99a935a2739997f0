// Package rest is the public face of academics: the interface generated from
// contracts/rest/academico.yaml on one side, the use cases on the other, and
// nothing else. It decides who may: courses are everybody's to read, a student
// is read by whoever holds the id (which cannot be guessed), staff do the rest.
package rest

import (
	"fmt"
	"net/http"
	"strings"

	"trama/contracts/rest/academico"
	"trama/platform/httpx"
	"trama/services/academics/internal/app"
)

// Handler answers the generated server's operations.
type Handler struct {
	courses  *app.Courses
	students *app.Students
	cursors  cursors
}

var _ academico.Handler = (*Handler)(nil)

// New makes the HTTP handler of the service's public routes. cursorKey signs
// the cursors of lists and must be the same in every process.
func New(d app.Deps, cursorKey []byte) (http.Handler, error) {
	h := &Handler{courses: &app.Courses{Deps: d}, students: &app.Students{Deps: d}, cursors: cursors{key: cursorKey}}
	server, err := academico.NewServer(h, academico.WithErrorHandler(httpx.ErrorHandler),
		academico.WithNotFound(httpx.NotFound), academico.WithMethodNotAllowed(httpx.MethodNotAllowed))
	if err != nil {
		return nil, fmt.Errorf("academics: rest: %w", err)
	}
	return caching(server), nil
}

// caching says that a stored answer must be revalidated before use, that it
// depends on who asks, and that one about students is for one reader only.
func caching(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Authorization")
		control := "no-cache"
		if strings.HasPrefix(r.URL.Path, studentsPath) {
			control = "private, no-cache"
		}
		w.Header().Set("Cache-Control", control)
		next.ServeHTTP(w, r)
	})
}

// Paths of the collections.
const (
	coursesPath  = "/v1/academico/cursos"
	studentsPath = "/v1/academico/alunos"
)

// ifMatch turns the header into a precondition.
func ifMatch(header academico.OptString) app.Precondition {
	return func(version int64) error { return httpx.CheckIfMatch(header.Value, version) }
}
