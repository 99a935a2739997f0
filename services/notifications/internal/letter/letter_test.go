package letter_test

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"trama/services/notifications/internal/letter"
	"trama/services/notifications/internal/message"
)

const (
	course  = "01980a52-7c00-7000-8000-000000000001"
	payment = "01980a53-10aa-7c11-8f00-2b7d9e6c5a02"
	base    = "https://escola.example"
)

var until = time.Date(2026, 11, 23, 17, 5, 0, 0, time.UTC)

func facts() message.Facts {
	return message.Facts{CourseID: course, CourseTitle: "Go para serviços", PaymentID: payment, Amount: "1299.00",
		Method: "pix", Code: "00020126  BR.GOV.BCB.PIX", ExpiresAt: until, Reason: "saldo-insuficiente", Enrolment: true, Step: 1, Steps: 3, Token: "tok-en"}
}

func write(t *testing.T, k message.Kind, change func(*message.Message), p *letter.Password) letter.Letter {
	t.Helper()
	w, err := letter.New(base+"/", "Escola Trama")
	if err != nil {
		t.Fatal(err)
	}
	m := message.Message{Kind: k, Name: "Ana Souza", Email: "ana@exemplo.com.br", Facts: facts()}
	if k != message.Reminder {
		m.Facts.Token = ""
	}
	if change != nil {
		change(&m)
	}
	l, err := w.Write(m, p)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func has(t *testing.T, what, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
}

func lacks(t *testing.T, what, text string, unwanted ...string) {
	t.Helper()
	for _, w := range unwanted {
		if strings.Contains(text, w) {
			t.Errorf("%s has %q:\n%s", what, w, text)
		}
	}
}

func TestEveryMailSaysWhatItMust(t *testing.T) {
	for kind, test := range map[message.Kind]struct {
		subject string
		both    []string // in text and HTML
	}{
		message.Enrolled:     {"Matrícula confirmada: Go para serviços", []string{"Go para serviços", base + "/entrar"}},
		message.Cancelled:    {"Matrícula cancelada: Go para serviços", []string{"foi cancelada", base + "/cursos/" + course}},
		message.Refused:      {"Pagamento não aprovado: Go para serviços", []string{"R$ 1.299,00", "saldo ou limite", "Nada foi cobrado", base + "/cursos/" + course + "/matricula"}},
		message.Instructions: {"Pague com Pix e conclua a matrícula: Go para serviços", []string{"R$ 1.299,00", "00020126  BR.GOV.BCB.PIX", "23/11/2026 às 14h05 (horário de Brasília)", base + "/pagamentos/" + payment}},
		message.Refunded:     {"Devolvemos o seu pagamento: Go para serviços", []string{"R$ 1.299,00", "matrícula ligada a ele foi cancelada", base + "/pagamentos/" + payment}},
		message.Reminder:     {"Ainda pensando em Go para serviços?", []string{base + "/cursos/" + course + "/matricula", base + "/descadastro?token=tok-en"}},
	} {
		l := write(t, kind, nil, nil)
		if l.Subject != test.subject {
			t.Errorf("%s: subject %q, want %q", kind, l.Subject, test.subject)
		}
		has(t, string(kind)+" text", l.Text, append(test.both, "Olá, Ana!", "Escola Trama")...)
		has(t, string(kind)+" html", l.HTML, append(test.both, "Olá, Ana!", "Escola Trama", `lang="pt-BR"`)...)
		lacks(t, string(kind), l.Text+l.HTML, "ZgotmplZ", "<no value>", "{{", "<script", "<img", "\n\n\n\n")
		if (l.Unsubscribe != "") != (kind == message.Reminder) {
			t.Errorf("%s: unsubscribe %q", kind, l.Unsubscribe)
		}
	}
}

func TestTheWelcomeCarriesThePassword(t *testing.T) {
	l := write(t, message.Welcome, nil, &letter.Password{Text: "Xk4-<&>-qq", ExpiresAt: until})
	if l.Subject != "Boas-vindas, Ana! Sua matrícula em Go para serviços está confirmada" {
		t.Error(l.Subject)
	}
	has(t, "text", l.Text, "Xk4-<&>-qq", "ana@exemplo.com.br", "23/11/2026 às 14h05", base+"/entrar")
	has(t, "html", l.HTML, "Xk4-&lt;&amp;&gt;-qq", "ana@exemplo.com.br", "23/11/2026 às 14h05", base+"/entrar")
	lacks(t, "first account", l.Text, "substitui")
	again := write(t, message.Welcome, func(m *message.Message) { m.Facts.KnownBefore = true }, &letter.Password{Text: "p", ExpiresAt: until})
	has(t, "known before", again.Text+again.HTML, "substitui a senha inicial")

	chosen := write(t, message.Welcome, nil, nil)
	has(t, "without a password", chosen.Text+chosen.HTML, "a senha que você já escolheu")
	lacks(t, "without a password", chosen.Text+chosen.HTML, "Senha inicial")
}

func TestVariants(t *testing.T) {
	for name, test := range map[string]struct {
		kind   message.Kind
		change func(*message.Message)
		want   string
		not    string
	}{
		"expired":         {message.Refused, func(m *message.Message) { m.Facts.Reason = "expirado" }, "O prazo terminou", "não foi aprovado"},
		"fraud":           {message.Refused, func(m *message.Message) { m.Facts.Reason = "suspeita-de-fraude" }, "Por segurança", "fraude"},
		"paid already":    {message.Refused, func(m *message.Message) { m.Facts.Reason = "curso-ja-pago" }, "/pagamentos/", "/matricula"},
		"unknown reason":  {message.Refused, func(m *message.Message) { m.Facts.Reason = "novo-motivo" }, "não foi autorizada", "novo-motivo"},
		"boleto":          {message.Instructions, func(m *message.Message) { m.Facts.Method = "boleto" }, "Linha digitável", "Pix"},
		"cancel by staff": {message.Cancelled, func(m *message.Message) { m.Facts.Reason = "outro" }, "foi cancelada.", "devolvido"},
		"refund, order":   {message.Refunded, func(m *message.Message) { m.Facts.Enrolment = false }, "Devolvemos", "matrícula ligada"},
		"last reminder":   {message.Reminder, func(m *message.Message) { m.Facts.Step = 3 }, "último lembrete", "Ainda pensando"},
		"second reminder": {message.Reminder, func(m *message.Message) { m.Facts.Step = 2 }, "Você se interessou", "último lembrete"},
		"no course":       {message.Reminder, func(m *message.Message) { m.Facts.CourseID, m.Facts.CourseTitle = "", "" }, base + "/\n", "/cursos/"},
		"no name":         {message.Enrolled, func(m *message.Message) { m.Name = "" }, "Olá!", "Olá,"},
		"name of signs":   {message.Enrolled, func(m *message.Message) { m.Name = "'; Ana" }, "Olá, '; Ana!", ""},
	} {
		l := write(t, test.kind, test.change, nil)
		has(t, name, l.Text, test.want)
		if test.not != "" {
			lacks(t, name, l.Subject+l.Text, test.not)
		}
	}
}

func TestWhatPeopleTypeIsText(t *testing.T) {
	nasty := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `Robert'); DROP TABLE message;--`, `{{.Password}}`, `</td></tr></table>`,
		"Ana\r\nBcc: x@y.br\r\n\r\nbody", "Ana\u202egnp.exe", "Zoë 🎓🚀",
	}
	for _, k := range []message.Kind{message.Welcome, message.Enrolled, message.Cancelled, message.Refused, message.Instructions, message.Refunded, message.Reminder} {
		plain := strings.Count(write(t, k, nil, nil).HTML, "<")
		for _, n := range nasty {
			l := write(t, k, func(m *message.Message) {
				m.Name, m.Email, m.Facts.CourseTitle, m.Facts.Code = n, n, n, n
				m.Facts.CourseID, m.Facts.PaymentID, m.Facts.Token = `x"><script>`, `javascript:alert(1)`, ` "'<`
				if k != message.Reminder {
					m.Facts.Token = ""
				}
			}, nil)
			if got := strings.Count(l.HTML, "<"); got != plain {
				t.Errorf("%s: %q brings %d tags more", k, n, got-plain)
			}
			lacks(t, string(k), l.HTML, "<script", "onerror=alert(1)>", `href="javascript`)
			for what, line := range map[string]string{"subject": l.Subject, "unsubscribe": l.Unsubscribe} {
				if strings.ContainsFunc(line, unicode.IsControl) || strings.ContainsRune(line, '\u202e') {
					t.Errorf("%s: %s %q", k, what, line)
				}
			}
			lacks(t, string(k)+" text", l.Text, "\nBcc:", "\u202e")
		}
	}
	if emoji := write(t, message.Enrolled, func(m *message.Message) { m.Name = "Zoë 🎓🚀" }, nil); !strings.Contains(emoji.HTML, "Zoë") {
		t.Error("an accent is lost")
	}
	long := write(t, message.Enrolled, func(m *message.Message) { m.Name = strings.Repeat("é", 5000) }, nil)
	if len(long.Text) > 3000 {
		t.Errorf("a name of 5000 characters makes a text of %d bytes", len(long.Text))
	}
}

func TestAnUnknownKindIsAnError(t *testing.T) {
	w, err := letter.New(base, "Escola")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(message.Message{Kind: "outra"}, nil); err == nil {
		t.Error("no error")
	}
}
