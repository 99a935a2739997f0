// Package faults proves that nothing is lost and nothing happens twice when
// processes die, engines go away and disks fill up.
package faults

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/platform/crash"
	"trama/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// points are the named places at which a process is killed, in the order of the
// flow. A test below holds the list against the source.
var points = []string{
	"marketing.lead", "payments.accepted", "relay.read", "bus.append", "bus.appended", "relay.published", "relay.forgotten",
	"payments.analysed", "acquirersim.charged", "payments.charged", "payments.settled", "bus.cursor",
	"academics.enrolling", "academics.enrolled", "identity.linking", "identity.account", "notifications.queued",
	"identity.hashed", "identity.issued", "notifications.sent", "marketing.reminded",
	"payments.refunded", "academics.cancelling", "academics.cancelled", "acquirersim.notified",
}

// refunds are the points that only a refund passes, pix those of a payment that
// waits for its payer.
var (
	refunds = map[string]bool{"payments.refunded": true, "academics.cancelling": true, "academics.cancelled": true}
	pix     = map[string]bool{"acquirersim.notified": true}
)

// kills says how many deaths a topology gets: its share of TRAMA_TEST_KILLS, or
// enough to pass every point once.
func kills(t *testing.T, percent int) int {
	text := os.Getenv("TRAMA_TEST_KILLS")
	if text == "" {
		return len(points)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("TRAMA_TEST_KILLS=%q: a number of kills", text)
	}
	return max(1, (n*percent+99)/100)
}

// A round takes a quarter of a second in one process and ten times as long split,
// where the survivors have to notice; so the first gets most of the rounds.
func TestKills(t *testing.T) {
	t.Run("one process", func(t *testing.T) { killing(t, harness.Options{}, kills(t, 70)) })
	t.Run("split", func(t *testing.T) { killing(t, harness.Options{Split: true}, kills(t, 30)) })
}

// trial is the system under fire and what it has promised so far.
type trial struct {
	*harness.System
	t       *testing.T
	opt     harness.Options
	armed   string // the file that names the point of the next death
	courses []harness.Course

	mu       sync.Mutex
	payments map[string]promise // by location
	leads    map[string]string  // e-mail → location
	deaths   map[string]int
}

// promise is one accepted payment.
type promise struct {
	harness.Person
	refunded bool
}

// killing runs the flow again and again while a process dies each time, and then
// asks whether every promise was kept.
func killing(t *testing.T, opt harness.Options, n int) {
	x := &trial{t: t, opt: opt, armed: filepath.Join(t.TempDir(), "armed"), payments: map[string]promise{}, leads: map[string]string{}, deaths: map[string]int{}}
	x.opt.Env = []string{crash.EnvVar + "=" + x.armed}
	x.opt.Set = map[string]string{"acquirersim.delay": "0", "log.level": "warn", "marketing.reminders": "1s,1h"}
	x.System = harness.Start(t, x.opt)
	x.courses = x.Courses(t)
	for i := range n {
		x.round(i, points[i*7%len(points)]) // neighbours in the flow share a process; let it recover
	}
	x.verify(n)
}

// round arms a point, sends a lead and a payment the way a stubborn client does,
// and waits for the death and the return of the system.
func (x *trial) round(i int, point string) {
	if err := os.WriteFile(x.armed, []byte(point), 0o600); err != nil {
		x.t.Fatal(err)
	}
	p := harness.NewPerson("kill", i)
	var wg sync.WaitGroup
	wg.Go(func() { x.sendLead(p) })
	if point != "marketing.reminded" { // who pays at once is never reminded
		wg.Go(func() { x.sendPayment(p, i, point) })
	}
	deadline := time.Now().Add(30 * time.Second)
	for x.isArmed() && time.Now().Before(deadline) {
		x.revive()
		time.Sleep(2 * time.Millisecond) // another process's death can only be polled
	}
	if x.isArmed() {
		x.t.Errorf("round %d: nobody passed %s", i, point)
		_ = os.Remove(x.armed)
	} else {
		x.deaths[point]++
		if !x.opt.Split {
			<-x.Ended() // the file goes a moment before the process
		}
	}
	if point == "marketing.reminded" {
		wg.Go(func() { x.sendPayment(p, i, point) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for {
		x.revive()
		select {
		case <-done:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (x *trial) isArmed() bool {
	_, err := os.Stat(x.armed)
	return !errors.Is(err, os.ErrNotExist)
}

// revive starts the one process again after its death; a supervisor does that by itself.
func (x *trial) revive() {
	select {
	case <-x.Ended():
		x.Launch()
	default:
	}
}

// insist repeats a command with one key until it is answered, as a client must
// that does not know whether the first try was heard.
func (x *trial) insist(path, key string, body any, header ...string) (harness.Answer, bool) {
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		a, err := x.Do(ctx, http.MethodPost, path, body, append(header, "Idempotency-Key", key)...)
		cancel()
		switch {
		case err == nil && (a.Status == 200 || a.Status == 201 || a.Status == 202):
			return a, true
		case err == nil && a.Status != 409 && a.Status < 500:
			x.t.Errorf("%s: %d %s", path, a.Status, a.Body)
			return a, false
		}
		time.Sleep(20 * time.Millisecond) // the system is down or busy; ask again
	}
	x.t.Errorf("%s with key %s was never answered", path, key)
	return harness.Answer{}, false
}

func (x *trial) sendLead(p harness.Person) {
	a, ok := x.insist("/marketing/leads", "lead-"+p.CPF, map[string]any{"nome": p.Nome, "email": p.Email, "consentimento": true})
	if ok {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.leads[p.Email] = a.Header.Get("Location")
	}
}

func (x *trial) sendPayment(p harness.Person, i int, point string) {
	body := harness.CardPayment(p, x.courses[i%len(x.courses)].ID, harness.Card(i))
	if pix[point] {
		body["metodo"] = "pix"
		delete(body, "cartao")
	}
	a, ok := x.insist("/financeiro/pagamento", "payment-"+p.CPF, body)
	if !ok {
		return
	}
	location := a.Header.Get("Location")
	if pix[point] {
		paid := x.AwaitPayment(x.t, location, 60*time.Second, func(p harness.Payment) bool { return p.Situacao == "aguardando_pagamento" })
		x.insist("/v1/simulador/cobrancas/"+paid.ID+"/pagar", "pay-"+p.CPF, nil)
	}
	if refunds[point] {
		x.AwaitPayment(x.t, location, 60*time.Second, harness.Enrolled)
		x.insist(location+"/estorno", "refund-"+p.CPF, nil, x.Bearer()...)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.payments[location] = promise{p, refunds[point]}
}

// verify waits until everything accepted has reached its end and counts.
func (x *trial) verify(n int) {
	t := x.t
	x.revive()
	x.AwaitReady()
	for location, p := range x.payments {
		done := harness.Enrolled
		if p.refunded {
			done = func(p harness.Payment) bool { return p.Situacao == "estornado" && p.Matricula != nil }
		}
		x.student(p, x.AwaitPayment(t, location, 90*time.Second, done))
	}
	if len(x.payments) != n || len(x.leads) != n {
		t.Errorf("%d payments and %d leads for %d clients", len(x.payments), len(x.leads), n)
	}
	if got := x.count("/v1/financeiro/pagamentos"); got != n {
		t.Errorf("the service holds %d payments for %d accepted", got, n)
	}
	if got := x.count("/v1/marketing/leads"); got != n {
		t.Errorf("the service holds %d leads for %d accepted", got, n)
	}
	if got := x.count("/v1/academico/alunos"); got != n {
		t.Errorf("%d students for %d payers", got, n)
	}
	if got := x.count("/v1/simulador/cobrancas"); got != n {
		t.Errorf("the acquirer made %d charges for %d payments", got, n)
	}
	welcomes := map[string]int{}
	harness.Eventually(t, 60*time.Second, "a welcome mail for everybody", func() bool {
		welcomes = x.welcomes()
		return len(welcomes) >= n
	})
	duplicates := 0
	for address, count := range welcomes {
		duplicates += count - 1
		if count > 2 {
			t.Errorf("%d welcome mails to %s", count, address)
		}
	}
	if duplicates > x.deaths["notifications.sent"] {
		t.Errorf("%d duplicate mails for %d deaths between sending and recording", duplicates, x.deaths["notifications.sent"])
	}
	total := 0
	for _, point := range points {
		total += x.deaths[point]
	}
	t.Logf("%d kills at %d points: %d payments, %d leads, %d students, %d welcome mails (%d duplicates)",
		total, len(x.deaths), len(x.payments), len(x.leads), n, len(welcomes), duplicates)
	x.Stop()
}

// ask reads a resource of the running system; a part of it may still be coming up.
func (x *trial) ask(path string, out any, header ...string) {
	harness.Eventually(x.t, 30*time.Second, "an answer from "+path, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		a, err := x.Do(ctx, http.MethodGet, path, nil, header...)
		return err == nil && a.Status == 200 && json.Unmarshal(a.Body, out) == nil
	})
}

// student checks that a payment has one student, one enrolment and one charge, in
// the state that belongs to it.
func (x *trial) student(p promise, paid harness.Payment) {
	t := x.t
	enrolment, charge := "ativa", "aprovada"
	if p.refunded {
		enrolment, charge = "cancelada", "estornada"
	}
	var students struct{ Itens []struct{ ID string } }
	x.ask("/v1/academico/alunos?cpf="+p.CPF, &students, x.Bearer()...)
	if len(students.Itens) != 1 || students.Itens[0].ID != paid.Matricula.AlunoID {
		t.Errorf("%s: students %v", p.Email, students.Itens)
	}
	type item struct {
		Situacao    string
		PagamentoID string `json:"pagamentoId"`
	}
	var page struct{ Itens []item }
	harness.Eventually(t, 30*time.Second, "enrolment of "+p.Email+" is "+enrolment, func() bool {
		x.ask("/v1/academico/alunos/"+paid.Matricula.AlunoID+"/matriculas", &page)
		return len(page.Itens) == 1 && page.Itens[0].Situacao == enrolment
	})
	var taken item
	x.ask("/v1/simulador/cobrancas/"+paid.ID, &taken)
	if taken.PagamentoID != paid.ID || taken.Situacao != charge {
		t.Errorf("%s: the acquirer's ledger has %+v, want %s", p.Email, taken, charge)
	}
}

// each gives every item of a paged list.
func (x *trial) each(path string, item func(json.RawMessage), header ...string) {
	sep, cursor := "?", ""
	if strings.Contains(path, "?") {
		sep = "&"
	}
	for {
		var page struct {
			Itens   []json.RawMessage
			Proximo string
		}
		x.ask(path+sep+"limite=100"+cursor, &page, header...)
		for _, i := range page.Itens {
			item(i)
		}
		if page.Proximo == "" {
			return
		}
		cursor = "&cursor=" + url.QueryEscape(page.Proximo)
	}
}

func (x *trial) count(path string) (n int) {
	x.each(path, func(json.RawMessage) { n++ }, x.Bearer()...)
	return n
}

func (x *trial) welcomes() map[string]int {
	out := map[string]int{}
	x.each("/v1/notificacoes/mensagens", func(raw json.RawMessage) {
		var m struct{ Para, Assunto string }
		if err := json.Unmarshal(raw, &m); err != nil {
			x.t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(m.Assunto), "boas-vindas") {
			out[m.Para]++
		}
	})
	return out
}

// TestPointsAreThoseOfTheSource keeps the list above true: a point that no line
// of code names would make its kills a lie.
func TestPointsAreThoseOfTheSource(t *testing.T) {
	inSource := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, part := range strings.Split(string(text), `rash.At("`)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			inSource[name] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range points {
		if !inSource[p] {
			t.Errorf("no code names the point %s", p)
		}
		delete(inSource, p)
	}
	for p := range inSource {
		if _, excused := elsewhere[p]; !excused {
			t.Errorf("the point %s of the source is never killed at", p)
		}
	}
}

// elsewhere are points that this flow does not pass.
var elsewhere = map[string]string{
	"payments.expiry-asked": "a pix or boleto whose time is over; killed in the service's own test",
}
