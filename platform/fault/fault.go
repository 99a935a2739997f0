// Package fault owns the one error type that crosses walls in Trama.
//
// A fault says what kind of thing went wrong (Kind, a closed set that retry,
// acknowledgement and breakers look at), which exact rule it was (Code, a
// stable slug that is also the last part of the problem's type URI), and what a
// person may be told (Text, in Portuguese and English, written by us). The
// cause is for the log only and never leaves the process.
//
// Any error that is not a fault counts as Internal: a bug or an unforeseen
// condition of ours, never the user's doing.
package fault

import (
	"context"
	"errors"
	"time"
)

// Kind is the closed set of what can go wrong. Status gives its HTTP status.
type Kind uint8

// The kinds. Retry makes sense for Unavailable, Timeout, Exhausted and, within
// limits, for Internal; never for the others.
const (
	Internal        Kind = iota // 500: ours; the zero value, so that nothing unknown blames the user
	Malformed                   // 400: cannot be parsed
	Unauthenticated             // 401: who are you
	Forbidden                   // 403: you may not
	NotFound                    // 404: not there, or not yours
	Conflict                    // 409: the state does not allow it
	Precondition                // 412: it changed meanwhile
	Invalid                     // 422: parsed, but a rule of a field is broken
	Exhausted                   // 429: too much, later
	Unavailable                 // 503: something we need is down, nothing was done
	Timeout                     // 504: no answer in time; it may have been done
)

var kindNames = [...]string{"internal", "malformed", "unauthenticated", "forbidden", "not_found",
	"conflict", "precondition", "invalid", "exhausted", "unavailable", "timeout"}

var kindStatus = [...]int{500, 400, 401, 403, 404, 409, 412, 422, 429, 503, 504}

// String gives the kind's name as it appears in logs.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Internal]
}

// Status gives the HTTP status of the kind.
func (k Kind) Status() int {
	if int(k) < len(kindStatus) {
		return kindStatus[k]
	}
	return 500
}

// Transient says whether the same attempt may succeed later without anybody
// changing anything.
func (k Kind) Transient() bool {
	return k == Unavailable || k == Timeout || k == Exhausted
}

// Text is one message in the two languages of the public wall.
type Text struct{ PT, EN string }

// In gives the text in lang ("pt" or "en"); anything else means Portuguese.
func (t Text) In(lang string) string {
	if lang == "en" && t.EN != "" {
		return t.EN
	}
	return t.PT
}

// Field is one broken rule of one field.
type Field struct {
	Pointer string // JSON pointer (RFC 6901) into the request body, as "/cartao/numero"; "?limite" for a query parameter
	Rule    string // stable slug of the rule, as "luhn"
	Text    Text   // what is wrong and what would be right; never echoes secrets
}

// Error is a fault. Build it with New, Wrap or Fields; read it with As, KindOf.
type Error struct {
	Kind       Kind
	Code       string        // stable slug of contracts/problems.yaml, as "pagamento-ja-estornado"
	Text       Text          // safe for a user
	Fields     []Field       // broken rules, for Invalid and Malformed
	RetryAfter time.Duration // for Unavailable and Exhausted; 0: a default is used
	cause      error
}

// Error gives the English text and the cause; it is meant for logs only.
func (e *Error) Error() string {
	msg := e.Kind.String() + " " + e.Code
	if e.Text.EN != "" {
		msg += ": " + e.Text.EN
	}
	for _, f := range e.Fields {
		msg += "; " + f.Pointer + " " + f.Rule
	}
	if e.cause != nil {
		msg += ": " + e.cause.Error()
	}
	return msg
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is reports equality of Kind and Code, so that a fault decoded from the wire
// matches the sentinel it was built from.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Code == e.Code
}

// New makes a fault without a cause.
func New(kind Kind, code string, text Text) *Error {
	return &Error{Kind: kind, Code: code, Text: text}
}

// Wrap returns a copy of e that carries cause.
func (e *Error) Wrap(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// After returns a copy of e with a time after which trying again makes sense.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// CodeInvalidFields is the code of every fault made by Fields.
const CodeInvalidFields = "campos-invalidos"

// Fields makes the Invalid fault for broken field rules; nil when there are none.
func Fields(fields []Field) error {
	if len(fields) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Code: CodeInvalidFields, Fields: fields, Text: Text{
		PT: "Há campos que não podem ser aceitos; veja cada um em erros.",
		EN: "Some fields cannot be accepted; see each one in erros.",
	}}
}

// As gives the fault inside err. Deadlines become Timeout, any other foreign
// error Internal with code "erro-interno". It returns nil for nil.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return New(Timeout, "tempo-esgotado", Text{
			PT: "A resposta não veio a tempo; a operação pode ter sido feita. Tente de novo com a mesma Idempotency-Key.",
			EN: "No answer in time; the operation may have been done. Try again with the same Idempotency-Key.",
		}).Wrap(err)
	}
	return New(Internal, "erro-interno", Text{
		PT: "Erro nosso. Já está registrado; tente de novo mais tarde.",
		EN: "Our error. It is on record; please try again later.",
	}).Wrap(err)
}

// KindOf gives the kind of err; Internal for a foreign error. err must not be nil.
func KindOf(err error) Kind { return As(err).Kind }
