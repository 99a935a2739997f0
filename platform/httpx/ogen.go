package httpx

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/ogen-go/ogen/ogenerrors"
	"github.com/ogen-go/ogen/validate"

	"trama/platform/fault"
)

// ErrorHandler is the ErrorHandler of generated servers: it answers with the
// problem of whatever the server or a handler returned.
func ErrorHandler(_ context.Context, w http.ResponseWriter, r *http.Request, err error) {
	WriteProblem(w, r, err)
}

// NotFound is the NotFound handler of generated servers.
func NotFound(w http.ResponseWriter, r *http.Request) { WriteProblem(w, r, ErrNoRoute) }

// MethodNotAllowed is the MethodNotAllowed handler of generated servers; allowed
// is their list, "GET,POST". OPTIONS is answered with 204.
func MethodNotAllowed(w http.ResponseWriter, r *http.Request, allowed string) {
	methods := strings.Split(allowed, ",")
	for i, m := range methods {
		if m == http.MethodGet {
			methods[i] = "GET, HEAD"
		}
	}
	w.Header().Set("Allow", strings.Join(append(methods, "OPTIONS"), ", "))
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	WriteProblem(w, r, ErrMethod)
}

// fromOgen reduces what a generated server reports about a request to a fault;
// nil when err is not of that kind.
func fromOgen(err error) *fault.Error {
	var security *ogenerrors.SecurityError
	var params *ogenerrors.DecodeParamsError
	var request *ogenerrors.DecodeRequestError
	switch {
	case errors.As(err, &security):
		return fault.New(fault.Unauthenticated, "token-ausente", fault.Text{
			PT: "Esta rota precisa de identificação: envie Authorization: Bearer.",
			EN: "This route needs identification: send Authorization: Bearer.",
		}).Wrap(err)
	case errors.As(err, &params):
		return fromParams(params)
	case errors.As(err, &request):
		return fromRequest(request)
	}
	return nil
}

func fromParams(err *ogenerrors.DecodeParamsError) *fault.Error {
	var param *ogenerrors.DecodeParamError
	if !errors.As(err, &param) {
		return ErrRequest.Wrap(err)
	}
	name := param.Name
	switch param.In {
	case "path": // an id that cannot be one names nothing
		return ErrNotFound.Wrap(err)
	case "query":
		name = "?" + name
	}
	fields := collect(nil, name, param.Err)
	return invalid(fields, err)
}

func fromRequest(err *ogenerrors.DecodeRequestError) *fault.Error {
	var contentType *validate.InvalidContentTypeError
	var body *ogenerrors.DecodeBodyError
	var rules *validate.Error
	switch {
	case errors.As(err, &contentType), strings.HasPrefix(err.Err.Error(), "parse media type"):
		return ErrMediaType.Wrap(err)
	case errors.Is(err, validate.ErrBodyRequired):
		return ErrBodyMissing.Wrap(err)
	case errors.As(err, &body):
		if broken := CheckJSON(body.Body); broken != nil {
			return fault.As(broken)
		}
		return invalid(fromBody(body), err)
	case errors.As(err, &rules):
		return invalid(collect(nil, "", rules), err)
	}
	return ErrBodyBroken.Wrap(err)
}

// invalid is the fault of broken field rules. The cause is kept for errors.Is
// and As; nobody logs it, because a decoder's message may quote the body.
func invalid(fields []fault.Field, cause error) *fault.Error {
	return fault.As(fault.Fields(fields)).Wrap(cause)
}

// collect gathers the broken rules below err, all of them.
func collect(fields []fault.Field, pointer string, err error) []fault.Field {
	var rules *validate.Error
	if errors.As(err, &rules) && len(rules.Fields) > 0 {
		for _, f := range rules.Fields {
			fields = collect(fields, pointer+"/"+segmentName(f.Name), f.Error)
		}
		return fields
	}
	rule, text := ruleOf(err)
	return append(fields, fault.Field{Pointer: pointer, Rule: rule, Text: text})
}

// segmentName turns the generator's "[3]" into "3"; other names are our own.
func segmentName(name string) string {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		return strings.TrimSuffix(inner, "]")
	}
	return name
}
