package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// maxAnswer is the largest answer read from the API, in bytes. A page of a
// hundred courses is a tenth of it.
const maxAnswer = 4 << 20

// FieldError is one broken rule of one field.
type FieldError struct {
	Pointer string `json:"campo"`    // JSON pointer into the request body
	Rule    string `json:"regra"`    // stable slug
	Message string `json:"mensagem"` // in Portuguese, for the person at the form
}

// Problem is an answer of the API that is not a success, or no answer at all.
type Problem struct {
	Status     int // HTTP status; 0 when the API did not answer
	Code       string
	Detail     string // in Portuguese, safe to show
	TraceID    string
	Fields     []FieldError
	RetryAfter time.Duration // 0: the API did not say
	cause      error
}

// Error gives status and code; it never holds what was sent or received.
func (p *Problem) Error() string {
	if p.Status == 0 {
		return fmt.Sprintf("api: no answer: %v", p.cause)
	}
	return fmt.Sprintf("api: status %d %s", p.Status, p.Code)
}

// Unwrap gives the cause of a missing answer.
func (p *Problem) Unwrap() error { return p.cause }

// AsProblem gives the problem inside err. An error of another kind (an answer
// that cannot be read, for instance) counts as status 502.
func AsProblem(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return &Problem{Status: http.StatusBadGateway, Code: "resposta-ilegivel", cause: err}
}

// Down says whether the API, or something behind it, cannot serve just now.
func (p *Problem) Down() bool {
	switch p.Status {
	case 0, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return true
	}
	return false
}

// Unknown says whether the command may have been executed although it failed.
func (p *Problem) Unknown() bool {
	switch p.Status {
	case 0, http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// readProblem turns an answer of 400 and above into a Problem. Members it does
// not know are ignored, and a body that is no problem document is not needed.
func readProblem(resp *http.Response) *Problem {
	p := &Problem{Status: resp.StatusCode}
	var doc struct {
		Type    string       `json:"type"`
		Detail  string       `json:"detail"`
		TraceID string       `json:"traceId"`
		Erros   []FieldError `json:"erros"`
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err == nil && json.Unmarshal(body, &doc) == nil {
			p.Detail, p.TraceID, p.Fields = doc.Detail, doc.TraceID, doc.Erros
			if doc.Type != "" {
				p.Code = path.Base(doc.Type)
			}
		}
	}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		p.RetryAfter = time.Duration(n) * time.Second
	}
	return p
}
