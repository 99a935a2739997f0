package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"trama/platform/httpx"
)

// Unversioned is the version that a path without one means.
const Unversioned = "v1"

// Route sends the paths below a prefix to a service.
type Route struct {
	// Prefix is a path without version, as "/marketing"; it matches whole
	// segments, the longest prefix wins, and "/" takes what nobody else does.
	Prefix string
	// Versions are those in which the route exists, as "v1". A versioned route is
	// API: its path reaches the service with the version in front, and a client may
	// leave out Unversioned. Without versions the path passes as it is.
	Versions []string
	// Service is who answers.
	Service string
	// Timeout bounds a request; 0 means Config.Timeout, below 0 no limit (streams).
	Timeout time.Duration
}

// API says whether the route is part of the versioned API.
func (r Route) API() bool { return len(r.Versions) > 0 }

// Services that the default routes name and that are not business services.
const (
	ServiceDocs = "docs" // contracts and their pages
	ServiceSite = "site" // pages for people
)

// Routes are the routes of Trama's own services.
func Routes() []Route {
	v1 := []string{"v1"}
	return []Route{
		{Prefix: "/marketing", Versions: v1, Service: "marketing"},
		{Prefix: "/financeiro", Versions: v1, Service: "payments"},
		{Prefix: "/academico", Versions: v1, Service: "academics"},
		{Prefix: "/notificacoes", Versions: v1, Service: "notifications"},
		{Prefix: "/operacao", Versions: v1, Service: "operations"},
		{Prefix: "/simulador", Versions: v1, Service: "acquirersim"},
		{Prefix: "/openapi.json", Versions: v1, Service: ServiceDocs},
		{Prefix: "/asyncapi.json", Versions: v1, Service: ServiceDocs},
		{Prefix: "/docs", Service: ServiceDocs},
		{Prefix: "/problemas", Service: ServiceDocs},
		{Prefix: "/", Service: ServiceSite},
	}
}

// Table is a compiled set of routes. It is immutable.
type Table struct {
	routes    []Route
	versioned map[string]*Route // by prefix
	plain     map[string]*Route // by prefix
	deepest   int               // most segments of any prefix
}

// NewTable compiles routes; the error names every route that cannot work.
func NewTable(routes []Route) (*Table, error) {
	t := &Table{versioned: map[string]*Route{}, plain: map[string]*Route{}}
	var wrong []string
	for _, r := range routes {
		r.Versions = slices.Clone(r.Versions)
		if problem := t.add(r); problem != "" {
			wrong = append(wrong, fmt.Sprintf("route %q: %s", r.Prefix, problem))
		}
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("gateway: %s", strings.Join(wrong, "; "))
	}
	return t, nil
}

func (t *Table) add(r Route) (problem string) {
	if r.Prefix != "/" && (checkPath(r.Prefix, "") != nil || strings.HasSuffix(r.Prefix, "/")) {
		return "must begin with a slash, not end with one, and be a clean path"
	}
	if r.Service == "" {
		return "names no service"
	}
	byPrefix := t.plain
	if r.API() {
		byPrefix = t.versioned
		if r.Prefix == "/" {
			return "a versioned route needs a prefix"
		}
	}
	for _, v := range r.Versions {
		if !isVersion(v) {
			return fmt.Sprintf("%q is no version; v1 would be", v)
		}
	}
	if first, _, _ := strings.Cut(r.Prefix[1:], "/"); r.API() && isVersion(first) {
		return "the version stands in Versions, not in the prefix"
	}
	if byPrefix[r.Prefix] != nil {
		return "is there twice"
	}
	byPrefix[r.Prefix] = &r
	t.routes = append(t.routes, r)
	t.deepest = max(t.deepest, strings.Count(r.Prefix, "/"))
	return ""
}

// Match is where a request goes.
type Match struct {
	Route         *Route
	Path, RawPath string // as the service sees it; as in url.URL
}

// Match finds the route of a request's URL, or says why there is none: ErrPath,
// a path that is nowhere, or a version that the route does not have.
func (t *Table) Match(u *url.URL) (Match, error) {
	path, raw := u.Path, u.RawPath
	if path == "" {
		path = "/" // absolute form without a path
	}
	if err := checkPath(path, raw); err != nil {
		return Match{}, err
	}
	version, rest := splitVersion(path)
	r := t.longest(t.versioned, rest)
	if r == nil {
		r = t.longest(t.plain, path)
		if r == nil || version != "" && r.Prefix == "/" {
			return Match{}, httpx.ErrNoRoute
		}
		return Match{Route: r, Path: path, RawPath: raw}, nil
	}
	if version == "" {
		version = Unversioned
		path = "/" + version + path
		if raw != "" {
			raw = "/" + version + raw
		}
	}
	if !slices.Contains(r.Versions, version) {
		return Match{}, errVersion(r.Versions)
	}
	return Match{Route: r, Path: strings.TrimSuffix(path, "/"), RawPath: strings.TrimSuffix(raw, "/")}, nil
}

// longest finds the route with the longest prefix of whole segments.
func (t *Table) longest(routes map[string]*Route, path string) *Route {
	end, segments := 0, 0
	for segments < t.deepest && end < len(path) { // cut at the depth beyond which nothing can match
		next := strings.IndexByte(path[end+1:], '/')
		if next < 0 {
			end = len(path)
		} else {
			end += 1 + next
		}
		segments++
	}
	for ; end > 0; end = strings.LastIndexByte(path[:end], '/') {
		if r := routes[path[:end]]; r != nil {
			return r
		}
	}
	return routes["/"]
}

// splitVersion takes "/v1/x" apart; version is empty when there is none.
func splitVersion(path string) (version, rest string) {
	first, tail, found := strings.Cut(path[1:], "/")
	if !isVersion(first) {
		return "", path
	}
	if !found {
		return first, "/"
	}
	return first, "/" + tail
}

func isVersion(s string) bool {
	return len(s) > 1 && s[0] == 'v' && strings.Trim(s[1:], "0123456789") == ""
}

// Routes gives the routes as they were given to NewTable.
func (t *Table) Routes() []Route {
	routes := slices.Clone(t.routes)
	for i := range routes {
		routes[i].Versions = slices.Clone(routes[i].Versions)
	}
	return routes
}

// Services gives the names of all services routed to, in route order.
func (t *Table) Services() []string {
	var names []string
	for _, r := range t.routes {
		if !slices.Contains(names, r.Service) {
			names = append(names, r.Service)
		}
	}
	return names
}

// String prints the table, one route a line.
func (t *Table) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "PATH\tVERSIONS\tSERVICE") // a strings.Builder does not fail
	for _, r := range t.routes {
		path, versions := strings.TrimSuffix(r.Prefix, "/")+"/…", "-"
		if r.API() {
			path, versions = "[/version]"+path, strings.Join(r.Versions, " ")
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", path, versions, r.Service)
	}
	_ = w.Flush()
	return b.String()
}
