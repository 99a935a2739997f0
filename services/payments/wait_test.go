package payments_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/contracts/events"
	acquirerv1 "trama/contracts/rpc/acquirer/v1"
	"trama/platform/fault"
)

const (
	approved = acquirerv1.ChargeState_CHARGE_STATE_APPROVED
	expired  = acquirerv1.ChargeState_CHARGE_STATE_EXPIRED
)

// sign gives the signature header of a notice sent at a time.
func sign(key []byte, at time.Time, body string) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("Trama-Assinatura: t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

// notice is what the acquirer tells about a payment's charge.
func (s *school) notice(id, situacao string, changes ...func(map[string]any)) string {
	n := map[string]any{
		"id": "aviso-" + id, "pagamentoId": id, "situacao": situacao, "em": "2026-11-20T14:25:00Z",
		"valor": map[string]any{"valor": "1299.00", "moeda": "BRL"}, "campoNovo": true,
	}
	s.bank.mu.Lock()
	if c := s.bank.charges[id]; c != nil {
		n["cobrancaId"] = c.ChargeId
	}
	s.bank.mu.Unlock()
	for _, c := range changes {
		c(n)
	}
	return text(n)
}

// tell sends a well signed notice.
func (s *school) tell(body string) answer {
	s.t.Helper()
	return s.do("POST", "/v1/financeiro/retornos", body, sign(secret("acquirer.callback"), s.clock.Now(), body))
}

// issued gives a pix that waits for its payer.
func (s *school) issued() string {
	s.t.Helper()
	id := s.pay(ana(by("pix")))
	s.work()
	return id
}

func TestPixPaid(t *testing.T) {
	s := start(t)
	id := s.pay(ana(by("pix")))
	got := s.work()
	if names(got) != "PagamentoRecebido CobrancaEmitida" {
		t.Fatalf("events: %s", names(got))
	}
	issued := data[events.CobrancaEmitida](t, got[1])
	if issued.Codigo != "codigo-cob0" || issued.Metodo != "pix" || issued.Pagador.Email != "ana@exemplo.com.br" || !issued.ExpiraEm.After(s.clock.Now()) {
		t.Errorf("%+v", issued)
	}
	a := s.get(id)
	if a.at("situacao") != "aguardando_pagamento" || a.at("instrucoes", "copiaECola") != "codigo-cob0" || a.at("instrucoes", "expiraEm") == "" ||
		a.at("instrucoes", "linhaDigitavel") != "" {
		t.Errorf("%s", a.body)
	}
	s.bank.becomes(id, approved)
	for range 2 { // at least once
		if a := s.tell(s.notice(id, "aprovada")); a.code != 204 {
			t.Fatalf("notice: %d %s", a.code, a.body)
		}
	}
	if got := s.work(); names(got) != "PagamentoProcessado" || data[events.PagamentoProcessado](t, got[0]).Metodo != "pix" {
		t.Errorf("events: %s", text(got))
	}
	if a := s.get(id); a.at("situacao") != "aprovado" || a.steps() != "recebido em_analise aguardando_pagamento aprovado" {
		t.Errorf("%s", a.body)
	}
}

func TestBoletoShowsItsLine(t *testing.T) {
	s := start(t)
	id := s.pay(ana(by("boleto")))
	s.work()
	if a := s.get(id); a.at("instrucoes", "linhaDigitavel") != "codigo-cob0" || a.at("instrucoes", "copiaECola") != "" {
		t.Errorf("%s", a.body)
	}
}

func TestForgedNotices(t *testing.T) {
	s := start(t)
	id := s.issued()
	s.bank.becomes(id, approved)
	key, now, body := secret("acquirer.callback"), s.clock.Now(), s.notice(id, "aprovada")
	good := sign(key, now, body)
	for name, header := range map[string]string{
		"no signature":              "X-Other: x",
		"another key":               sign([]byte("guess"), now, body),
		"another body":              sign(key, now, strings.Replace(body, "1299", "1298", 1)),
		"no time":                   "Trama-Assinatura: v1=" + strings.Split(good, "v1=")[1],
		"another time":              strings.Replace(good, "t=", "t=1", 1),
		"no digest":                 strings.Split(good, ",")[0],
		"an empty digest":           strings.Split(good, ",")[0] + ",v1=",
		"a digest of another kind":  strings.Replace(good, "v1=", "v0=", 1),
		"six minutes old":           sign(key, now.Add(-6*time.Minute), body),
		"six minutes ahead":         sign(key, now.Add(6*time.Minute), body),
		"two times":                 good + fmt.Sprintf(",t=%d", now.Unix()),
		"the operator's token only": asOperator,
	} {
		a := s.do("POST", "/v1/financeiro/retornos", body, header)
		if a.code != 401 || !strings.HasSuffix(a.at("type"), "/assinatura-invalida") {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
	if a := s.get(id); a.at("situacao") != "aguardando_pagamento" {
		t.Fatalf("a forged notice counted: %s", a.body)
	}
	for name, header := range map[string]string{
		"four minutes old":      sign(key, now.Add(-4*time.Minute), body),
		"beside an older key's": strings.Replace(good, ",v1=", ",v1=00ff,v1=", 1),
	} {
		if a := s.do("POST", "/v1/financeiro/retornos", body, header); a.code != 204 {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
	if a := s.do("GET", "/v1/financeiro/retornos", ""); a.code != 405 {
		t.Errorf("GET: %d", a.code)
	}
}

// A notice is only a reason to ask: what it claims counts for nothing.
func TestNoticesThatClaimTooMuch(t *testing.T) {
	s := start(t)
	id := s.issued()
	for name, c := range map[string]struct {
		body string
		code int
	}{
		"paid, says the notice only":  {s.notice(id, "aprovada"), 204},
		"another amount":              {s.notice(id, "aprovada", set("valor.valor", "1.00")), 422},
		"another money":               {s.notice(id, "aprovada", set("valor.moeda", "USD")), 422},
		"no amount":                   {s.notice(id, "aprovada", func(n map[string]any) { delete(n, "valor") }), 422},
		"another charge":              {s.notice(id, "aprovada", set("cobrancaId", "cob999")), 404},
		"no such payment":             {s.notice("01980a53-10aa-7c11-8f00-2b7d9e6c5aff", "aprovada"), 404},
		"an unknown situation":        {s.notice(id, "talvez"), 422},
		"refunded before it was paid": {s.notice(id, "estornada"), 204},
	} {
		if a := s.tell(c.body); a.code != c.code {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
	if a := s.get(id); a.at("situacao") != "aguardando_pagamento" {
		t.Errorf("%s", a.body)
	}
	if got := s.work(); len(got) > 0 {
		t.Errorf("events: %s", names(got))
	}
	s.bank.trouble = once("find", "before", 1, errDown)
	if a := s.tell(s.notice(id, "aprovada")); a.code != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("acquirer down: %d %s", a.code, a.body)
	}
}

// The acquirer's notice may overtake the recording of the charge.
func TestANoticeBeforeTheChargeIsRecorded(t *testing.T) {
	s := start(t)
	id := s.pay(ana(by("pix")))
	s.bank.trouble = both(once("charge", "after", 1, errLost), once("find", "before", 1, errLost))
	event := s.waiting()[0]
	if err := s.deliver(event); !fault.KindOf(err).Transient() {
		t.Fatal(err)
	}
	s.bank.becomes(id, approved)
	if a := s.tell(s.notice(id, "aprovada")); a.code != 204 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	if got := s.work(); names(got) != "PagamentoRecebido PagamentoProcessado" {
		t.Errorf("events: %s", names(got))
	}
	if a := s.get(id); a.steps() != "recebido em_analise aprovado" {
		t.Errorf("%s", a.body)
	}
}

// expire looks once for payments whose time is over.
func (s *school) expire() { s.t.Helper(); s.run("payments.expiry") }

// is fails the test unless the payment is in a state.
func (s *school) is(id, situacao string) {
	s.t.Helper()
	if a := s.get(id); a.at("situacao") != situacao {
		s.t.Fatalf("want %s: %s", situacao, a.body)
	}
}

func TestPixExpires(t *testing.T) {
	s := start(t)
	id := s.issued()
	s.clock.Jump(29 * time.Minute)
	early := s.pay(ana(by("boleto"), set("cursoId", sqlCourse)))
	s.work()
	s.clock.Jump(time.Minute)
	s.expire()
	if a := s.get(id); a.at("situacao") != "aguardando_pagamento" || s.bank.calls(id) != "charge find" {
		t.Errorf("while the acquirer still waits, within the grace: %s, calls %s", a.body, s.bank.calls(id))
	}
	s.bank.becomes(id, expired)
	s.expire()
	s.is(id, "recusado")
	got := s.work()
	if names(got) != "PagamentoRecusado" || data[events.PagamentoRecusado](t, got[0]).Motivo != "expirado" {
		t.Errorf("events: %s", text(got))
	}
	if a := s.get(early); a.at("situacao") != "aguardando_pagamento" {
		t.Errorf("a boleto lives longer: %s", a.body)
	}
}

func TestPixExpiresAfterTheGraceWhateverTheAcquirerWaitsFor(t *testing.T) {
	s := start(t)
	id := s.issued()
	s.clock.Jump(31*time.Minute + time.Second)
	s.expire()
	s.is(id, "recusado")
}

// A payer who was in time is approved, before or after we gave up on him.
func TestPaidAtTheLastMoment(t *testing.T) {
	s := start(t)
	id := s.issued()
	s.clock.Jump(31 * time.Minute)
	s.bank.becomes(id, approved)
	s.expire()
	s.is(id, "aprovado")
	if got := s.work(); names(got) != "PagamentoProcessado" {
		t.Errorf("events: %s", names(got))
	}

	late := s.pay(ana(by("pix"), set("cursoId", sqlCourse)))
	s.work()
	s.bank.becomes(late, expired)
	s.clock.Jump(31 * time.Minute)
	s.expire()
	s.is(late, "recusado")
	s.bank.becomes(late, approved)
	body := s.notice(late, "aprovada", set("valor.valor", "990.00"))
	if a := s.tell(body); a.code != 204 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	if got := s.work(); names(got) != "PagamentoRecusado PagamentoProcessado" {
		t.Errorf("events: %s", names(got))
	}
	if a := s.get(late); a.at("situacao") != "aprovado" || a.at("motivo") != "" {
		t.Errorf("%s", a.body)
	}
}

// The payment and the end of the time race each other: whoever wins, there is one
// outcome and it is the acquirer's.
func TestPaymentRacesExpiry(t *testing.T) {
	s := start(t)
	var ids []string
	for i := range 12 {
		id := s.pay(ana(by("pix"), set("aluno.cpf", cpf(i)), set("aluno.email", fmt.Sprintf("p%d@exemplo.com.br", i))))
		ids = append(ids, id)
	}
	s.work()
	s.clock.Jump(31 * time.Minute)
	for i, id := range ids {
		if i%2 == 0 {
			s.bank.becomes(id, approved)
		} else {
			s.bank.becomes(id, expired)
		}
	}
	var wg sync.WaitGroup
	for i, id := range ids {
		situacao := "expirada"
		if i%2 == 0 {
			situacao = "aprovada"
		}
		body := s.notice(id, situacao)
		wg.Go(func() {
			if a := s.tell(body); a.code != 204 {
				t.Errorf("%d %s", a.code, a.body)
			}
		})
	}
	s.expire()
	wg.Wait()
	for i, id := range ids {
		want := "recusado"
		if i%2 == 0 {
			want = "aprovado"
		}
		if a := s.get(id); a.at("situacao") != want {
			t.Errorf("%d: %s", i, a.body)
		}
	}
	if got := s.work(); len(got) != len(ids) {
		t.Errorf("%d events for %d outcomes: %s", len(got), len(ids), names(got))
	}
}

// cpf gives the n-th of many valid numbers.
func cpf(n int) string {
	base := fmt.Sprintf("%09d", 123000000+n)
	for _, size := range []int{9, 10} {
		sum := 0
		for i := range size {
			sum += int(base[i]-'0') * (size + 1 - i)
		}
		base += string(rune('0' + sum*10%11%10))
	}
	return base
}

// One payment that cannot be settled does not hold up those behind it.
func TestExpiryGoesOnBehindATroubledPayment(t *testing.T) {
	s := start(t)
	bad := s.issued()
	good := s.pay(ana(by("pix"), set("cursoId", sqlCourse)))
	s.work()
	s.bank.trouble = func(op, _, key string) error {
		if op == "find" && key == bad {
			return errDown
		}
		return nil
	}
	s.clock.Jump(32 * time.Minute)
	s.expire()
	s.is(good, "recusado")
	if a := s.get(bad); a.at("situacao") != "aguardando_pagamento" {
		t.Errorf("refused without the last question: %s", a.body)
	}
}

// Money that arrives for a course that is paid goes back.
func TestPixPaidAfterACard(t *testing.T) {
	s := start(t)
	pix := s.issued()
	card := s.pay(ana())
	s.work()
	s.bank.becomes(pix, approved)
	if a := s.tell(s.notice(pix, "aprovada")); a.code != 204 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	got := s.work()
	if names(got) != "EstornoSolicitado PagamentoRecusado" || data[events.PagamentoRecusado](t, got[1]).Motivo != "curso-ja-pago" {
		t.Errorf("events: %s", text(got))
	}
	if a := s.get(pix); a.at("situacao") != "recusado" || a.at("motivo") != "curso-ja-pago" || a.json["final"] != true {
		t.Errorf("%s", a.body)
	}
	if a := s.get(card); a.at("situacao") != "aprovado" {
		t.Errorf("%s", a.body)
	}
	if charges, _ := s.bank.kept(); charges != 1 {
		t.Errorf("the bank holds %d charges", charges)
	}
	// The acquirer says it again: nothing more happens.
	if a := s.tell(s.notice(pix, "estornada")); a.code != 204 {
		t.Errorf("%d %s", a.code, a.body)
	}
	if got := s.work(); len(got) > 0 {
		t.Errorf("events: %s", names(got))
	}
}

// The acquirer gives money back by itself (a dispute).
func TestChargeback(t *testing.T) {
	s := start(t)
	id := s.pay(ana())
	s.work()
	s.bank.becomes(id, acquirerv1.ChargeState_CHARGE_STATE_REFUNDED)
	if a := s.tell(s.notice(id, "estornada")); a.code != 204 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	if got := s.work(); names(got) != "PagamentoEstornado" {
		t.Errorf("events: %s", names(got))
	}
	if a := s.get(id); a.at("situacao") != "estornado" || a.at("motivo") != "devolvido-pela-adquirente" {
		t.Errorf("%s", a.body)
	}
}

func TestOldKeysAreForgotten(t *testing.T) {
	s := start(t)
	s.pay(ana(), "Idempotency-Key: k1")
	s.clock.Jump(day + time.Second)
	if note := s.run("payments.idempotency"); note != "1 chaves esquecidas" {
		t.Errorf("note %q", note)
	}
	var n int
	if err := s.db.QueryRow(t.Context(), `SELECT COUNT(*) FROM idempotency`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d keys are left (%v)", n, err)
	}
}

func TestConfigCheck(t *testing.T) {
	if p := defaults(t).Check(); len(p) > 0 {
		t.Errorf("defaults: %+v", p)
	}
	if p := defaults(t).Fraud.Check(); len(p) > 0 {
		t.Errorf("fraud defaults: %+v", p)
	}
	bad := defaults(t)
	bad.Coupons, bad.PixExpiry, bad.InFlight, bad.MaxInstallments = []string{"X:100%"}, 0, 0, 0
	bad.Fraud.MaxPerCard, bad.Fraud.Threshold, bad.Fraud.HomeCountry, bad.Fraud.RefusedCountries = 1001, 0, "brasil", []string{"xx"}
	seen := map[string]bool{}
	for _, p := range append(bad.Check(), bad.Fraud.Check()...) {
		seen[p.Key] = p.Rule != "" && p.Try != ""
	}
	for _, key := range []string{"coupons", "pixExpiry", "inFlight", "maxInstallments", "maxPerCard", "threshold", "homeCountry", "refusedCountries"} {
		if !seen[key] {
			t.Errorf("%s was not refused: %v", key, seen)
		}
	}
}
