package acquirersim_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	acquirerv1 "trama/contracts/rpc/acquirer/v1"
	"trama/platform/config"
	"trama/services/acquirersim"
	"trama/services/acquirersim/internal/notify"
)

func contextWithin(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}

// notice is what the merchant received.
type notice struct {
	ID        string    `json:"id"`
	Payment   string    `json:"pagamentoId"`
	Charge    string    `json:"cobrancaId"`
	State     string    `json:"situacao"`
	At        time.Time `json:"em"`
	signature string
	body      string
}

// merchant takes notices after refusing the first few.
func merchant(t *testing.T, refuse int) (string, <-chan notice) {
	t.Helper()
	got := make(chan notice, 32)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n := notice{signature: r.Header.Get(notify.Header), body: string(body)}
		if err := json.Unmarshal(body, &n); err != nil {
			t.Errorf("notice: %v: %s", err, body)
		}
		got <- n
		if refuse--; refuse >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/v1/financeiro/retornos", got
}

func receive(t *testing.T, from <-chan notice) notice {
	t.Helper()
	select {
	case n := <-from:
		return n
	case <-time.After(20 * time.Second):
		t.Fatal("no notice came")
		return notice{}
	}
}

func TestPayingAPixTellsTheMerchant(t *testing.T) {
	cfg := defaults(t)
	var got <-chan notice
	cfg.CallbackURL, got = merchant(t, 2)
	cfg.CallbackBackoff = time.Millisecond
	s := start(t, cfg)
	s.run(t)
	ctx := seconds(t)
	c, err := s.client.Charge(ctx, s.pix("payment-1", time.Hour))
	if err != nil || c.State != pending || !strings.HasPrefix(c.Code, "000201") || c.ExpiresAtMillis == 0 {
		t.Fatalf("pix: %v %v", c, err)
	}
	for range 2 { // paying twice is one payment
		var paid map[string]any
		if code := s.ask(t, "POST", "/v1/simulador/cobrancas/"+c.ChargeId+"/pagar", &paid); code != 200 || paid["situacao"] != "aprovada" {
			t.Fatalf("pay: %d %v", code, paid)
		}
	}
	first := receive(t, got)
	if first.Payment != "payment-1" || first.Charge != c.ChargeId || first.State != "aprovada" {
		t.Errorf("notice %+v", first)
	}
	if !strings.Contains(first.body, `"valor":{"valor":"1299.00","moeda":"BRL"}`) {
		t.Errorf("amount missing: %s", first.body)
	}
	for range 2 { // refused twice: the same notice comes again
		if again := receive(t, got); again.ID != first.ID || again.body != first.body {
			t.Errorf("another notice: %+v", again)
		}
	}
	key := sha256.Sum256([]byte("acquirer.callback"))
	seconds, _, _ := strings.Cut(strings.TrimPrefix(first.signature, "t="), ",")
	var unix int64
	if err := json.Unmarshal([]byte(seconds), &unix); err != nil {
		t.Fatalf("signature %q: %v", first.signature, err)
	}
	if want := notify.Sign(key[:], time.Unix(unix, 0), first.body); first.signature != want {
		t.Errorf("signature %q, want %q", first.signature, want)
	}
	if state, err := s.client.GetCharge(ctx, &acquirerv1.GetChargeRequest{IdempotencyKey: "payment-1"}); err != nil || state.State != approved {
		t.Errorf("asked: %v %v", state, err)
	}
	select {
	case n := <-got:
		t.Errorf("a notice too many: %+v", n)
	default:
	}
}

func TestSignatureVector(t *testing.T) {
	// Computed with: printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac segredo
	want := "t=1700000000,v1=41634607aa61528682a37f94a43a64ca2d3a6a30bc8f2fb88f8f754286d90e85"
	if got := notify.Sign([]byte("segredo"), time.Unix(1700000000, 0), `{"a":1}`); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestAnUnpaidChargeExpiresAndTellsTheMerchant(t *testing.T) {
	cfg := defaults(t)
	var got <-chan notice
	cfg.CallbackURL, got = merchant(t, 0)
	s := start(t, cfg)
	ctx := seconds(t)
	c, err := s.client.Charge(ctx, s.pix("late", time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	s.clock.Jump(time.Minute)
	var problem map[string]any
	if code := s.ask(t, "POST", "/v1/simulador/cobrancas/late/pagar", &problem); code != 409 {
		t.Errorf("an expired charge was paid: %d %v", code, problem)
	}
	s.run(t)
	if n := receive(t, got); n.State != "expirada" || n.Charge != c.ChargeId {
		t.Errorf("notice %+v", n)
	}
	res, err := s.client.GetCharge(ctx, &acquirerv1.GetChargeRequest{IdempotencyKey: "late"})
	if err != nil || res.State != expired {
		t.Errorf("asked: %v %v", res, err)
	}
	s.clock.Jump(-time.Hour) // a clock that goes back does not make it payable again
	if code := s.ask(t, "POST", "/v1/simulador/cobrancas/late/pagar", &problem); code != 409 {
		t.Errorf("paid after it was said to be expired: %d", code)
	}
}

func TestANoticeSurvivesARestart(t *testing.T) {
	s := start(t, defaults(t)) // no callback URL: notices wait
	c, err := s.client.Charge(seconds(t), s.pix("kept", time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if code := s.ask(t, "POST", "/v1/simulador/cobrancas/kept/pagar", nil); code != 200 {
		t.Fatalf("pay: %d", code)
	}
	cfg := defaults(t)
	var got <-chan notice
	cfg.CallbackURL, got = merchant(t, 0)
	startIn(t, s.dir, cfg).run(t)
	if n := receive(t, got); n.Charge != c.ChargeId || n.State != "aprovada" {
		t.Errorf("notice %+v", n)
	}
}

func TestBoleto(t *testing.T) {
	s := start(t, defaults(t))
	r := s.pix("b", 72*time.Hour)
	r.Method = acquirerv1.Method_METHOD_BOLETO
	c, err := s.client.Charge(seconds(t), r)
	if err != nil || c.State != pending || len(c.Code) != 47 || !strings.HasSuffix(c.Code, "0000129900") {
		t.Errorf("boleto: %v %v", c, err)
	}
}

func TestRoutesNeedSomebodyNear(t *testing.T) {
	s := start(t, defaults(t))
	for path, method := range map[string]string{
		"/v1/simulador/cobrancas": "GET", "/v1/simulador/cobrancas/x": "GET", "/v1/simulador/cobrancas/x/pagar": "POST",
	} {
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		r.RemoteAddr = "203.0.113.9:4711"
		w := httptest.NewRecorder()
		s.rest.ServeHTTP(w, r)
		if w.Code != 401 || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s from far away: %d %s", method, path, w.Code, w.Body)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1:8080/v1/simulador/cobrancas", nil)
	r.RemoteAddr = "127.0.0.1:4711"
	w := httptest.NewRecorder()
	s.rest.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("from this machine: %d %s", w.Code, w.Body)
	}
}

func TestListing(t *testing.T) {
	s := start(t, defaults(t))
	ctx := seconds(t)
	for _, key := range []string{"a", "b", "c"} {
		if _, err := s.client.Charge(ctx, s.pix(key, time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if code := s.ask(t, "POST", "/v1/simulador/cobrancas/b/pagar", nil); code != 200 {
		t.Fatal(code)
	}
	type page struct {
		Aviso   string
		Itens   []struct{ PagamentoID, Situacao string }
		Proximo string
	}
	var first, second, waiting, one page
	if code := s.ask(t, "GET", "/v1/simulador/cobrancas?limite=2", &first); code != 200 || len(first.Itens) != 2 || first.Itens[0].PagamentoID != "c" || first.Aviso == "" {
		t.Fatalf("first page: %d %+v", code, first)
	}
	if s.ask(t, "GET", "/v1/simulador/cobrancas?limite=2&cursor="+first.Proximo, &second); len(second.Itens) != 1 || second.Itens[0].PagamentoID != "a" || second.Proximo != "" {
		t.Errorf("second page: %+v", second)
	}
	if s.ask(t, "GET", "/v1/simulador/cobrancas?situacao=pendente", &waiting); len(waiting.Itens) != 2 {
		t.Errorf("pending: %+v", waiting)
	}
	if s.ask(t, "GET", "/v1/simulador/cobrancas?pagamento=b", &one); len(one.Itens) != 1 || one.Itens[0].Situacao != "aprovada" {
		t.Errorf("by payment: %+v", one)
	}
	for path, want := range map[string]int{
		"/v1/simulador/cobrancas?limite=0": 422, "/v1/simulador/cobrancas?limite=x": 422, "/v1/simulador/cobrancas/none": 404, "/v1/simulador/nada": 404,
	} {
		if code := s.ask(t, "GET", path, nil); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
	if code := s.ask(t, "GET", "/v1/simulador/cobrancas/b/pagar", nil); code != 405 {
		t.Errorf("GET of a command: %d", code)
	}
}

func TestCardsRoute(t *testing.T) {
	s := start(t, defaults(t))
	var list struct {
		Aviso string
		Itens []struct{ Numero, Descricao string }
	}
	if code := s.ask(t, "GET", "/v1/simulador/cartoes", &list); code != 200 || len(list.Itens) != len(acquirersim.TestCards()) || list.Aviso == "" {
		t.Fatalf("%d %+v", code, list)
	}
	for i, c := range acquirersim.TestCards() {
		if list.Itens[i].Numero != c.Number || list.Itens[i].Descricao != c.PT {
			t.Errorf("%+v, want %+v", list.Itens[i], c)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	if p := defaults(t).Check(); len(p) > 0 {
		t.Errorf("defaults: %+v", p)
	}
	bad := acquirersim.Config{
		Delay: -1, Hang: -1, UnknownAsks: -1, CallbackURL: "ftp://x", CallbackSecret: config.Secret("s"),
		CallbackMaxBackoff: -1, MerchantName: "São Paulo", MerchantCity: strings.Repeat("x", 16),
	}
	seen := map[string]bool{}
	for _, p := range bad.Check() {
		seen[p.Key] = p.Rule != "" && p.Try != ""
	}
	for _, key := range []string{"delay", "hang", "unknownAsks", "callbackUrl", "callbackTimeout", "callbackBackoff", "callbackMaxBackoff", "merchantName", "merchantCity"} {
		if !seen[key] {
			t.Errorf("%s was not refused: %v", key, seen)
		}
	}
}
