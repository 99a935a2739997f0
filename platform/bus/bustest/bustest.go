// Package bustest is the contract of package bus as tests: every driver runs the
// same suite and must pass all of it.
//
// A driver calls Run with a setup that makes empty storage for one test and gives
// a function that opens a bus on it, again and again. The suite closes what it
// opens.
package bustest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/parking"
	"trama/platform/store/migration"
	"trama/platform/store/sqlitestore"
)

// Setup makes empty storage that goes away with t, and gives the way to open a
// bus on it. open fails t when it cannot.
type Setup func(t *testing.T) (open func() bus.Bus)

// Patience is how long the suite waits for something that must happen.
const Patience = 30 * time.Second

// Feature is what a driver has or does beyond the others.
type Feature func(*env)

// MayRepeat says that an event may be delivered twice although nothing failed:
// because the engine takes acknowledgements in the background, so that what was
// acknowledged a moment before a close comes once more, or because its log keeps
// what is published twice. At least once allows it; the inbox removes it.
func MayRepeat(e *env) { e.mayRepeat = true }

// Raw gives the way to put any bytes where the driver keeps a subscription's
// events of type typ, as a foreigner or a broken producer would. b is a bus of the
// test's storage, as open gave it.
func Raw(put func(t *testing.T, b bus.Bus, subscription, typ string, body []byte)) Feature {
	return func(e *env) { e.raw = put }
}

// Run runs the suite against one driver.
func Run(t *testing.T, setup Setup, features ...Feature) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *env)
	}{
		{"publishing/kept until a consumer comes", keptUntilConsumed},
		{"publishing/event arrives as it was sent", fidelity},
		{"publishing/largest event", largeEvent},
		{"publishing/malformed events are refused", malformedRefused},
		{"publishing/repeating is harmless", repeatHarmless},
		{"publishing/ended context and closed bus", publishRefused},
		{"publishing/many at once, none is skipped", manyEvents},
		{"subscribing/only its types, each subscription all", onlyItsTypes},
		{"subscribing/invalid ones are refused", invalidSubscription},
		{"subscribing/consumers take over from each other", takingOver},
		{"order/under failures and retries", orderUnderFailures},
		{"order/a waiting subject holds up no other", waitingSubject},
		{"failing/a dead letter blocks its subject until it is retried", deadLetter},
		{"failing/hopeless kinds are dead at once", hopeless},
		{"failing/transient kinds are tried for ever", transient},
		{"failing/a panic is a failure like another", panicking},
		{"failing/what is no event is a dead letter", brokenMessages},
		{"batches/one failing event fails alone", batches},
		{"draining/back-pressure bounds handlers", backPressure},
		{"draining/waits, hands back, resumes", drainResumes},
		{"draining/an interrupted try spends no attempt", drainInterrupts},
		{"draining/nothing is lost or repeated by reopening", reopen},
		{"log/read", readLog},
		{"log/follow", followLog},
		{"log/backlog", backlog},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &env{t: t, ids: id.New(clock.System{}, rand.Reader)}
			for _, f := range features {
				f(e)
			}
			open := setup(t)
			e.open = func() bus.Bus {
				b := open()
				t.Cleanup(func() { _ = b.Close() })
				return b
			}
			e.lot = NewLot(t)
			e.ctx, e.cancel = context.WithTimeout(t.Context(), 2*Patience)
			t.Cleanup(e.cancel)
			c.test(t, e)
		})
	}
}

// NewLot gives a Parking on a fresh SQLite store that goes away with t.
func NewLot(t testing.TB) *parking.Lot {
	t.Helper()
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(t.TempDir(), "parking.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := migration.Run(t.Context(), db, "platform", outbox.Schema()); err != nil {
		t.Fatal(err)
	}
	return parking.New(db, clock.System{}, "bustest")
}

// TypeA and TypeB are the event types of the suite.
const (
	TypeA = "br.trama.teste.FatoOcorrido.v1"
	TypeB = "br.trama.teste.OutroFatoOcorrido.v1"
)

type env struct {
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc
	open   func() bus.Bus
	ids    id.Source
	lot    *parking.Lot

	mayRepeat bool
	raw       func(t *testing.T, b bus.Bus, subscription, typ string, body []byte)
}

// payload is what the suite's events carry: their number within the subject.
type payload struct {
	N int `json:"n"`
}

// NewEvent makes a well-formed event whose data carry n.
func NewEvent(ids id.Source, typ, subject string, n int) bus.Event {
	data, _ := json.Marshal(payload{N: n}) // a number always encodes
	return bus.Event{SpecVersion: "1.0", ID: ids.New(), Source: "/teste", Type: typ, Subject: subject,
		Time: time.Now().UTC().Truncate(time.Millisecond), DataContentType: "application/json",
		Sequence: strconv.Itoa(n), Data: data}
}

// Number gives n of NewEvent.
func Number(e bus.Event) int {
	n, _ := strconv.Atoi(e.Sequence) // 0 for a foreign event, which no test has
	return n
}

func (e *env) event(typ, subject string, n int) bus.Event { return NewEvent(e.ids, typ, subject, n) }

// series makes events 1..n of each subject, interleaved.
func (e *env) series(typ string, subjects, n int) []bus.Event {
	var out []bus.Event
	for i := 1; i <= n; i++ {
		for s := range subjects {
			out = append(out, e.event(typ, fmt.Sprintf("s%d", s), i))
		}
	}
	return out
}

func (e *env) publish(b bus.Bus, events ...bus.Event) {
	e.t.Helper()
	if err := b.Publish(e.ctx, events...); err != nil {
		e.t.Fatalf("publish: %v", err)
	}
}

func (e *env) declare(b bus.Bus, subs ...bus.Subscription) {
	e.t.Helper()
	if err := b.Declare(e.ctx, subs...); err != nil {
		e.t.Fatalf("declare: %v", err)
	}
}

func (e *env) subscribe(b bus.Bus, s bus.Subscription) bus.Consumer {
	e.t.Helper()
	s.Parking = e.lot
	c, err := b.Subscribe(e.ctx, s)
	if err != nil {
		e.t.Fatalf("subscribe: %v", err)
	}
	e.t.Cleanup(func() { // whatever the test left; Drain is idempotent
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = c.Drain(ctx)
	})
	return c
}

func (e *env) drain(c bus.Consumer) {
	e.t.Helper()
	if err := c.Drain(e.ctx); err != nil {
		e.t.Fatalf("drain: %v", err)
	}
}

// dead waits until the subscription has n dead letters and gives them.
func (e *env) dead(name string, n int) []parking.Entry {
	e.t.Helper()
	return e.letters(parking.Filter{Subscription: name, State: bus.Dead}, n)
}

// letters waits until there are n letters that f selects and gives them.
func (e *env) letters(f parking.Filter, n int) []parking.Entry {
	e.t.Helper()
	var got []parking.Entry
	Eventually(e.t, fmt.Sprintf("%d letters of %+v", n, f), func() bool {
		var err error
		if got, _, err = e.lot.List(e.ctx, f, "", 500); err != nil {
			e.t.Fatalf("letters: %v", err)
		}
		return len(got) == n
	})
	return got
}

// retry does what an operator does when the cause of a failure is gone.
func (e *env) retry(name string, want int) {
	e.t.Helper()
	if n, _, err := e.lot.Retry(e.ctx, parking.Filter{Subscription: name, State: bus.Dead}, "bustest", 0); n != want || err != nil {
		e.t.Fatalf("retry: %d letters, %v; want %d", n, err, want)
	}
}

// checkOnce fails t unless every event that r handled was handled once, where
// the driver promises it.
func (e *env) checkOnce(r *Recorder) {
	e.t.Helper()
	if n, successes := r.Done(); successes != n && !e.mayRepeat {
		e.t.Errorf("%d events but %d successes: something was repeated", n, successes)
	}
}

// Eventually polls until ok; it fails t after Patience.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for pause := time.Millisecond; !ok(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, Patience)
		}
		Pause(pause)
	}
}

// Pause gives others time. It is for what has no event to await, in another
// process or at a broker, and for pacing repetitions; never to make a test pass.
func Pause(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}
