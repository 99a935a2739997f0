package httpx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"trama/platform/fault"
	"trama/platform/httpx"
	"trama/platform/telemetry"
)

// logged is a handler behind the standard chain and what the chain logged.
func logged(h http.HandlerFunc) (http.Handler, *bytes.Buffer) {
	var out bytes.Buffer
	return httpx.Service(slog.New(slog.NewJSONHandler(&out, nil)), h), &out
}

func lines(t *testing.T, out *bytes.Buffer) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

func failing(err error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { httpx.WriteProblem(w, r, err) }
}

func TestProblemHeaders(t *testing.T) {
	text := fault.Text{PT: "em português", EN: "in English"}
	down := fault.New(fault.Unavailable, "x", text)
	cases := []struct {
		err          error
		sent         string // Authorization
		status       int
		name, header string
	}{
		{down, "", 503, "Retry-After", "2"},
		{down.After(1500 * time.Millisecond), "", 503, "Retry-After", "2"},
		{fault.New(fault.Exhausted, "x", text), "", 429, "Retry-After", "1"},
		{fault.New(fault.Conflict, "x", text).After(time.Second), "", 409, "Retry-After", "1"},
		{fault.New(fault.Conflict, "x", text), "", 409, "Retry-After", ""},
		{fault.New(fault.Unauthenticated, "x", text), "", 401, "WWW-Authenticate", `Bearer realm="trama"`},
		{fault.New(fault.Unauthenticated, "x", text), "Bearer no", 401, "WWW-Authenticate", `Bearer realm="trama", error="invalid_token"`},
		{httpx.ErrIfMatchMissing, "", 428, "WWW-Authenticate", ""},
		{httpx.ErrStale, "", 412, "Content-Language", "pt-BR"},
		{httpx.ErrStale, "", 412, "Cache-Control", "no-store"},
		{httpx.ErrStale, "", 412, "Vary", "Accept-Language"},
		{&http.MaxBytesError{Limit: 1}, "", 413, "Content-Type", "application/problem+json"},
		{io.ErrUnexpectedEOF, "", 400, "Content-Type", "application/problem+json"},
	}
	for _, c := range cases {
		h, _ := logged(failing(c.err))
		var headers []string
		if c.sent != "" {
			headers = []string{"Authorization", c.sent}
		}
		w, p := do(h, "GET", "/v1/x", "", headers...)
		if w.Code != c.status || p.Status != c.status || w.Header().Get(c.name) != c.header {
			t.Errorf("%v: %d, %s: %q, want %q", c.err, w.Code, c.name, w.Header().Get(c.name), c.header)
		}
	}
}

func TestProblemSpeaksTheCallersLanguage(t *testing.T) {
	h, _ := logged(failing(httpx.ErrStale))
	for accept, want := range map[string]string{"": "pt-BR", "en-GB,en;q=0.9": "en", "fr, pt;q=0.1": "pt-BR"} {
		w, p := do(h, "GET", "/", "", "Accept-Language", accept)
		text := httpx.ErrStale.Text.In(want[:2])
		if w.Header().Get("Content-Language") != want || p.Detail != text {
			t.Errorf("%q: %s %q", accept, w.Header().Get("Content-Language"), p.Detail)
		}
	}
}

func TestProblemWithoutTheChain(t *testing.T) {
	w, p := do(failing(httpx.ErrNoRoute), "GET", "/a%20b", "", "Accept-Language", "en")
	if w.Code != 404 || p.Instance != "/a%20b" || p.Title != "Not found" {
		t.Errorf("%d %+v", w.Code, p)
	}
}

func TestCausesAreLoggedOnceAndNeverShown(t *testing.T) {
	secret := errors.New("pq: password of trama at db7.internal is hunter2")
	h, out := logged(failing(fmt.Errorf("saving: %w", secret)))
	w, _ := do(h, "GET", "/v1/x", "")
	if strings.Contains(w.Body.String(), "hunter2") {
		t.Errorf("the cause is shown: %s", w.Body)
	}
	var causes int
	for _, l := range lines(t, out) {
		if l["msg"] == "request failed" {
			causes++
			if !strings.Contains(l["cause"].(string), "hunter2") || l["code"] != "erro-interno" || l["trace_id"] == "" {
				t.Errorf("line %v", l)
			}
		}
	}
	if causes != 1 {
		t.Errorf("logged %d times: %s", causes, out)
	}
	h, out = logged(failing(httpx.ErrStale.Wrap(secret)))
	do(h, "GET", "/v1/x", "")
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("a 4xx was logged with its cause: %s", out)
	}
}

func TestCallerWhoLeftIsNoErrorOfOurs(t *testing.T) {
	h, out := logged(failing(context.Canceled))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	if w.Code != 503 || strings.Contains(out.String(), `"ERROR"`) {
		t.Errorf("%d %s", w.Code, out)
	}
}

func TestAccessLogHoldsNothingPersonal(t *testing.T) {
	h, out := logged(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("12345")) })
	do(h, "GET", "/v1/academico/alunos/ana@exemplo.com/52998224725?cpf=52998224725&email=ana@exemplo.com", "")
	do(h, "GET", "/v1/academico/alunos/01980a53-10aa-7c11-8f00-2b7d9e6c5a02", "")
	do(h, "BREW", "/docs/estilo.css", "")
	all := lines(t, out)
	for i, path := range []string{"/v1/academico/alunos/*/*", "/v1/academico/alunos/01980a53-10aa-7c11-8f00-2b7d9e6c5a02", "/docs/estilo.css"} {
		if all[i]["path"] != path {
			t.Errorf("path %v, want %s", all[i]["path"], path)
		}
	}
	if all[0]["status"] != 200.0 || all[0]["bytes"] != 5.0 || all[0]["request_id"] == "" || all[2]["method"] != "other" {
		t.Errorf("%v", all)
	}
	if strings.Contains(out.String(), "52998224725") || strings.Contains(out.String(), "ana@") {
		t.Errorf("personal data: %s", out)
	}
}

func TestPanicBecomesAProblem(t *testing.T) {
	h, out := logged(func(http.ResponseWriter, *http.Request) { panic("secret state") })
	w, p := do(h, "GET", "/", "")
	if w.Code != 500 || p.Type != "/problemas/erro-interno" || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(out.String(), "secret state") || !strings.Contains(out.String(), "httpx_test.go") {
		t.Errorf("the log lacks the panic or its stack: %s", out)
	}
	if last := lines(t, out); last[len(last)-1]["status"] != 500.0 {
		t.Errorf("access log: %v", last[len(last)-1])
	}
}

func TestPanicInTheMiddleOfAnAnswerCutsTheConnection(t *testing.T) {
	h, _ := logged(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
		panic("late")
	})
	server := httptest.NewServer(h)
	defer server.Close()
	res, err := http.Get(server.URL)
	if err == nil {
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
	}
	if err == nil {
		t.Error("half an answer looked whole")
	}
}

func TestBodyLimitStopsReading(t *testing.T) {
	var read int64
	h := httpx.Chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		read = n
		if err != nil {
			httpx.WriteProblem(w, r, err)
		}
	}), httpx.BodyLimit(10))
	server := httptest.NewServer(h)
	defer server.Close()
	for body, want := range map[string]int{"0123456789": 200, "0123456789a": 413} {
		for _, chunked := range []bool{false, true} {
			read = 0
			var in io.Reader = strings.NewReader(body)
			if chunked {
				in = struct{ io.Reader }{in} // hides the length
			}
			res, err := http.Post(server.URL, "application/json", in)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want || read > 10 {
				t.Errorf("%d bytes, chunked %v: %d after reading %d", len(body), chunked, res.StatusCode, read)
			}
		}
	}
}

func TestBodyCutShortIsTheCallersFault(t *testing.T) {
	h, _ := logged(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader(`{"a":`), failingReader{}))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "corpo-incompleto") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestRequestID(t *testing.T) {
	var seen string
	h, _ := logged(func(_ http.ResponseWriter, r *http.Request) { seen = httpx.RequestIDOf(r.Context()) })
	for sent, kept := range map[string]bool{
		"abc-1.2_Z": true, "": false, "a b": false, "a\nb": false, "é": false,
		strings.Repeat("x", 128): true, strings.Repeat("x", 129): false,
	} {
		w, _ := do(h, "GET", "/", "", httpx.RequestIDHeader, sent)
		got := w.Header().Get(httpx.RequestIDHeader)
		if got == "" || got != seen || (got == sent) != kept {
			t.Errorf("sent %q, got %q, in context %q", sent, got, seen)
		}
	}
}

func TestTraceIsContinuedAndSentOn(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	var here, out string
	outgoing := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		out = r.Header.Get("traceparent") + " " + r.Header.Get("tracestate") + " " + r.Header.Get(httpx.RequestIDHeader)
	}))
	defer outgoing.Close()
	client := http.Client{Transport: httpx.Outgoing(http.DefaultTransport)}
	h, _ := logged(func(_ http.ResponseWriter, r *http.Request) {
		here = telemetry.TraceParent(r.Context())
		req, _ := http.NewRequestWithContext(r.Context(), "GET", outgoing.URL, nil)
		if res, err := client.Do(req); err == nil {
			res.Body.Close()
		}
	})
	w, _ := do(h, "GET", "/", "", "traceparent", parent, "tracestate", "a=b", httpx.RequestIDHeader, "rid")
	if !strings.Contains(here, "4bf92f3577b34da6a3ce929d0e0e4736") || here == parent || w.Header().Get("Traceresponse") != here {
		t.Errorf("in context %q, in the answer %q", here, w.Header().Get("Traceresponse"))
	}
	if out != here+" a=b rid" {
		t.Errorf("sent on %q", out)
	}
	do(h, "GET", "/", "", "traceparent", "nonsense")
	if here == "" || strings.Contains(here, "4bf92f3577b34da6a3ce929d0e0e4736") {
		t.Errorf("a broken traceparent gave %q", here)
	}
}

func TestTwoChainsAroundOneRequest(t *testing.T) {
	var id string
	inner, _ := logged(func(_ http.ResponseWriter, r *http.Request) { id = httpx.RequestIDOf(r.Context()) })
	var out bytes.Buffer
	h := httpx.Service(slog.New(slog.NewJSONHandler(&out, nil)), inner)
	w, _ := do(h, "GET", "/", "")
	if w.Header().Get(httpx.RequestIDHeader) != id || len(w.Header().Values(httpx.RequestIDHeader)) != 1 {
		t.Errorf("answered %v, inside %q", w.Header().Values(httpx.RequestIDHeader), id)
	}
	if n := strings.Count(out.String(), `"msg":"request"`); n != 1 {
		t.Errorf("%d access lines: %s", n, &out)
	}
}

func TestAcceptedLanguage(t *testing.T) {
	for header, want := range map[string]string{
		"": "pt", "pt-BR": "pt", "en": "en", "EN-us": "en", "en;q=0.5, pt;q=0.4": "en", "en;q=0.4, pt;q=0.5": "pt",
		"en,pt": "pt", "*": "pt", "de": "pt", "en;q=0": "pt", "pt;q=0, *": "en", "en;q=2": "pt", "en;q=NaN": "pt",
		"en;level=1": "pt", "en ; q = 0.9 , pt-PT ; q=0.1": "en", ",,,": "pt", "english": "pt",
	} {
		if got := httpx.AcceptedLanguage(header); got != want {
			t.Errorf("%q gives %s, want %s", header, got, want)
		}
	}
}

func FuzzAcceptedLanguage(f *testing.F) {
	f.Add("en-GB,en;q=0.9,*;q=0.1")
	f.Add(";q=;,=")
	f.Fuzz(func(t *testing.T, header string) {
		got := httpx.AcceptedLanguage(header)
		if got != "pt" && got != "en" {
			t.Fatalf("%q gives %q", header, got)
		}
		if !strings.Contains(strings.ToLower(header), "en") && !strings.Contains(header, "*") && got == "en" {
			t.Fatalf("%q never asked for English", header)
		}
	})
}

func TestEntityTags(t *testing.T) {
	if httpx.ETag(3) != `"3"` || httpx.ETag(3, "equipe") != `"3-equipe"` {
		t.Error("tags are not as documented")
	}
	for header, want := range map[string]bool{
		``: false, `"3"`: true, `W/"3"`: true, `*`: true, `"2", "3"`: true, `"2"`: false, `3`: false, `"3-equipe"`: false, `"2,3"`: false,
	} {
		if httpx.NotModified(header, httpx.ETag(3)) != want {
			t.Errorf("If-None-Match %s is not %v", header, want)
		}
	}
	for header, want := range map[string]error{
		``: httpx.ErrIfMatchMissing, ` `: httpx.ErrIfMatchMissing, `"3"`: nil, `*`: nil, `"3-equipe"`: nil, `"1", "3"`: nil,
		`W/"3"`: httpx.ErrStale, `"2"`: httpx.ErrStale, `"33"`: httpx.ErrStale, `3`: httpx.ErrStale, `"3`: httpx.ErrStale, `"`: httpx.ErrStale,
	} {
		if got := httpx.CheckIfMatch(header, 3); !errors.Is(got, want) || (want == nil) != (got == nil) {
			t.Errorf("If-Match %s gives %v, want %v", header, got, want)
		}
	}
}

// FuzzCheckJSON holds the check against the standard library: nothing that it
// refuses as broken passes, and what passes decodes.
func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"c"}]}`, `"\ud800"`, `01`, `[1,]`, "\"\x01\"", `{"a":1,"a":2}`, ` null `, `1e5`, `-`, `""x`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		err := httpx.CheckJSON(body)
		if err == nil && !json.Valid(body) {
			t.Fatalf("accepted %q", body)
		}
		if err != nil && fault.KindOf(err) != fault.Malformed {
			t.Fatalf("%q: %v", body, err)
		}
		if err != nil && fault.As(err).Code == "json-invalido" && json.Valid(body) {
			t.Fatalf("refused %q as broken: %v", body, err)
		}
	})
}
