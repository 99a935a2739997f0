package site

import (
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"trama/clients/site/internal/api"
	"trama/platform/clock"
	"trama/platform/config"
	"trama/platform/id"
	"trama/platform/module"
)

// Config is what can be set.
type Config struct {
	APITimeout   time.Duration `key:"apiTimeout" default:"8s" help:"how long a page waits for the API"`
	PollInterval time.Duration `key:"pollInterval" default:"1s" help:"how often an open progress page asks for news, at first"`
	FormLimit    int64         `key:"formLimit" default:"65536" help:"largest form accepted, in bytes"`
}

// Check says what is wrong with the configuration.
func (c Config) Check() []config.Problem {
	var problems []config.Problem
	if c.APITimeout < 100*time.Millisecond || c.APITimeout > time.Minute {
		problems = append(problems, config.Problem{Key: "apiTimeout", Value: c.APITimeout.String(), Rule: "must be between 100ms and 1m", Try: "8s"})
	}
	if c.PollInterval < 100*time.Millisecond || c.PollInterval > time.Minute {
		problems = append(problems, config.Problem{Key: "pollInterval", Value: c.PollInterval.String(), Rule: "must be between 100ms and 1m", Try: "1s"})
	}
	if c.FormLimit < 4<<10 || c.FormLimit > 1<<20 {
		problems = append(problems, config.Problem{Key: "formLimit", Value: strconv.FormatInt(c.FormLimit, 10), Rule: "must be between 4096 and 1048576 bytes", Try: "65536"})
	}
	return problems
}

// Deps is what the host gives to the site.
type Deps struct {
	// API carries one request to the public API, like (*http.Client).Do. The
	// request's context is the visitor's, with auth.Caller in it; its URL starts
	// with APIBase. A visitor who is not on this machine comes with
	// X-Forwarded-For, so that the gateway never takes the site's own connection
	// for a local visitor; one who is comes with Trama-Cliente-Local: 1, for a
	// carrier that reaches the services without passing the gateway's door.
	API func(*http.Request) (*http.Response, error)
	// APIBase is the API's scheme, host and port, as "http://127.0.0.1:8080".
	APIBase string
	Clock   clock.Clock
	IDs     id.Source // idempotency keys of forms
	Log     *slog.Logger
}

// Site serves the pages.
type Site struct {
	cfg    Config
	api    *api.Client
	clock  clock.Clock
	ids    id.Source
	log    *slog.Logger
	assets *assets
	views  *views
}

// New makes the service "site" with its one module, site.web, whose REST handler
// serves every path the API does not have. The host puts auth's middleware and
// the request's trace in front; the handler does the rest itself (recovery,
// limits, headers), because its failures are pages, not problem documents.
func New(cfg Config, d Deps) (module.Service, error) {
	handler, err := newHandler(cfg, d)
	if err != nil {
		return module.Service{}, err
	}
	return module.Service{Name: "site", Modules: []module.Module{{Name: "site.web", REST: handler}}}, nil
}

func newHandler(cfg Config, d Deps) (http.Handler, error) {
	client, err := api.New(d.APIBase, d.API, cfg.APITimeout, d.Clock)
	if err != nil {
		return nil, fmt.Errorf("site: %w", err)
	}
	s := &Site{cfg: cfg, api: client, clock: d.Clock, ids: d.IDs, log: d.Log}
	if s.assets, err = newAssets(); err != nil {
		return nil, fmt.Errorf("site: %w", err)
	}
	if s.views, err = newViews(s.assets); err != nil {
		return nil, fmt.Errorf("site: %w", err)
	}
	return s.protect(s.routes()), nil
}

// page handles one request; an error becomes the page that tells of it.
type page func(http.ResponseWriter, *http.Request) error

func (s *Site) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, p := range map[string]page{
		"GET /{$}":                            s.home,
		"GET /cursos":                         s.toCourses,
		"GET /cursos/{id}":                    s.course,
		"GET /cursos/{id}/interesse":          s.interestForm,
		"POST /cursos/{id}/interesse":         s.interestSend,
		"GET /cursos/{id}/interesse/obrigado": s.interestThanks,
		"GET /interesse":                      s.interestForm,
		"POST /interesse":                     s.interestSend,
		"GET /interesse/obrigado":             s.interestThanks,
		"GET /cursos/{id}/matricula":          s.paymentForm,
		"POST /cursos/{id}/matricula":         s.paymentSend,
		"GET /pagamentos/{id}":                s.progress,
		"GET /pagamentos/{id}/estado":         s.progressState,
		"POST /pagamentos/{id}/simular":       s.simulate,
		"GET /alunos/{id}":                    s.student,
		"GET /descadastro":                    s.unsubscribeAsk,
		"POST /descadastro":                   s.unsubscribeDo,
		"GET /correio":                        s.mailbox,
		"GET /correio/{id}":                   s.mail,
		"GET /correio/{id}/html":              s.mailHTML,
		"GET /entrar":                         s.signIn,
		"/":                                   s.nowhere,
	} {
		mux.Handle(pattern, s.handle(p))
	}
	mux.Handle("GET /ativos/{name}", s.assets)
	mux.HandleFunc("GET /robots.txt", robots)
	return mux
}

func (s *Site) handle(p page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := p(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}
