package site

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"trama/clients/site/internal/api"
	"trama/platform/telemetry"
)

// policy is the content security policy of every page: nothing from elsewhere,
// nothing inline. policyMailbox also lets the page of a mail frame its document.
const (
	policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'; " +
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	policyMailbox = policy + "; frame-src 'self'"
)

// protect puts in front of the pages what they all need.
func (s *Site) protect(next http.Handler) http.Handler {
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, errForeignForm)
	}))
	next = s.limitForm(csrf.Handler(next))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		// Not no-referrer: under it a browser sends "Origin: null" with our own forms.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
		h.Set("Cache-Control", "no-store")
		ctx := api.WithVisitor(r.Context(), r)
		if telemetry.TraceID(ctx) == "" {
			ctx = telemetry.Start(telemetry.WithTraceParent(ctx, r.Header.Get("traceparent")))
		}
		r = r.WithContext(ctx)
		defer s.rescue(w, r)
		next.ServeHTTP(w, r)
	})
}

// rescue turns a panic into the page of an internal error. Pages are written in
// one piece at the end, so nothing has been sent yet.
func (s *Site) rescue(w http.ResponseWriter, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		s.log.Error("site: panic", "trace_id", telemetry.TraceID(r.Context()), "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		s.fail(w, r, errPanic)
	}
}

// limitForm bounds and parses what is posted, before any page looks at it.
func (s *Site) limitForm(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(w, r.Body, s.cfg.FormLimit)
			if err := parseForm(r); err != nil {
				s.fail(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// robots keeps people's own pages out of search engines.
func robots(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write([]byte("User-agent: *\nDisallow: /pagamentos/\nDisallow: /alunos/\nDisallow: /correio\nDisallow: /descadastro\n"))
}
