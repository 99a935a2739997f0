package payments_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/platform/idempotency"
)

const payments1 = "/v1/financeiro/pagamentos"

func TestAccepted(t *testing.T) {
	s := start(t)
	a := s.do("POST", payments1, text(ana(set("parcelas", 3))))
	id := a.at("id")
	if a.code != 202 || a.header.Get("Location") != payments1+"/"+id || a.at("situacao") != "recebido" || a.json["final"] != false {
		t.Fatalf("%d %v %s", a.code, a.header, a.body)
	}
	for path, want := range map[string]string{
		"valor.valor": "1299.00", "valor.moeda": "BRL", "curso.titulo": "Go para serviços", "aluno.cpf": "***.***.***-25",
		"aluno.email": "ana@exemplo.com.br", "cartao.bandeira": "visa", "cartao.ultimosQuatro": "1111", "metodo": "cartao",
	} {
		if got := a.at(strings.Split(path, ".")...); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if a.json["parcelas"] != 3.0 {
		t.Errorf("parcelas: %v", a.json["parcelas"])
	}
	if got := names(s.waiting()); got != "PagamentoRecebido" {
		t.Errorf("the event is not stored with the payment: %q", got)
	}
	// The seed's own name of the route.
	if b := s.do("POST", "/v1/financeiro/pagamento", text(ana(set("cursoId", sqlCourse)))); b.code != 202 {
		t.Errorf("the other name: %d %s", b.code, b.body)
	}
}

func TestBadFields(t *testing.T) {
	s := start(t)
	long := strings.Repeat("é", 300)
	for name, c := range map[string]struct {
		wish map[string]any
		want string
	}{
		"CPF check digit":        {ana(set("aluno.cpf", "529.982.247-26")), "/aluno/cpf cpf"},
		"CPF of equal digits":    {ana(set("aluno.cpf", "111.111.111-11")), "/aluno/cpf cpf"},
		"e-mail a@b":             {ana(set("aluno.email", "a@b")), "/aluno/email email"},
		"a name of 300":          {ana(set("aluno.nome", long)), "/aluno/nome tamanho"},
		"a name of emoji only":   {ana(set("aluno.nome", "🎓🎓🎓")), "/aluno/nome nome"},
		"a name with a control":  {ana(set("aluno.nome", "Ana\u0007 Souza")), "/aluno/nome caracteres"},
		"telephone":              {ana(set("aluno.telefone", "123")), "/aluno/telefone telefone"},
		"Luhn":                   {ana(set("cartao.numero", "4111 1111 1111 1112")), "/cartao/numero luhn"},
		"expired":                {ana(set("cartao.validade", "01/20")), "/cartao/validade vencido"},
		"CVV":                    {ana(set("cartao.cvv", "12")), "/cartao/cvv cvv"},
		"no card":                {ana(func(w map[string]any) { delete(w, "cartao") }), "/cartao obrigatorio"},
		"a card for a pix":       {ana(set("metodo", "pix")), "/cartao sobra"},
		"unknown method":         {ana(set("metodo", "cheque")), "/metodo valor"},
		"unknown course":         {ana(set("cursoId", "01980a52-7c00-7000-8000-0000000000ff")), "/cursoId curso"},
		"no course id":           {ana(set("cursoId", "go")), "/cursoId curso"},
		"a course not sold":      {ana(set("cursoId", oldCourse)), "/cursoId curso"},
		"a course for nothing":   {ana(set("cursoId", freeCourse)), "/cursoId gratuito"},
		"thirteen instalments":   {ana(set("parcelas", 13)), "/parcelas parcelas"},
		"no instalments":         {ana(set("parcelas", 0)), "/parcelas parcelas"},
		"instalments by pix":     {ana(by("pix"), set("parcelas", 2)), "/parcelas parcelas"},
		"instalments too small":  {ana(set("cursoId", cheapCourse), set("parcelas", 5)), "/parcelas parcela-minima"},
		"forged price":           {ana(set("valor", map[string]any{"valor": "1.00", "moeda": "BRL"})), "/valor preco"},
		"price in another money": {ana(set("valor", map[string]any{"valor": "1299.00", "moeda": "USD"})), "/valor/moeda moeda"},
		"price as words":         {ana(set("valor", map[string]any{"valor": "mil", "moeda": "BRL"})), "/valor/valor valor"},
		"negative price":         {ana(set("valor", map[string]any{"valor": "-1299.00", "moeda": "BRL"})), "/valor/valor valor"},
		"unknown coupon":         {ana(set("desconto", "GRATIS")), "/desconto cupom"},
		"price without the discount": {ana(set("desconto", "BEMVINDO10"), set("valor", map[string]any{"valor": "1299.00", "moeda": "BRL"})),
			"/valor preco"},
		"everything at once": {ana(set("aluno.cpf", "1"), set("aluno.email", "x"), set("aluno.nome", ""), set("cartao.numero", "1"),
			set("cartao.validade", "x"), set("cartao.cvv", "x"), set("cartao.titular", ""), set("cursoId", "x"), set("desconto", "X"), set("parcelas", 99)),
			"/aluno/nome obrigatorio, /aluno/email email, /aluno/cpf cpf, /cartao/titular obrigatorio, /cartao/numero tamanho, " +
				"/cartao/validade validade, /cartao/cvv cvv, /desconto cupom, /cursoId curso, /parcelas parcelas"},
	} {
		a := s.do("POST", payments1, text(c.wish))
		if a.code != 422 || a.broken() != c.want || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %q\nwant %q\n%s", name, a.code, a.broken(), c.want, a.body)
		}
	}
	if n := s.count(); n != 0 {
		t.Errorf("%d payments were accepted", n)
	}
	if got := s.bank.calls(""); got != "" {
		t.Errorf("cards were sent to the acquirer: %s", got)
	}
}

func TestUnreadableBodies(t *testing.T) {
	s := start(t)
	good := text(ana())
	for name, c := range map[string]struct {
		body string
		code int
		want string
	}{
		"an unknown field":       {strings.Replace(good, `"metodo"`, `"admin":true,"metodo"`, 1), 422, "/admin campo-desconhecido"},
		"an unknown inner field": {strings.Replace(good, `"cvv"`, `"pin":"1","cvv"`, 1), 422, "/cartao/pin campo-desconhecido"},
		"a number for a text":    {strings.Replace(good, `"Ana Souza"`, `7`, 1), 422, "/aluno/nome tipo"},
		"a text for a number":    {strings.Replace(good, `"metodo"`, `"parcelas":"2","metodo"`, 1), 422, "/parcelas tipo"},
		"a missing field":        {strings.Replace(good, `"cursoId"`, `"desconto"`, 1), 422, "/cursoId obrigatorio"},
		"null":                   {"null", 422, " tipo"},
		"broken JSON":            {good[:40], 400, ""},
		"invalid UTF-8":          {strings.Replace(good, "Ana", "An\xff", 1), 400, ""},
		"two documents":          {good + good, 400, ""},
		"nothing":                {"", 400, ""},
		"two megabytes":          {`{"x":"` + strings.Repeat("a", 2<<20) + `"}`, 413, ""},
	} {
		a := s.do("POST", payments1, c.body)
		if a.code != c.code || a.broken() != c.want {
			t.Errorf("%s: %d %q %s", name, a.code, a.broken(), a.body)
		}
	}
	if n := s.count(); n != 0 {
		t.Errorf("%d payments were accepted", n)
	}
}

func TestStrangeNamesAreText(t *testing.T) {
	s := start(t)
	for i, name := range []string{
		`Robert'); DROP TABLE payment;--`, `<script>alert(1)</script>`, "Zoë 🎓 Núñez", "O'Neil-Silva d'Ávila", "李 小龙", `" OR 1=1 --`,
	} {
		id := s.pay(ana(set("aluno.nome", name), set("aluno.email", fmt.Sprintf("p%d@exemplo.com.br", i))))
		if got := s.get(id).at("aluno", "nome"); got != name {
			t.Errorf("%q came back as %q", name, got)
		}
	}
	// Composed and decomposed letters are the same name.
	if got := s.get(s.pay(ana(set("aluno.nome", "Jose\u0301  Silva")))).at("aluno", "nome"); got != "Jos\u00e9 Silva" {
		t.Errorf("not normalised: %q", got)
	}
}

func TestDiscount(t *testing.T) {
	s := start(t)
	a := s.do("POST", payments1, text(ana(set("desconto", "bemvindo10"), set("valor", map[string]any{"valor": "1169.10", "moeda": "BRL"}))))
	if a.code != 202 || a.at("valor", "valor") != "1169.10" || a.at("desconto", "cupom") != "BEMVINDO10" || a.at("desconto", "valor", "valor") != "129.90" {
		t.Fatalf("%d %s", a.code, a.body)
	}
	s.work()
	if _, cents := s.bank.kept(); cents != 116910 {
		t.Errorf("charged %d cents", cents)
	}
}

func TestNeighboursDown(t *testing.T) {
	s := start(t)
	s.bank.trouble = func(op, when, _ string) error {
		if op == "tokenize" && when == "before" {
			return errDown
		}
		return nil
	}
	a := s.do("POST", payments1, text(ana()), "Idempotency-Key: k1")
	if a.code != 503 || a.header.Get("Retry-After") == "" || !strings.HasSuffix(a.at("type"), "/adquirente-indisponivel") {
		t.Errorf("acquirer down: %d %s", a.code, a.body)
	}
	if a := s.do("POST", payments1, text(ana(by("pix"), set("cursoId", sqlCourse)))); a.code != 202 {
		t.Errorf("a pix needs no card: %d %s", a.code, a.body)
	}
	s.bank.trouble = nil
	s.desk.down = errDown
	if a := s.do("POST", payments1, text(ana())); a.code != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("academics down: %d %s", a.code, a.body)
	}
	// What is wrong with the fields can be told all the same.
	if a := s.do("POST", payments1, text(ana(set("aluno.cpf", "1")))); a.code != 422 || a.broken() != "/aluno/cpf cpf" {
		t.Errorf("bad fields while academics is down: %d %s", a.code, a.body)
	}
	s.desk.down = nil
	if n := s.count(); n != 1 {
		t.Errorf("%d payments, want the pix only", n)
	}
	// A key whose request failed with 5xx may be used again.
	if a := s.do("POST", payments1, text(ana()), "Idempotency-Key: k1"); a.code != 202 {
		t.Errorf("the key again: %d %s", a.code, a.body)
	}
}

func TestIdempotencyKey(t *testing.T) {
	s := start(t)
	body := text(ana())
	first := s.do("POST", payments1, body, "Idempotency-Key: k1")
	s.work() // the payment has moved on, the answer has not
	again := s.do("POST", payments1, body, "Idempotency-Key: k1")
	if first.code != 202 || again.code != 202 || again.body != first.body || again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("replay:\n%d %s\n%d %s", first.code, first.body, again.code, again.body)
	}
	if a := s.do("POST", payments1, text(ana(set("cursoId", sqlCourse))), "Idempotency-Key: k1"); a.code != 422 ||
		!strings.HasSuffix(a.at("type"), "/idempotency-key-reutilizada") {
		t.Errorf("another body: %d %s", a.code, a.body)
	}
	if a := s.do("POST", payments1, body, "Idempotency-Key: "+strings.Repeat("k", 256)); a.code != 400 && a.code != 422 {
		t.Errorf("a key too long: %d %s", a.code, a.body)
	}
	if n := s.count(); n != 1 {
		t.Errorf("%d payments", n)
	}
	s.clock.Jump(idempotency.Life + time.Second)
	if a := s.do("POST", payments1, text(ana(set("cursoId", sqlCourse))), "Idempotency-Key: k1"); a.code != 202 {
		t.Errorf("an expired key is a new one: %d %s", a.code, a.body)
	}
}

func TestConcurrentIdempotencyKey(t *testing.T) {
	s := start(t)
	// Another process over the same store knows nothing of requests under way here.
	other := newSchool(t, s.dir)
	other.clock, other.bank, other.desk = s.clock, s.bank, s.desk
	other.over(s.db, defaults(t), nil)
	body := text(ana())
	for round := range 5 {
		key := fmt.Sprintf("Idempotency-Key: round%d", round)
		var wg sync.WaitGroup
		answers := make([]answer, 16)
		for i := range answers {
			on := s
			if i%2 == 1 {
				on = other
			}
			wg.Go(func() { answers[i] = on.do("POST", payments1, body, key) })
		}
		wg.Wait()
		accepted := ""
		for _, a := range answers {
			switch {
			case a.code == 409:
			case a.code != 202:
				t.Errorf("%d %s", a.code, a.body)
			case accepted != "" && a.body != accepted:
				t.Errorf("two answers to one key:\n%s\n%s", accepted, a.body)
			default:
				accepted = a.body
			}
		}
		if n := s.count(); n != round+1 {
			t.Fatalf("round %d: %d payments", round, n)
		}
	}
	if got := len(s.waiting()); got != 5 {
		t.Errorf("%d events for 5 payments", got)
	}
}

// Number and security code of a card are nowhere: not on disk, not in events, not
// in logs, whatever becomes of the payment.
func TestTheCardIsNeverWritten(t *testing.T) {
	s := start(t)
	s.pay(ana(), "Idempotency-Key: k1")
	s.work()
	s.pay(ana(set("cartao.numero", "4000000000009995"), set("cursoId", sqlCourse), set("cartao.cvv", "7531"), set("cartao.numero", "378282246310005")))
	s.bank.trouble = func(op, _, _ string) error {
		if op == "tokenize" {
			return errDown
		}
		return nil
	}
	s.do("POST", payments1, text(ana(set("cartao.numero", "5555555555554444"))))
	s.bank.trouble = nil
	s.do("POST", payments1, text(ana(set("cartao.numero", "4242424242424241"))))
	s.do("POST", payments1, strings.Replace(text(ana(set("cartao.numero", "6011111111111117"))), `"cvv":"987"`, `"cvv":987`, 1))
	s.work()
	var written strings.Builder
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		written.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(written.String(), "ana@exemplo.com.br") {
		t.Fatal("the scan does not see the data")
	}
	if s.logs.String() == "" {
		t.Fatal("nothing was logged: the scan proves nothing")
	}
	everything := written.String() + s.logs.String() + text(s.heard)
	for _, secret := range []string{
		"4111111111111111", "4111 1111 1111 1111", "411111", "378282246310005", "37828224", "5555555555554444", "55555555",
		"4242424242424241", "42424242", "6011111111111117", "60111111", `"987"`, "7531", "cvv",
	} {
		if strings.Contains(everything, secret) {
			t.Errorf("%q was written", secret)
		}
	}
	for _, private := range []string{"ana@exemplo.com.br", "52998224725", "Ana Souza"} {
		if strings.Contains(s.logs.String(), private) {
			t.Errorf("%q was logged", private)
		}
	}
}
