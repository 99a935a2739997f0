package payment

import (
	"errors"
	"slices"
	"testing"
	"time"

	"trama/platform/money"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func at(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }

func accepted(m Method) *Payment {
	return Accept(Order{ID: "p1", EnrolmentRef: "m1", Method: m, Price: 1000, Amount: 1000, Installments: 1,
		Card: CardOnFile{Token: "tok", LastFour: "1111"}}, t0)
}

func analysed(t *testing.T, m Method) *Payment {
	t.Helper()
	p := accepted(m)
	if err := p.Analyse(10, []string{"x"}, false, at(30), at(1)); err != nil {
		t.Fatal(err)
	}
	return p
}

// must fails the test at the first error.
func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func steps(p *Payment) []Status {
	var out []Status
	for _, s := range p.State().History {
		out = append(out, s.Status)
	}
	return out
}

func TestCardLife(t *testing.T) {
	p := analysed(t, Card)
	must(t, p.Approve("c1", at(2)))
	s := p.State()
	if s.Card.Token != "" || s.Card.LastFour != "1111" {
		t.Errorf("card on file %+v: the token must be forgotten, the rest kept", s.Card)
	}
	if !s.ExpiresAt.IsZero() {
		t.Error("a card payment expires")
	}
	if p.Final() {
		t.Error("final before the enrolment")
	}
	p.Enrol("a1", "m1", at(3))
	if !p.Final() {
		t.Error("not final after the enrolment")
	}
	must(t, p.RequestRefund("desistiu", at(4)), p.RequestRefund("de novo", at(5)))
	if p.Final() || !p.RefundDue() || p.Status() != Approved {
		t.Errorf("while the refund is under way: final %v, due %v, %s", p.Final(), p.RefundDue(), p.Status())
	}
	must(t, p.GiveBack(at(6)), p.GiveBack(at(7)))
	if !p.Final() || p.RefundDue() || p.KeepsSeat() {
		t.Error("a refunded payment is final and gives its seat back")
	}
	if got, want := steps(p), []Status{Received, Analysing, Approved, Approved, Refunded}; !slices.Equal(got, want) {
		t.Errorf("history %v, want %v", got, want)
	}
	if got, want := p.Happened(), []Happening{HasBeenReceived, HasBeenApproved, RefundIsDue, HasBeenRefunded}; !slices.Equal(got, want) {
		t.Errorf("happened %v, want %v", got, want)
	}
	if s := p.State(); s.RefundNote != "desistiu" || !s.UpdatedAt.Equal(at(6)) {
		t.Errorf("note %q, updated %v", s.RefundNote, s.UpdatedAt)
	}
	if err := p.RequestRefund("", at(8)); !errors.Is(err, ErrState) {
		t.Errorf("refund of a refunded payment: %v", err)
	}
}

func TestPixLife(t *testing.T) {
	p := analysed(t, Pix)
	if !p.State().ExpiresAt.Equal(at(30)) {
		t.Error("no expiry")
	}
	must(t, p.Issue("c1", "000201", at(30), at(2)))
	if p.Settled() || p.Final() || !p.Open() {
		t.Error("a waiting pix is open")
	}
	must(t, p.Refuse(Expired, at(30)))
	if !p.Settled() || !p.Open() || !p.Final() {
		t.Error("an expired pix is settled, but open to a payer who was in time")
	}
	must(t, p.Approve("c1", at(31)))
	if p.Status() != Approved || p.State().Reason != None {
		t.Errorf("%s %q", p.Status(), p.State().Reason)
	}
	if got, want := p.Happened(), []Happening{HasBeenReceived, HasBeenIssued, HasBeenRefused, HasBeenApproved}; !slices.Equal(got, want) {
		t.Errorf("happened %v", got)
	}
}

func TestMoneyForAPaidCourseGoesBack(t *testing.T) {
	for name, prepare := range map[string]func(*Payment) error{
		"while waiting":     func(p *Payment) error { return p.Issue("c1", "0", at(30), at(2)) },
		"before it was due": func(*Payment) error { return nil },
		"after it expired":  func(p *Payment) error { return p.Refuse(Expired, at(30)) },
	} {
		p := analysed(t, Pix)
		must(t, prepare(p))
		must(t, p.SendBack("c1", at(31)), p.SendBack("c1", at(32)))
		if !p.RefundDue() || p.Final() || p.Open() {
			t.Errorf("%s: due %v, final %v, open %v", name, p.RefundDue(), p.Final(), p.Open())
		}
		if err := p.Approve("c1", at(33)); err == nil {
			t.Errorf("%s: approved although the money goes back", name)
		}
		must(t, p.GiveBack(at(33)), p.GiveBack(at(34)))
		if p.Status() != Refused || p.State().Reason != AlreadyPaid || !p.Final() || p.RefundDue() {
			t.Errorf("%s: %s %q", name, p.Status(), p.State().Reason)
		}
		if slices.Contains(p.Happened(), HasBeenApproved) || slices.Contains(p.Happened(), HasBeenRefunded) {
			t.Errorf("%s: the world heard of an approval: %v", name, p.Happened())
		}
	}
}

func TestSuspect(t *testing.T) {
	p := accepted(Card)
	must(t, p.Analyse(100, []string{"velocidade-do-cartao"}, true, time.Time{}, at(1)))
	s := p.State()
	if s.Status != Refused || s.Reason != Fraud || s.Card.Token != "" || s.Score != 100 || len(s.Findings) != 1 {
		t.Errorf("%+v", s)
	}
	if got, want := steps(p), []Status{Received, Analysing, Refused}; !slices.Equal(got, want) {
		t.Errorf("history %v", got)
	}
	if s.Version != 1 {
		t.Errorf("one write is one version, not %d", s.Version)
	}
}

// No verb works in a state that it does not belong to.
func TestWrongStates(t *testing.T) {
	verbs := map[string]func(*Payment) error{
		"analyse":   func(p *Payment) error { return p.Analyse(0, nil, false, t0, t0) },
		"issue":     func(p *Payment) error { return p.Issue("c", "0", t0, t0) },
		"approve":   func(p *Payment) error { return p.Approve("c", t0) },
		"refuse":    func(p *Payment) error { return p.Refuse(ByIssuer, t0) },
		"refund":    func(p *Payment) error { return p.RequestRefund("", t0) },
		"send back": func(p *Payment) error { return p.SendBack("c", t0) },
		"give back": func(p *Payment) error { return p.GiveBack(t0) },
	}
	for name, c := range map[string]struct {
		state State
		allow []string
	}{
		"recebido":            {State{Status: Received, Method: Pix}, []string{"analyse", "refuse"}},
		"em_analise, cartao":  {State{Status: Analysing, Method: Card}, []string{"approve", "refuse", "send back"}},
		"em_analise, pix":     {State{Status: Analysing, Method: Pix}, []string{"issue", "approve", "refuse", "send back"}},
		"aguardando":          {State{Status: Awaiting, Method: Pix}, []string{"approve", "refuse", "send back"}},
		"aprovado":            {State{Status: Approved, Method: Card}, []string{"refund", "give back"}},
		"recusado":            {State{Status: Refused, Reason: ByIssuer}, nil},
		"recusado (expirado)": {State{Status: Refused, Reason: Expired}, []string{"approve", "send back"}},
		"estornado":           {State{Status: Refunded}, []string{"give back"}},
	} {
		for verb, do := range verbs {
			p := Restore(c.state)
			err := do(p)
			if allowed := slices.Contains(c.allow, verb); allowed != (err == nil) {
				t.Errorf("%s in %s: %v", verb, name, err)
			}
			if err != nil && (p.Changed() || len(p.Happened()) > 0) {
				t.Errorf("%s in %s failed and changed something", verb, name)
			}
		}
	}
	if err := Restore(State{Status: Awaiting}).Refuse(None, t0); err == nil {
		t.Error("refused without a reason")
	}
}

func TestVersions(t *testing.T) {
	p := Restore(State{Status: Received, Version: 1, Method: Pix})
	if p.Changed() {
		t.Error("a restored payment is changed")
	}
	must(t, p.Analyse(0, nil, false, at(9), at(1)), p.Issue("c", "0", at(9), at(1)))
	if v := p.State().Version; v != 2 {
		t.Errorf("version %d, want 2: one change of the row", v)
	}
	q := Restore(p.State())
	q.Enrol("a", "m", at(2))
	q.Enrol("a", "m", at(3))
	if s := q.State(); s.Version != 3 || !s.UpdatedAt.Equal(at(2)) {
		t.Errorf("version %d updated %v", s.Version, s.UpdatedAt)
	}
}

func TestAStateIsACopy(t *testing.T) {
	p := analysed(t, Pix)
	p.State().History[0].Status = Refunded
	p.State().Findings[0] = "y"
	if s := p.State(); s.History[0].Status != Received || s.Findings[0] != "x" {
		t.Error("the state can be changed from outside")
	}
}

func TestReasons(t *testing.T) {
	for _, r := range IssuerReasons() {
		if !r.ByTheIssuer() {
			t.Errorf("%s is listed but not counted", r)
		}
	}
	for slug, want := range map[string]Reason{
		"saldo-insuficiente": NoFunds, "algo-novo": ByIssuer, "": ByIssuer, "suspeita-de-fraude": ByIssuer, "expirado": Expired,
	} {
		if got := ReasonOf(slug); got != want {
			t.Errorf("ReasonOf(%q) = %s", slug, got)
		}
	}
	for _, r := range []Reason{ByIssuer, NoFunds, CardBlocked, CardExpired, WrongCVV, ByAcquirer, Fraud, Expired, AlreadyPaid, RefundRequested, Chargeback} {
		if r.Text().PT == "" || r.Text().EN == "" {
			t.Errorf("%s has no words", r)
		}
	}
	if CardBlocked.Text() != ByIssuer.Text() {
		t.Error("a blocked card is told differently")
	}
}

func TestCoupons(t *testing.T) {
	for text, want := range map[string]Coupon{
		"BEMVINDO10:10%": {"BEMVINDO10", 10}, " amigo:99 ": {"AMIGO", 99}, "X:1%": {"X", 1},
	} {
		if got, err := ParseCoupon(text); err != nil || got != want {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "X", "X:0%", "X:100%", ":10%", "X:dez", "X:-5%"} {
		if got, err := ParseCoupon(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
	for price, want := range map[money.Cents]money.Cents{129900: 116910, 999: 899, 1: 1} {
		if got := (Coupon{"X", 10}).Off(price); got != want {
			t.Errorf("10%% off %d is %d, want %d", price, got, want)
		}
	}
}
