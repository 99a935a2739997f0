package acquirersim_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	acquirerv1 "trama/contracts/rpc/acquirer/v1"
	"trama/services/acquirersim"
)

const (
	approved = acquirerv1.ChargeState_CHARGE_STATE_APPROVED
	refused  = acquirerv1.ChargeState_CHARGE_STATE_REFUSED
	pending  = acquirerv1.ChargeState_CHARGE_STATE_PENDING
	expired  = acquirerv1.ChargeState_CHARGE_STATE_EXPIRED
	refunded = acquirerv1.ChargeState_CHARGE_STATE_REFUNDED
)

func (s *sim) token(t *testing.T, number string) string {
	t.Helper()
	res, err := s.client.Tokenize(seconds(t), &acquirerv1.TokenizeRequest{
		Number: number, Holder: "ANA SOUZA", ExpiryMonth: 12, ExpiryYear: 2099, Cvv: "987",
	})
	if err != nil {
		t.Fatalf("tokenize: %v", err)
	}
	return res.Token
}

func card(token, key string) *acquirerv1.ChargeRequest {
	return &acquirerv1.ChargeRequest{
		IdempotencyKey: key, Method: acquirerv1.Method_METHOD_CARD, AmountCents: 129900, Token: token, Installments: 1,
	}
}

func (s *sim) pix(key string, in time.Duration) *acquirerv1.ChargeRequest {
	return &acquirerv1.ChargeRequest{
		IdempotencyKey: key, Method: acquirerv1.Method_METHOD_PIX, AmountCents: 129900,
		ExpiresAtMillis: s.clock.Now().Add(in).UnixMilli(),
	}
}

func TestTestCards(t *testing.T) {
	s := start(t, defaults(t))
	want := map[string]acquirerv1.ChargeState{
		"aprovar": approved, "recusar": refused, "sem-saldo": refused, "bloqueado": refused, "vencido": refused, "cvv-errado": refused,
	}
	for _, c := range acquirersim.TestCards() {
		state, listed := want[c.Behavior]
		if !listed {
			continue // the ones that lose their answer have tests of their own
		}
		res, err := s.client.Charge(seconds(t), card(s.token(t, c.Number), "key-"+c.Number))
		if err != nil || res.State != state || (res.State == refused) != (res.Reason != "") {
			t.Errorf("%s: %v %v", c.Behavior, res, err)
		}
	}
	// Any other number approves.
	if res, err := s.client.Charge(seconds(t), card(s.token(t, "4242424242424242"), "other")); err != nil || res.State != approved {
		t.Errorf("another card: %v %v", res, err)
	}
}

func TestTheCardIsNeverWritten(t *testing.T) {
	s := start(t, defaults(t))
	for i, number := range []string{"4111111111111111", "4000000000009995", "4242424242424242"} {
		token := s.token(t, number)
		if strings.Contains(token, number[12:]) {
			t.Errorf("the token holds the card: %s", token)
		}
		if _, err := s.client.Charge(seconds(t), card(token, fmt.Sprint("key", i))); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{number, number[:10], token} {
			if at := onDisk(t, s.dir, secret); at != "" {
				t.Errorf("%q is in %s", secret, at)
			}
			if strings.Contains(s.logs.String(), secret) {
				t.Errorf("%q was logged", secret)
			}
		}
	}
}

func TestBadRequests(t *testing.T) {
	s := start(t, defaults(t))
	ctx := seconds(t)
	for _, number := range []string{"4111111111111112", "", "41111111111", "4111 1111 1111 1111"} {
		if _, err := s.client.Tokenize(ctx, &acquirerv1.TokenizeRequest{Number: number}); kind(err) != "invalid/cartao-invalido" {
			t.Errorf("tokenize %q: %v", number, err)
		}
	}
	good := s.token(t, "4111111111111111")
	for name, r := range map[string]*acquirerv1.ChargeRequest{
		"no key":          card(good, ""),
		"no installments": {IdempotencyKey: "k", Method: acquirerv1.Method_METHOD_CARD, AmountCents: 1, Token: good},
		"no amount":       {IdempotencyKey: "k", Method: acquirerv1.Method_METHOD_CARD, Token: good, Installments: 1},
		"no method":       {IdempotencyKey: "k", AmountCents: 1, ExpiresAtMillis: 1},
		"no expiry":       {IdempotencyKey: "k", AmountCents: 1, Method: acquirerv1.Method_METHOD_PIX},
		"forged token":    card("tok_sim_AAAA", "k"),
	} {
		want := "invalid/cobranca-invalida"
		if name == "forged token" {
			want = "invalid/token-de-cartao-invalido"
		}
		if _, err := s.client.Charge(ctx, r); kind(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.client.GetCharge(ctx, &acquirerv1.GetChargeRequest{IdempotencyKey: "k"}); kind(err) != "not_found/cobranca-inexistente" {
		t.Errorf("a refused request left a charge: %v", err)
	}
}

func TestOneKeyIsOneCharge(t *testing.T) {
	s := start(t, defaults(t))
	ctx := seconds(t)
	token := s.token(t, "4111111111111111")
	ids := make([]string, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			if res, err := s.client.Charge(ctx, card(token, "same")); err == nil {
				ids[i] = res.ChargeId
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("one key, charges %v", ids)
		}
	}
	other := card(token, "same")
	other.AmountCents++
	if _, err := s.client.Charge(ctx, other); kind(err) != "conflict/chave-de-outra-cobranca" {
		t.Errorf("another amount under the same key: %v", err)
	}
	// The ledger outlives the process.
	again := startIn(t, s.dir, defaults(t))
	if res, err := again.client.Charge(ctx, card(again.token(t, "4111111111111111"), "same")); err != nil || res.ChargeId != ids[0] {
		t.Errorf("after a restart: %v %v", res, err)
	}
}

func TestTimeoutThenApprove(t *testing.T) {
	s := start(t, defaults(t))
	ctx := seconds(t)
	token := s.token(t, "4000000000000119")
	if _, err := s.client.Charge(ctx, card(token, "k")); kind(err) != "timeout/adquirente-sem-resposta" {
		t.Fatalf("the first answer must not arrive: %v", err)
	}
	found, err := s.client.GetCharge(ctx, &acquirerv1.GetChargeRequest{IdempotencyKey: "k"})
	if err != nil || found.State != approved {
		t.Fatalf("asked again: %v %v", found, err)
	}
	if again, err := s.client.Charge(ctx, card(token, "k")); err != nil || again.ChargeId != found.ChargeId || again.State != approved {
		t.Errorf("charged again: %v %v", again, err)
	}
}

func TestTimeoutThenUnknown(t *testing.T) {
	cfg := defaults(t)
	cfg.UnknownAsks = 2
	s := start(t, cfg)
	ctx := seconds(t)
	token := s.token(t, "4000000000000341")
	for ask := range cfg.UnknownAsks {
		if _, err := s.client.Charge(ctx, card(token, "k")); kind(err) != "timeout/adquirente-sem-resposta" {
			t.Fatalf("charge %d: %v", ask, err)
		}
		if _, err := s.client.GetCharge(ctx, &acquirerv1.GetChargeRequest{IdempotencyKey: "k"}); kind(err) != "not_found/cobranca-inexistente" {
			t.Fatalf("ask %d: %v", ask, err)
		}
	}
	first, err := s.client.Charge(ctx, card(token, "k"))
	if err != nil || first.State != approved {
		t.Fatalf("repeated with its key: %v %v", first, err)
	}
	found, err := s.client.GetCharge(ctx, &acquirerv1.GetChargeRequest{IdempotencyKey: "k"})
	if err != nil || found.ChargeId != first.ChargeId {
		t.Errorf("found: %v %v", found, err)
	}
}

func TestTheAnswerComesAfterTheDeadline(t *testing.T) {
	cfg := defaults(t)
	cfg.Hang = time.Hour
	s := start(t, cfg)
	token := s.token(t, "4000000000000119")
	ctx, cancel := contextWithin(t, 100*time.Millisecond)
	defer cancel()
	if _, err := s.client.Charge(ctx, card(token, "k")); !strings.HasPrefix(kind(err), "timeout/") {
		t.Fatalf("want a timeout, got %v", err)
	}
	if found, err := s.client.GetCharge(seconds(t), &acquirerv1.GetChargeRequest{IdempotencyKey: "k"}); err != nil || found.State != approved {
		t.Errorf("the charge was made: %v %v", found, err)
	}
}

func TestRefund(t *testing.T) {
	s := start(t, defaults(t))
	ctx := seconds(t)
	res, err := s.client.Charge(ctx, card(s.token(t, "4111111111111111"), "k"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		back, err := s.client.Refund(ctx, &acquirerv1.RefundRequest{ChargeId: res.ChargeId, IdempotencyKey: "k-estorno"})
		if err != nil || back.State != refunded {
			t.Fatalf("refund: %v %v", back, err)
		}
	}
	no, err := s.client.Charge(ctx, card(s.token(t, "4000000000000002"), "no"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Refund(ctx, &acquirerv1.RefundRequest{ChargeId: no.ChargeId}); kind(err) != "conflict/cobranca-nao-aprovada" {
		t.Errorf("refund of a refused charge: %v", err)
	}
	if _, err := s.client.Refund(ctx, &acquirerv1.RefundRequest{ChargeId: "none"}); kind(err) != "not_found/cobranca-inexistente" {
		t.Errorf("refund of nothing: %v", err)
	}
}
