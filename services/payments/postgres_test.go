package payments_test

import (
	"testing"

	"trama/platform/enginetest"
	"trama/platform/store/pgstore"
)

// The whole flow on PostgreSQL: the SQL text is the same, the engine is not.
func TestOnPostgres(t *testing.T) {
	db, err := pgstore.Open(t.Context(), pgstore.Options{URL: enginetest.PostgresDatabase(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := newSchool(t, t.TempDir())
	s.over(db, defaults(t), nil)

	card := s.pay(ana(), "Idempotency-Key: k1")
	if again := s.pay(ana(), "Idempotency-Key: k1"); again != card {
		t.Errorf("replay: %s and %s", card, again)
	}
	pix := s.pay(ana(by("pix"), set("cursoId", sqlCourse)))
	twice := s.pay(ana(set("cartao.numero", "5555555555554444")))
	got := names(s.work())
	if a := s.get(twice); a.at("motivo") != "curso-ja-pago" {
		t.Errorf("%s; events %s", a.body, got)
	}
	s.bank.becomes(pix, approved)
	if a := s.tell(s.notice(pix, "aprovada", set("valor.valor", "990.00"))); a.code != 204 {
		t.Errorf("notice: %d %s", a.code, a.body)
	}
	s.work()
	if err := s.deliver(s.enrol(card)); err != nil {
		t.Fatal(err)
	}
	if a := s.get(card); a.at("situacao") != "aprovado" || a.json["final"] != true {
		t.Errorf("%s", a.body)
	}
	if a := s.do("POST", payments1+"/"+pix+"/estorno", `{"motivo":"x"}`, asOperator, "Idempotency-Key: r1"); a.code != 202 {
		t.Errorf("refund: %d %s", a.code, a.body)
	}
	s.work()
	if a := s.get(pix); a.at("situacao") != "estornado" {
		t.Errorf("%s", a.body)
	}
	if a := s.do("GET", payments1+"?limite=2", "", asOperator); len(idsOf(a)) != 2 || a.header.Get("Link") == "" {
		t.Errorf("list: %d %s", a.code, a.body)
	}
	for _, e := range s.heard {
		if err := s.deliver(e); err != nil {
			t.Errorf("%s again: %v", e.Type, err)
		}
	}
	if more := s.waiting(); len(more) > 0 {
		t.Errorf("events from events of the past: %s", names(more))
	}
	if charges, cents := s.bank.kept(); charges != 1 || cents != 129900 {
		t.Errorf("the bank holds %d charges, %d cents", charges, cents)
	}
}
