package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"trama/platform/discovery/filediscovery"
)

// target is how an operator's command finds the running system.
type target struct {
	API   string `help:"Address of a running system. Default: the one that runs on the data folder." placeholder:"URL"`
	Token string `help:"Operator token. Default: the data folder's." env:"TRAMA_TOKEN" placeholder:"TOKEN"`
}

// commandTime bounds one request of a command.
const commandTime = time.Minute

// operator is a running system, reached as its operator.
type operator struct {
	base  string
	token string
	http  *http.Client
}

// connect finds the system that runs on the data folder, or at --api.
func (g *globals) connect(t target) (*operator, error) {
	o := &operator{base: strings.TrimRight(t.API, "/"), token: t.Token, http: &http.Client{Timeout: commandTime}}
	if err := checkAPI(o.base); err != nil {
		return nil, err
	}
	if o.base != "" && o.token != "" {
		return o, nil
	}
	c, _, err := g.load(nil)
	if err != nil {
		return nil, err
	}
	if o.token == "" {
		o.token = c.OperatorToken.Reveal()
	}
	if o.token == "" {
		if o.token, err = readToken(c.Data); err != nil {
			return nil, err
		}
	}
	if o.base == "" {
		registry := filediscovery.New(filepath.Join(c.Data, "run"), slog.New(slog.DiscardHandler))
		urls, err := registry.Resolve(context.Background(), "gateway")
		if err != nil || len(urls) == 0 {
			return nil, fmt.Errorf("nothing runs on the data folder %s; start it with trama up, or give --api URL and --token", c.Data)
		}
		o.base = urls[0]
	}
	return o, nil
}

// checkAPI says what is wrong with the address given; none is fine.
func checkAPI(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("--api: %q is no address; write it as http://127.0.0.1:8080", address)
	}
	return nil
}

func readToken(data string) (string, error) {
	path := filepath.Join(data, "operator-token")
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("there is no operator token in %s; give --token or TRAMA_TOKEN, or --data FOLDER of a system that has run", data)
	case err != nil:
		return "", fmt.Errorf("the operator token cannot be read (%w); run as who runs the system, or give --token or TRAMA_TOKEN", err)
	case strings.TrimSpace(string(text)) == "":
		return "", fmt.Errorf("%s is empty; give --token or TRAMA_TOKEN", path)
	}
	return strings.TrimSpace(string(text)), nil
}

// problem is an answer that is an error, as a person reads it.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Status int    `json:"status"`
	Trace  string `json:"traceId"`
	Fields []struct {
		Field   string `json:"campo"`
		Message string `json:"mensagem"`
	} `json:"erros"`
}

func (p *problem) Error() string {
	text := p.Title
	if p.Detail != "" {
		text = strings.TrimSuffix(p.Detail, ".")
	}
	for _, f := range p.Fields {
		text += fmt.Sprintf("; %s: %s", f.Field, strings.TrimSuffix(f.Message, "."))
	}
	if p.Trace == "" {
		return fmt.Sprintf("%s (%d)", text, p.Status)
	}
	return fmt.Sprintf("%s (%d, trace %s)", text, p.Status, p.Trace)
}

// do sends a request; in is encoded as JSON unless nil. The body of a good answer
// is the caller's to close.
func (o *operator) do(ctx context.Context, method, path string, query url.Values, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	address := o.base + "/v1/operacao/" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, fmt.Errorf("--api: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+o.token)
	r.Header.Set("Accept-Language", "en")
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := o.http.Do(r)
	if ctx.Err() != nil {
		if err == nil {
			_ = answer.Body.Close()
		}
		return nil, errStopped
	}
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("the system at %s does not answer: %w", o.base, err)
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	p := &problem{Status: answer.StatusCode}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20)) // what is missing is said by the status
	if json.Unmarshal(text, p) != nil || p.Title == "" {
		return nil, fmt.Errorf("the system at %s answered %s", o.base, answer.Status)
	}
	return nil, p
}

// errStopped is what a command ends with that Ctrl-C stopped half-way.
var errStopped = errors.New("stopped")

// call sends a request and decodes the answer into out, unless nil.
func (o *operator) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	answer, err := o.do(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if out == nil || answer.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(answer.Body).Decode(out); err != nil {
		if ctx.Err() != nil {
			return errStopped
		}
		return fmt.Errorf("the system at %s answered what cannot be read: %w", o.base, err)
	}
	return nil
}

// silent warns of services that did not answer.
func (g *globals) silent(services []string) {
	if len(services) > 0 {
		fmt.Fprintln(g.errout, "trama: no answer from", strings.Join(services, ", "))
	}
}

// parseSince reads "2h", "3d" (ago) or a time in RFC 3339.
func parseSince(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	number := text
	unit := time.Duration(1)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		number, unit = days+"h", 24
	}
	d, err := time.ParseDuration(number)
	if err != nil || d < 0 || d*unit/unit != d {
		return time.Time{}, fmt.Errorf("%q is no time; write how long ago, as 90s, 15m, 2h or 3d, or a time as 2026-11-20T14:00:00Z", text)
	}
	return now.Add(-d * unit).UTC(), nil
}
