package site

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"trama/clients/site/internal/api"
)

// field is one entry of a form: what it is, what was typed, what is wrong.
type field struct {
	Name         string // of the form value; the element's id is "campo-" + Name
	Label        string
	Hint         string
	Type         string // of the input; "text" if empty
	Value        string
	Error        string
	Autocomplete string
	InputMode    string
	Required     bool
	Secret       bool // never given back to the page
	Half         bool // takes half the width where there is room
}

// DescribedBy gives the ids of the texts that explain the field.
func (f *field) DescribedBy() string {
	var ids []string
	if f.Error != "" {
		ids = append(ids, "erro-"+f.Name)
	}
	if f.Hint != "" {
		ids = append(ids, "dica-"+f.Name)
	}
	return strings.Join(ids, " ")
}

// mistake is one line of the summary above a form.
type mistake struct{ Field, Message string }

// form is a form with its values and errors.
type form struct {
	Key      string // idempotency key
	Notice   string // above the form: what happened although no field is wrong
	Mistakes []mistake
	fields   map[string]*field
	pointers map[string]string // JSON pointer of the API → field name
}

func newForm(key string, pointers map[string]string, fields ...field) *form {
	f := &form{Key: key, fields: map[string]*field{}, pointers: pointers}
	for i := range fields {
		f.fields[fields[i].Name] = &fields[i]
	}
	return f
}

// Field gives a field by its name; a template that asks for another one fails.
func (f *form) Field(name string) (*field, error) {
	if e, ok := f.fields[name]; ok {
		return e, nil
	}
	return nil, errors.New("form: no field " + name)
}

// Bad says whether the page must begin with the summary of errors.
func (f *form) Bad() bool { return len(f.Mistakes) > 0 || f.Notice != "" }

// fill takes over what was posted, but for secrets, and gives the trimmed values.
func (f *form) fill(r *http.Request) func(name string) string {
	for name, e := range f.fields {
		if !e.Secret {
			e.Value = strings.TrimSpace(r.PostFormValue(name))
		}
	}
	return func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
}

// reject notes the API's field errors beside the fields and in the summary, in
// the order given. An error of no field of ours stands in the summary alone.
func (f *form) reject(p *api.Problem) {
	for _, e := range p.Fields {
		f.wrong(f.pointers[e.Pointer], e.Message)
	}
	if len(p.Fields) == 0 {
		f.Notice = p.Detail
		if f.Notice == "" {
			f.Notice = "O envio não foi aceito. Confira o que foi preenchido e tente de novo."
		}
	}
}

// wrong notes one error of a field ("" for none).
func (f *form) wrong(name, message string) {
	if e := f.fields[name]; e != nil {
		if e.Error == "" {
			e.Error = message
		}
	} else {
		name = ""
	}
	f.Mistakes = append(f.Mistakes, mistake{name, message})
}

// parseForm reads a posted form. Only what our pages send is read.
func parseForm(r *http.Request) error {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.ContentLength == 0 {
		mediaType = "application/x-www-form-urlencoded" // a button without fields, sent by a program
	}
	// A mail program's one click (RFC 8058, 3.2) may come as multipart; what it
	// says is in the address, and ParseForm leaves such a body unread.
	if mediaType != "application/x-www-form-urlencoded" && mediaType != "multipart/form-data" {
		return errMediaType
	}
	var large *http.MaxBytesError
	switch err := r.ParseForm(); {
	case errors.As(err, &large):
		return errLarge
	case err != nil:
		return errUnreadable
	}
	return nil
}
