package lane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
	"trama/platform/telemetry"
)

var errDown = fault.New(fault.Unavailable, "teste-fora-do-ar", fault.Text{EN: "down"})

// rig is a dispatcher under test, in a bubble, with what it settled.
type rig struct {
	*Dispatcher
	mu       sync.Mutex
	verdicts map[uint64][]Outcome
	order    []uint64 // Refs as they were settled for good
}

func newRig(cfg Config, handler bus.Handler) *rig {
	r := &rig{verdicts: map[uint64][]Outcome{}}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Jitter == nil {
		cfg.Jitter = func() float64 { return 0 }
	}
	cfg.Subscription.Name = "teste.faixa"
	cfg.Subscription.Handler = handler
	cfg.Settle = func(x Delivery, out Outcome) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.verdicts[x.Ref] = append(r.verdicts[x.Ref], out)
		if out.Verdict != Again {
			r.order = append(r.order, x.Ref)
		}
	}
	r.Dispatcher = New(cfg)
	return r
}

// last gives the latest verdict of a delivery; 0 when there is none.
func (r *rig) last(ref uint64) Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v := r.verdicts[ref]; len(v) > 0 {
		return v[len(v)-1].Verdict
	}
	return 0
}

// all gives every verdict of a delivery.
func (r *rig) all(ref uint64) []Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.verdicts[ref])
}

func (r *rig) expect(t *testing.T, want map[uint64]Verdict) {
	t.Helper()
	synctest.Wait()
	for ref, v := range want {
		if got := r.last(ref); got != v {
			t.Errorf("delivery %d: verdict %d, want %d", ref, got, v)
		}
	}
}

func delivery(subject string, ref uint64) Delivery {
	return Delivery{Ref: ref, Event: bus.Event{ID: fmt.Sprint("e", ref), Type: "t", Subject: subject, Data: []byte(`"segredo"`)}}
}

// failing fails the first n tries of each event with err.
func failing(n int, err error) bus.Handler {
	var mu sync.Mutex
	tries := map[string]int{}
	return func(_ context.Context, e bus.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if tries[e.ID]++; tries[e.ID] <= n {
			return err
		}
		return nil
	}
}

func TestPolicyByKind(t *testing.T) {
	for _, c := range []struct {
		kind  fault.Kind
		tries int // of a limit of 3; 0: for ever
	}{
		{fault.Internal, 3}, {fault.Conflict, 3}, {fault.Precondition, 3},
		{fault.Malformed, 1}, {fault.Unauthenticated, 1}, {fault.Forbidden, 1}, {fault.NotFound, 1}, {fault.Invalid, 1},
		{fault.Exhausted, 0}, {fault.Unavailable, 0}, {fault.Timeout, 0},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(Config{Subscription: bus.Subscription{MaxAttempts: 3}}, failing(1000, fault.New(c.kind, "x", fault.Text{})))
				r.Offer(delivery("s", 1))
				time.Sleep(time.Hour) // of the bubble: it passes at once
				synctest.Wait()
				all := r.all(1)
				last := all[len(all)-1]
				switch {
				case c.tries == 0 && (last.Verdict != Again || last.Attempts < 60):
					t.Errorf("after an hour: %+v, want still trying", last)
				case c.tries > 0 && (last.Verdict != Dead || last.Attempts != c.tries || last.Kind != c.kind.String()):
					t.Errorf("%+v, want dead after %d tries", last, c.tries)
				}
				if err := r.Drain(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestPauses(t *testing.T) {
	const first = 200 * time.Millisecond
	for _, c := range []struct {
		attempts int
		after    time.Duration
		jitter   float64
		want     time.Duration
	}{
		{1, 0, 0, first}, {2, 0, 0, 2 * first}, {5, 0, 0, 16 * first}, {9, 0, 0, 256 * first},
		{10, 0, 0, time.Minute}, {11, 0, 0, time.Minute}, {5000, 0, 0, time.Minute}, // no overflow
		{1, 0, 1, 150 * time.Millisecond}, {5000, 0, 0.5, 52500 * time.Millisecond},
		{1, 5 * time.Second, 0.5, 5 * time.Second}, {10, 5 * time.Second, 0, time.Minute}, {1, time.Hour, 0, time.Minute},
	} {
		if got := pause(first, c.attempts, c.after, c.jitter); got != c.want {
			t.Errorf("attempt %d, after %s, jitter %g: %s, want %s", c.attempts, c.after, c.jitter, got, c.want)
		}
	}
}

func TestSubjectsFlowBesideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Config{Subscription: bus.Subscription{MaxInFlight: 2, Backoff: time.Second}}, func(_ context.Context, e bus.Event) error {
			time.Sleep(time.Second)
			if e.ID == "e1" {
				return errors.New("no")
			}
			return nil
		})
		r.Offer(delivery("a", 1))
		for ref := uint64(2); ref <= 5; ref++ {
			r.Offer(delivery(string(rune('a'+ref%2)), ref)) // a b a b
		}
		time.Sleep(5500 * time.Millisecond)
		r.expect(t, map[uint64]Verdict{1: Again, 2: 0, 3: Done, 4: 0, 5: Done})
		if err := r.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		r.expect(t, map[uint64]Verdict{1: Returned, 2: Returned, 4: Returned})
	})
}

// What comes behind a waiting head goes to the driver and comes back one by one.
func TestSpill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Config{Spill: true, Subscription: bus.Subscription{Backoff: time.Second}}, failing(1, errDown))
		hold := make(chan struct{})
		r.sub.Handler = func(next bus.Handler) bus.Handler {
			return func(ctx context.Context, e bus.Event) error { <-hold; return next(ctx, e) }
		}(r.sub.Handler)
		r.Offer(delivery("s", 1))
		r.Offer(delivery("s", 2)) // queued before the failure
		close(hold)
		r.expect(t, map[uint64]Verdict{1: Again, 2: Behind})
		r.Offer(delivery("s", 3)) // offered after it
		r.Offer(delivery("t", 4))
		r.expect(t, map[uint64]Verdict{3: Behind, 4: Again})
		time.Sleep(2 * time.Second)
		r.expect(t, map[uint64]Verdict{1: Done, 4: Done})
		r.Offer(delivery("s", 5)) // the driver still keeps 2 and 3
		r.Release("t")
		r.Resume(delivery("s", 2))
		r.expect(t, map[uint64]Verdict{5: Behind, 2: Again})
		time.Sleep(2 * time.Second)
		late := delivery("s", 3)
		late.Attempts, late.Due = 4, time.Now().Add(time.Minute)
		r.Resume(late)
		time.Sleep(59 * time.Second)
		r.expect(t, map[uint64]Verdict{2: Done, 3: Behind})
		time.Sleep(2 * time.Second)
		r.expect(t, map[uint64]Verdict{3: Again})
		if got := r.all(3); got[len(got)-1].Attempts != 5 {
			t.Errorf("%d attempts, want the 4 spent before and 1", got[len(got)-1].Attempts)
		}
		time.Sleep(time.Minute)
		r.Release("s")
		r.Offer(delivery("s", 6))
		time.Sleep(2 * time.Second)
		r.expect(t, map[uint64]Verdict{3: Done, 6: Done})
		if len(r.lines) != 1 { // s: 6 failed once, so it is the driver's again
			t.Errorf("%d lines left, want 1", len(r.lines))
		}
		if err := r.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Config{Spill: true}, failing(0, nil))
		r.Hold("s")
		r.Offer(delivery("s", 1))
		r.expect(t, map[uint64]Verdict{1: Behind})
		r.Release("s")
		r.Offer(delivery("s", 2))
		r.expect(t, map[uint64]Verdict{2: Done})
		if err := r.Drain(t.Context()); err != nil || len(r.lines) != 0 {
			t.Errorf("%v, %d lines left", err, len(r.lines))
		}
	})
}

// The three bounds: deliveries in hand, their bytes, waiting subjects.
func TestBounds(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   Config
		takes int
		fails bool
	}{
		"window":  {Config{Window: 5}, 5, false},
		"bytes":   {Config{WindowBytes: 3 * (512 + 9)}, 3, false},
		"waiting": {Config{Spill: true, Window: 5, MaxWaiting: 7}, 7, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				r := newRig(c.cfg, func(context.Context, bus.Event) error {
					if c.fails {
						select {
						case <-gate:
							return nil
						default:
							return errDown
						}
					}
					<-gate
					return nil
				})
				taken := 0
				for ; taken < 100 && r.Offer(delivery(fmt.Sprint("s", taken), uint64(taken))); taken++ {
					synctest.Wait()
				}
				if taken != c.takes {
					t.Errorf("%d taken, want %d", taken, c.takes)
				}
				for len(r.Room()) > 0 { // what earlier changes said
					<-r.Room()
				}
				close(gate)
				<-r.Room() // comes, or the bubble is deadlocked
				synctest.Wait()
				if !r.Offer(delivery("new", 100)) {
					t.Error("no room after Room")
				}
				if err := r.Drain(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan error)
		r := newRig(Config{Subscription: bus.Subscription{Backoff: time.Minute}}, func(_ context.Context, e bus.Event) error {
			if e.Subject == "waits" {
				return errDown
			}
			return <-gate
		})
		r.Offer(delivery("runs", 1))
		r.Offer(delivery("runs", 2))
		r.Offer(delivery("waits", 3))
		r.Offer(delivery("waits", 4))
		synctest.Wait()
		r.Forget()
		if r.held != 1 || r.waiters != 0 || r.bytes != delivery("x", 1).bytes() {
			t.Errorf("held %d, waiting %d, %d bytes; want the running one only", r.held, r.waiters, r.bytes)
		}
		r.Offer(delivery("runs", 11)) // the same events again, under new refs
		r.Offer(delivery("runs", 12))
		again := delivery("waits", 13)
		again.Attempts, again.Due = 1, time.Now().Add(time.Second)
		r.Offer(again)
		synctest.Wait()
		gate <- errDown // the old try fails: not repeated, its successor is here
		r.expect(t, map[uint64]Verdict{1: Returned, 2: 0, 3: Again, 4: 0, 11: 0, 13: 0})
		gate <- nil
		gate <- nil
		r.expect(t, map[uint64]Verdict{11: Done, 12: Done})
		time.Sleep(2 * time.Second)
		r.expect(t, map[uint64]Verdict{13: Again})
		time.Sleep(time.Hour)
		if r.last(3) != Again || len(r.all(3)) != 1 {
			t.Errorf("a forgotten delivery was tried again: %+v", r.all(3))
		}
		if err := r.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if !slices.Equal(r.order, []uint64{1, 11, 12, 13}) {
			t.Errorf("settled %v", r.order)
		}
	})
}

// While a verdict is being heard (a dead letter on its way), Forget drops what is
// behind it, and what comes anew waits for its end.
func TestForgetDuringSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		safe := make(chan struct{})
		r := newRig(Config{}, failing(1, fault.New(fault.Invalid, "x", fault.Text{})))
		settle := r.cfg.Settle
		r.cfg.Settle = func(x Delivery, out Outcome) {
			if x.Ref == 1 {
				<-safe
			}
			settle(x, out)
		}
		r.Offer(delivery("s", 1))
		r.Offer(delivery("s", 2))
		r.Offer(delivery("alone", 5))
		synctest.Wait()
		r.Forget()
		r.Offer(delivery("s", 11))
		r.expect(t, map[uint64]Verdict{2: 0, 11: 0, 5: Dead})
		close(safe)
		r.expect(t, map[uint64]Verdict{1: Dead, 2: 0, 11: Dead})
		if r.held != 0 || r.bytes != 0 || len(r.lines) != 0 {
			t.Errorf("held %d, %d bytes, %d lines; want nothing", r.held, r.bytes, len(r.lines))
		}
		if err := r.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestDrain(t *testing.T) {
	t.Run("a failure under way counts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			r := newRig(Config{}, func(context.Context, bus.Event) error { <-gate; return errors.New("no") })
			r.Offer(delivery("s", 1))
			r.Offer(delivery("s", 2))
			synctest.Wait()
			go func() { time.Sleep(time.Second); close(gate) }()
			if err := r.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			r.expect(t, map[uint64]Verdict{1: Returned, 2: Returned})
			if v := r.all(1); len(v) != 2 || v[0].Verdict != Again || v[0].Attempts != 1 {
				t.Errorf("%+v, want Again with one attempt, then Returned", v)
			}
			if !r.Offer(delivery("s", 3)) || r.last(3) != Returned {
				t.Error("what comes after Drain is not returned")
			}
		})
	})
	t.Run("an interrupted try does not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(Config{Subscription: bus.Subscription{MaxAttempts: 1}}, func(ctx context.Context, _ bus.Event) error { <-ctx.Done(); return ctx.Err() })
			r.Offer(delivery("s", 1))
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := r.Drain(ctx); err != nil {
				t.Error(err)
			}
			if v := r.all(1); len(v) != 1 || v[0].Verdict != Returned || v[0].Attempts != 0 {
				t.Errorf("%+v, want Returned without an attempt", v)
			}
		})
	})
	t.Run("a handler that does not obey is named", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(Config{}, func(context.Context, bus.Event) error { time.Sleep(time.Hour); return nil })
			r.Offer(delivery("s", 1))
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			err := r.Drain(ctx)
			if err == nil || fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "teste.faixa: 1 handlers") {
				t.Errorf("%v, want to hear of one handler", err)
			}
			if took := time.Since(begin); took != 6*time.Second {
				t.Errorf("took %s, want the second of ctx and 5 s of grace", took)
			}
			time.Sleep(time.Hour) // its end is still heard
			r.expect(t, map[uint64]Verdict{1: Done})
		})
	})
}

// Each failure is one line with what an operator needs, and nothing of the data.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var trace string
		r := newRig(Config{Logger: slog.New(slog.NewJSONHandler(&out, nil)), Subscription: bus.Subscription{MaxAttempts: 2}},
			func(ctx context.Context, _ bus.Event) error {
				trace = telemetry.TraceID(ctx)
				panic("boom")
			})
		x := delivery("s", 1)
		x.Event.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		r.Offer(x)
		time.Sleep(time.Minute)
		r.expect(t, map[uint64]Verdict{1: Dead})
		if trace != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("the handler's context has trace %q", trace)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 2 {
			t.Fatalf("%d lines for two failures:\n%s", len(lines), out.String())
		}
		for i, parts := range [][]string{
			{`"level":"WARN"`, `"attempt":1`, `"next_try":`, `"stack":`}, {`"level":"ERROR"`, `"attempt":2`, `"error":"panic: boom"`},
		} {
			for _, part := range append(parts, `"subscription":"teste.faixa"`, `"event":"e1"`, `"type":"t"`, `"kind":"internal"`,
				`"code":"erro-interno"`, `"trace_id":"0af7651916cd43dd8448eb211c80319c"`) {
				if !strings.Contains(lines[i], part) {
					t.Errorf("line %d has no %s: %s", i, part, lines[i])
				}
			}
		}
		if strings.Contains(out.String(), "segredo") {
			t.Error("the log shows the event's data")
		}
		if err := r.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
