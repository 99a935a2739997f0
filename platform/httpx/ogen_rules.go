package httpx

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-faster/jx"
	"github.com/ogen-go/ogen/ogenerrors"
	"github.com/ogen-go/ogen/validate"

	"trama/platform/fault"
)

// ruleOf names the rule behind a leaf error of the generated validators. Their
// types are looked at where they have one; the rest are told by the fixed words
// their messages begin with (the tail may quote the caller).
func ruleOf(err error) (string, fault.Text) {
	var most *validate.MaxLengthError
	var least *validate.MinLengthError
	var pattern *validate.NoRegexMatchError
	switch {
	case errors.Is(err, validate.ErrFieldRequired):
		return "obrigatorio", fault.Text{PT: "Este campo é obrigatório.", EN: "This field is required."}
	case errors.As(err, &most):
		return "tamanho", fault.Text{
			PT: fmt.Sprintf("Tamanho máximo: %d.", most.MaxLength), EN: fmt.Sprintf("Maximum length: %d.", most.MaxLength)}
	case errors.As(err, &least):
		return "tamanho", fault.Text{
			PT: fmt.Sprintf("Tamanho mínimo: %d.", least.MinLength), EN: fmt.Sprintf("Minimum length: %d.", least.MinLength)}
	case errors.As(err, &pattern):
		return "formato", fault.Text{PT: "O formato não é o esperado.", EN: "The format is not the expected one."}
	}
	message := leaf(err).Error()
	if strings.HasPrefix(message, "invalid value") {
		return "valor", fault.Text{PT: "Este valor não é um dos aceitos.", EN: "This value is not one of those accepted."}
	}
	if bound := bounds.FindStringSubmatch(message); bound != nil {
		if bound[1] == "less" {
			return "intervalo", fault.Text{PT: "O mínimo é " + bound[2] + ".", EN: "The minimum is " + bound[2] + "."}
		}
		return "intervalo", fault.Text{PT: "O máximo é " + bound[2] + ".", EN: "The maximum is " + bound[2] + "."}
	}
	return wrongType()
}

var bounds = regexp.MustCompile(`^value \S+ (less|greater) than (-?[0-9.]+)$`)

func wrongType() (string, fault.Text) {
	return "tipo", fault.Text{PT: "O tipo do valor não é o esperado.", EN: "The type of the value is not the expected one."}
}

func leaf(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

const unknownField = "campo-desconhecido"

// fromBody finds the broken rules in the error of a generated decoder, which
// stops at the first place where value and type differ. The way there is told
// by the wrapping errors ("decode field \"cartao\""); indexes of arrays are
// missing and are found again in the body.
func fromBody(err *ogenerrors.DecodeBodyError) []fault.Field {
	var path []string
	for e := err.Err; e != nil; e = errors.Unwrap(e) {
		if name, ok := decodedField(e); ok {
			path = append(path, name)
		}
	}
	last := leaf(err.Err)
	var rules *validate.Error
	if errors.As(err.Err, &rules) {
		var fields []fault.Field
		for _, f := range rules.Fields {
			missing := segmentName(f.Name)
			at := locate(err.Body, path, func(v []byte) bool { return !hasField(v, missing) })
			fields = collect(fields, pointerOf(append(at, segment{name: missing, index: -1})), f.Error)
		}
		return fields
	}
	if quoted, ok := strings.CutPrefix(last.Error(), "unexpected field "); ok {
		if name, unquoteErr := strconv.Unquote(quoted); unquoteErr == nil {
			at := locate(err.Body, path, func(v []byte) bool { return hasField(v, name) })
			return []fault.Field{{
				Pointer: pointerOf(append(at, segment{name: name, index: -1})), Rule: unknownField,
				Text: fault.Text{PT: "Este campo não existe.", EN: "There is no such field."},
			}}
		}
	}
	rule, text := wrongType()
	at := locate(err.Body, path, offsetTest(err.Body, last))
	return []fault.Field{{Pointer: pointerOf(at), Rule: rule, Text: text}}
}

// decodedField gives the field that a wrapping error speaks of. The names come
// from generated code, never from the body: only the innermost error quotes it.
func decodedField(e error) (string, bool) {
	inner := errors.Unwrap(e)
	if inner == nil {
		return "", false
	}
	own, ok := strings.CutSuffix(e.Error(), ": "+inner.Error())
	if !ok {
		return "", false
	}
	quoted, ok := strings.CutPrefix(own, "decode field ")
	if !ok {
		return "", false
	}
	name, err := strconv.Unquote(quoted)
	return name, err == nil
}

// offsetTest accepts the value that holds the byte at which the decoder stopped;
// any value when its message does not tell.
func offsetTest(body []byte, last error) func([]byte) bool {
	m := badByte.FindStringSubmatch(last.Error())
	if m == nil {
		return func([]byte) bool { return true }
	}
	at, err := strconv.Atoi(m[1])
	if err != nil || at >= len(body) {
		return func([]byte) bool { return true }
	}
	return func(v []byte) bool {
		// v is a part of body: its place is the difference of what is left behind each.
		begin := cap(body) - cap(v)
		return at >= begin && at < begin+len(v)
	}
}

var badByte = regexp.MustCompile(`^unexpected byte .* at ([0-9]+)$`)

// locate follows names from the top of the body. Where the way leads through an
// array, the first element that can be followed to a value that passes the test
// is taken; the array itself when there is none.
func locate(body []byte, names []string, test func(value []byte) bool) []segment {
	path := make([]segment, 0, len(names)+2)
	if found, ok := follow(body, names, test, path); ok {
		return found
	}
	for _, n := range names {
		path = append(path, segment{name: n, index: -1})
	}
	return path
}

func follow(value []byte, names []string, test func([]byte) bool, path []segment) ([]segment, bool) {
	d := jx.DecodeBytes(value)
	if d.Next() == jx.Array {
		if found, ok := followArray(d, names, test, path); ok {
			return found, true
		}
		return path, len(names) == 0 && test(value)
	}
	if len(names) == 0 {
		return path, test(value)
	}
	inner, ok := fieldOf(value, names[0])
	if !ok {
		return path, false
	}
	return follow(inner, names[1:], test, append(path, segment{name: names[0], index: -1}))
}

func followArray(d *jx.Decoder, names []string, test func([]byte) bool, path []segment) (found []segment, ok bool) {
	i := 0
	_ = d.Arr(func(d *jx.Decoder) error { // the body is known to be well formed
		raw, err := d.Raw()
		if err != nil {
			return err
		}
		if !ok {
			found, ok = follow(raw, names, test, append(path[:len(path):len(path)], segment{index: i}))
		}
		i++
		return nil
	})
	return found, ok
}

func hasField(value []byte, name string) bool {
	_, ok := fieldOf(value, name)
	return ok
}

// fieldOf gives the text of an object's field; false when value is no object or
// has no such field.
func fieldOf(value []byte, name string) (raw []byte, ok bool) {
	d := jx.DecodeBytes(value)
	if d.Next() != jx.Object {
		return nil, false
	}
	_ = d.ObjBytes(func(d *jx.Decoder, key []byte) error { // the body is known to be well formed
		if string(key) != name {
			return d.Skip()
		}
		v, err := d.Raw()
		raw, ok = v, err == nil
		return err
	})
	return raw, ok
}
