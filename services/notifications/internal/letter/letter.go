// Package letter writes the mails: subject, plain text and HTML, in Portuguese.
//
// Whatever comes from people (names, titles, codes) is text: it is escaped in
// HTML by html/template, and control characters, among them the line breaks that
// would smuggle a header into a subject, are gone before any template sees it.
// The HTML has inline styles and no image, script or foreign address, reads well
// by screen readers and without images, and says what the text says.
package letter

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"strings"
	texttemplate "text/template"
	"time"

	"trama/platform/money"
	"trama/services/notifications/internal/message"
)

//go:embed templates
var templates embed.FS

// Password is a first password and how long it works. It lives in memory and in
// the mail, nowhere else.
type Password struct {
	Text      string
	ExpiresAt time.Time
}

// Letter is a mail as written.
type Letter struct {
	Subject string
	Text    string
	HTML    string
	// Unsubscribe is the address of the one click of RFC 8058; empty on mail that
	// cannot be unsubscribed from.
	Unsubscribe string
}

// Writer writes letters. It is safe for concurrent use.
type Writer struct {
	base   string
	school string
	html   map[message.Kind]*htmltemplate.Template
	text   map[message.Kind]*texttemplate.Template
}

// New makes a writer. base is the address people reach the school at
// ("https://escola.example"), school its name. It fails when a template is broken.
func New(base, school string) (*Writer, error) {
	w := &Writer{
		base: strings.TrimRight(base, "/"), school: plain(school),
		html: map[message.Kind]*htmltemplate.Template{}, text: map[message.Kind]*texttemplate.Template{},
	}
	for _, k := range []message.Kind{message.Welcome, message.Enrolled, message.Cancelled, message.Refused,
		message.Instructions, message.Refunded, message.Reminder} {
		var err error
		w.text[k], err = texttemplate.New("layout.txt.tmpl").Option("missingkey=error").
			ParseFS(templates, "templates/layout.txt.tmpl", "templates/"+string(k)+".txt.tmpl")
		if err != nil {
			return nil, fmt.Errorf("letter: %w", err)
		}
		w.html[k], err = htmltemplate.New("layout.html.tmpl").Option("missingkey=error").
			Funcs(htmltemplate.FuncMap{"button": func(label, url string) button { return button{label, url} }}).
			ParseFS(templates, "templates/layout.html.tmpl", "templates/"+string(k)+".html.tmpl")
		if err != nil {
			return nil, fmt.Errorf("letter: %w", err)
		}
	}
	return w, nil
}

// button is what the template of that name shows.
type button struct{ Label, URL string }

// Write writes the mail of a message. password is nil for all but a welcome, and
// for a welcome to somebody who has chosen a password already.
func (w *Writer) Write(m message.Message, password *Password) (Letter, error) {
	text, ok := w.text[m.Kind]
	if !ok {
		return Letter{}, fmt.Errorf("letter: no template for %q", m.Kind)
	}
	v := w.view(m, password)
	var subject, body, page strings.Builder
	if err := text.ExecuteTemplate(&subject, "subject", v); err != nil {
		return Letter{}, fmt.Errorf("letter: subject of %s: %w", m.Kind, err)
	}
	v.Subject = plain(subject.String())
	if err := text.Execute(&body, v); err != nil {
		return Letter{}, fmt.Errorf("letter: text of %s: %w", m.Kind, err)
	}
	if err := w.html[m.Kind].Execute(&page, v); err != nil {
		return Letter{}, fmt.Errorf("letter: html of %s: %w", m.Kind, err)
	}
	return Letter{Subject: v.Subject, Text: tidy(body.String()), HTML: page.String(), Unsubscribe: v.OneClickURL}, nil
}

// view is what templates may use. All texts are free of control characters.
type view struct {
	School, Subject, First, Email, Course                               string
	HomeURL, SignInURL, CourseURL, EnrolURL, PaymentURL, UnsubscribeURL string
	OneClickURL                                                         string
	Amount, Method, Code, Reason, Why, ExpiresAt                        string
	Password, PasswordUntil                                             string
	KnownBefore, Enrolment, Again, Last                                 bool
}

func (w *Writer) view(m message.Message, p *Password) view {
	f := m.Facts
	v := view{
		School: w.school, First: firstName(plain(m.Name)), Email: plain(m.Email), Course: plain(f.CourseTitle),
		HomeURL: w.base + "/", SignInURL: w.base + "/entrar", CourseURL: w.base + "/", EnrolURL: w.base + "/",
		Method: plain(f.Method), Code: code(f.Code), Reason: plain(f.Reason), Why: why(f.Reason),
		KnownBefore: f.KnownBefore, Enrolment: f.Enrolment,
		Again: f.Step > 1, Last: f.Step > 1 && f.Step >= f.Steps,
	}
	if f.CourseID != "" {
		v.CourseURL = w.base + "/cursos/" + url.PathEscape(f.CourseID)
		v.EnrolURL = v.CourseURL + "/matricula"
	}
	if f.PaymentID != "" {
		v.PaymentURL = w.base + "/pagamentos/" + url.PathEscape(f.PaymentID)
	}
	if f.Token != "" {
		v.UnsubscribeURL = w.base + "/descadastro?token=" + url.QueryEscape(f.Token)
		v.OneClickURL = w.base + "/v1/marketing/descadastro?token=" + url.QueryEscape(f.Token)
	}
	if cents, err := money.Parse(f.Amount); err == nil {
		v.Amount = cents.Real()
	}
	if !f.ExpiresAt.IsZero() {
		v.ExpiresAt = moment(f.ExpiresAt)
	}
	if p != nil {
		v.Password, v.PasswordUntil = p.Text, moment(p.ExpiresAt)
	}
	return v
}

// tidy keeps at most one empty line in a row and none at the ends: what a
// condition left out leaves no hole.
func tidy(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" && (len(out) == 0 || out[len(out)-1] == "") {
			continue
		}
		out = append(out, line)
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n") + "\n"
}
