package faults

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"trama/platform/crash"
	"trama/system"
	"trama/tests/harness"
)

// trial is a system under fire and what it has promised so far.
type trial struct {
	*harness.System // the door by which it is looked at
	t               *testing.T
	parts           map[string]*harness.System // its processes, by service; "" is the one that is everything
	set             map[string]string          // configuration
	folder          string                     // of the files that arm points
	courses         []harness.Course

	mu       sync.Mutex
	doors    []*harness.System  // where clients knock, in turn
	people   int                // numbers given out
	payments map[string]promise // by location
	leads    map[string]string  // e-mail → location
	deaths   map[string]int     // by point
	poisons  []string           // event ids
}

// promise is one accepted payment.
type promise struct {
	harness.Person
	refunded bool
}

// prepare makes a trial of a system that has not started: one process, or one
// for each service. set is added to its configuration.
func prepare(t *testing.T, split bool, set map[string]string) *trial {
	t.Helper()
	return prepareAt(t, filepath.Join(t.TempDir(), "data"), split, set)
}

// prepareAt is prepare with a data folder.
func prepareAt(t *testing.T, data string, split bool, set map[string]string) *trial {
	t.Helper()
	x := &trial{t: t, folder: t.TempDir(), parts: map[string]*harness.System{},
		payments: map[string]promise{}, leads: map[string]string{}, deaths: map[string]int{}}
	opt := harness.Options{Data: data, Set: map[string]string{
		"acquirersim.delay": "0", "log.level": "warn", "marketing.reminders": "500ms,1h"}}
	maps.Copy(opt.Set, set)
	x.set = opt.Set
	add := func(part string, serve []string) *harness.System {
		opt.Serve, opt.Env = serve, []string{crash.EnvVar + "=" + x.armed(part)}
		x.parts[part] = harness.Prepare(t, opt)
		return x.parts[part]
	}
	if !split {
		x.System = add("", nil)
	} else {
		x.System = add("gateway", []string{"gateway"})
		opt.Set["publicUrl"] = x.URL
		for _, service := range system.Services() {
			if service != "gateway" {
				add(service, []string{service})
			}
		}
	}
	x.doors = []*harness.System{x.System}
	return x
}

// armed gives the file that names the point at which a process is to die.
func (x *trial) armed(part string) string { return filepath.Join(x.folder, "armed"+part) }

// begin starts a prepared trial.
func (x *trial) begin() {
	x.t.Helper()
	for _, p := range x.parts {
		p.Launch()
	}
	x.AwaitReady()
	x.courses = x.Courses(x.t)
}

// start is prepare and begin.
func start(t *testing.T, split bool, set map[string]string) *trial {
	t.Helper()
	x := prepare(t, split, set)
	x.begin()
	return x
}

// revive starts the processes that have died again, as a supervisor does.
func (x *trial) revive() {
	for _, p := range x.parts {
		select {
		case <-p.Ended():
			p.Launch()
		default:
		}
	}
}

// stop ends every process in good order.
func (x *trial) stop() {
	x.t.Helper()
	for _, p := range x.parts {
		p.Stop()
	}
}

// next gives the number of a person not seen before.
func (x *trial) next() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.people++
	return x.people
}

// want is what a client wants besides a lead and a card payment.
type want struct {
	refund, pix bool
	noPayment   bool // only the lead
}

// client is one stubborn person: a lead and a payment.
func (x *trial) client(w want) {
	i := x.next()
	p := harness.NewPerson("f", i)
	var wg sync.WaitGroup
	wg.Go(func() { x.sendLead(p) })
	if !w.noPayment {
		wg.Go(func() { x.sendPayment(p, i, w) })
	}
	wg.Wait()
}

// crowd lets n clients come, a few at a time; every third wants the money back.
func (x *trial) crowd(n, together int) {
	slots := make(chan struct{}, together)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() { x.client(want{refund: i%3 == 2}); <-slots })
	}
	wg.Wait()
}

// door gives where the n-th try goes.
func (x *trial) door(n int) *harness.System {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.doors[n%len(x.doors)]
}

// insist repeats a command with one key until it is answered, as a client must
// that does not know whether the first try was heard.
func (x *trial) insist(path, key string, body any, header ...string) (harness.Answer, bool) {
	deadline := time.Now().Add(patience)
	for n := len(key) + int(key[len(key)-1]); time.Now().Before(deadline); n++ {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		a, err := x.door(n).Do(ctx, http.MethodPost, path, body, append(header, "Idempotency-Key", key)...)
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

func (x *trial) sendPayment(p harness.Person, i int, w want) {
	body := harness.CardPayment(p, x.courses[i%len(x.courses)].ID, harness.Card(i))
	if w.pix {
		body["metodo"] = "pix"
		delete(body, "cartao")
	}
	a, ok := x.insist("/financeiro/pagamento", "payment-"+p.CPF, body)
	if !ok {
		return
	}
	location := a.Header.Get("Location")
	x.mu.Lock()
	x.payments[location] = promise{p, w.refund} // from here on it is owed
	x.mu.Unlock()
	if w.pix {
		paid := x.await(location, func(p harness.Payment) bool { return p.Situacao == "aguardando_pagamento" })
		x.insist("/v1/simulador/cobrancas/"+paid.ID+"/pagar", "pay-"+p.CPF, nil)
	}
	if w.refund {
		x.await(location, harness.Enrolled)
		x.insist(location+"/estorno", "refund-"+p.CPF, nil, x.Bearer()...)
	}
}

// await is AwaitPayment at whichever door answers.
func (x *trial) await(location string, done func(harness.Payment) bool) harness.Payment {
	var p harness.Payment
	harness.Eventually(x.t, patience, "payment "+location, func() bool {
		for n := range len(x.doors) {
			if got, err := x.door(n).Payment(location); err == nil {
				p = got
				return done(got)
			}
		}
		return false
	})
	return p
}

// String tells what was promised.
func (x *trial) String() string {
	refunds := 0
	for _, p := range x.payments {
		if p.refunded {
			refunds++
		}
	}
	return fmt.Sprintf("%d payments (%d refunded), %d leads", len(x.payments), refunds, len(x.leads))
}
