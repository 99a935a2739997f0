package httpx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-faster/jx"

	"trama/platform/fault"
)

// MaxDepth is how deep a JSON body may nest.
const MaxDepth = 64

// CheckJSON says what makes a text unacceptable as a JSON body, as a Malformed
// fault; nil when a decoder may take it.
func CheckJSON(body []byte) error {
	if !utf8.Valid(body) {
		return fault.New(fault.Malformed, "utf8-invalido", fault.Text{
			PT: "O corpo não é UTF-8 válido.",
			EN: "The body is not valid UTF-8.",
		})
	}
	d := jx.DecodeBytes(body)
	var c jsonChecker
	if err := c.value(d); err != nil {
		var f *fault.Error
		if errors.As(err, &f) {
			return f
		}
		return brokenJSON(err)
	}
	if rest := d.Skip(); rest != io.EOF { // a wrapped EOF is the end of a broken second value
		return brokenJSON(errors.New("something follows the JSON value"))
	}
	return nil
}

func brokenJSON(cause error) *fault.Error {
	return fault.New(fault.Malformed, "json-invalido", fault.Text{
		PT: "O corpo não é JSON bem formado.",
		EN: "The body is not well-formed JSON.",
	}).Wrap(cause)
}

// jsonChecker walks one value; path leads to where it is.
type jsonChecker struct{ path []segment }

// segment is a step of a path: a name, or an index where name is empty.
type segment struct {
	name  string
	index int
}

func (c *jsonChecker) value(d *jx.Decoder) error {
	if len(c.path) > MaxDepth {
		return fault.New(fault.Malformed, "json-profundo-demais", fault.Text{
			PT: fmt.Sprintf("O corpo tem mais de %d níveis.", MaxDepth),
			EN: fmt.Sprintf("The body nests beyond %d levels.", MaxDepth),
		})
	}
	switch d.Next() {
	case jx.Object:
		return c.object(d)
	case jx.Array:
		here := len(c.path)
		c.path = append(c.path, segment{index: -1})
		err := d.Arr(func(d *jx.Decoder) error {
			c.path[here].index++
			return c.value(d)
		})
		if err == nil {
			c.path = c.path[:here]
		}
		return err
	case jx.String:
		s, err := d.StrBytes()
		if err != nil {
			return err
		}
		if bytes.IndexByte(s, 0) >= 0 {
			return c.ambiguous("caracteres", fault.Text{
				PT: "O texto contém o caractere NUL (\\u0000), que não pode ser aceito.",
				EN: "The text contains the NUL character (\\u0000), which cannot be accepted.",
			})
		}
		return nil
	default:
		return d.Skip()
	}
}

func (c *jsonChecker) object(d *jx.Decoder) error {
	seen := nameSet{}
	here := len(c.path)
	err := d.Obj(func(d *jx.Decoder, name string) error {
		c.path = append(c.path[:here], segment{name: name, index: -1})
		if !seen.add(name) {
			return c.ambiguous("campo-repetido", fault.Text{
				PT: "Este campo aparece mais de uma vez.",
				EN: "This field appears more than once.",
			})
		}
		return c.value(d)
	})
	if err == nil {
		c.path = c.path[:here]
	}
	return err
}

func (c *jsonChecker) ambiguous(rule string, text fault.Text) error {
	f := fault.New(fault.Malformed, "json-ambiguo", fault.Text{
		PT: "O corpo é JSON, mas não pode ser lido de um só modo; veja erros.",
		EN: "The body is JSON, but cannot be read in only one way; see erros.",
	})
	f.Fields = []fault.Field{{Pointer: pointerOf(c.path), Rule: rule, Text: text}}
	return f
}

// nameSet holds the names of one object: a list while they are few, as in every
// honest request, a map beyond that, so that a hostile one costs linear time.
type nameSet struct {
	few  []string
	many map[string]struct{}
}

// add says whether the name is new.
func (s *nameSet) add(name string) bool {
	const most = 16
	if s.many != nil {
		_, twice := s.many[name]
		s.many[name] = struct{}{}
		return !twice
	}
	for _, n := range s.few {
		if n == name {
			return false
		}
	}
	s.few = append(s.few, name)
	if len(s.few) > most {
		s.many = make(map[string]struct{}, 4*most)
		for _, n := range s.few {
			s.many[n] = struct{}{}
		}
	}
	return true
}

// pointerOf writes a path as a JSON pointer (RFC 6901), cut where a caller's own
// names would let it grow without bound.
func pointerOf(path []segment) string {
	const most = 200
	var b strings.Builder
	for _, s := range path {
		b.WriteByte('/')
		if s.index >= 0 {
			b.WriteString(strconv.Itoa(s.index))
			continue
		}
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(s.name, "~", "~0"), "/", "~1"))
	}
	pointer := b.String()
	if len(pointer) <= most {
		return pointer
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(pointer[cut]) {
		cut--
	}
	return pointer[:cut] + "…"
}
