package lane

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
	"trama/platform/telemetry"
)

// blocking is a handler that reports each call and waits for what it shall answer.
func blocking() (handler bus.Handler, entered chan string, answer chan error) {
	entered, answer = make(chan string, 100), make(chan error)
	return func(ctx context.Context, e bus.Event) error {
		entered <- e.ID
		select {
		case err := <-answer:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}, entered, answer
}

func TestLeaseLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, entered, answer := blocking()
		r := newRig(t, Config{Subscription: bus.Subscription{MaxAttempts: 1}}, handler)
		r.publish(delivery("s", 1), delivery("s", 2))
		<-entered
		r.lot.lose() // the handler is interrupted, and its try does not count
		settle(time.Second)
		if r.lot.leases != 2 || r.opened != 2 || r.closed != 1 || len(r.lot.all()) != 0 || len(entered) != 1 {
			t.Errorf("%d leases, %d streams, %d closed, parked %v, %d tries since", r.lot.leases, r.opened, r.closed, r.lot.ids(), len(entered))
		}
		answer <- nil
		answer <- nil
		settle(0)
		equal(t, "done", r.order, []uint64{0, 1})
	})
}

// Operators who hold a subscription get its lease as soon as its handlers end,
// and the consumer has it back when they let go.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, entered, answer := blocking()
		r := newRig(t, Config{}, handler)
		r.publish(delivery("s", 1), delivery("s", 2))
		<-entered
		got := make(chan bus.Lease)
		go func() {
			l, err := r.lot.Lease(context.Background(), "")
			if err != nil {
				t.Error(err)
			}
			got <- l
		}()
		r.lot.hold(true)
		settle(5 * time.Second)
		select {
		case <-got:
			t.Error("the lease was given up beside a handler")
		default:
		}
		answer <- nil // in good order, not interrupted
		l := <-got
		r.lot.hold(false)
		settle(time.Minute)
		equal(t, "done", r.order, []uint64{0})
		if err := l.Release(); err != nil {
			t.Error(err)
		}
		<-entered
		answer <- nil
		settle(0)
		equal(t, "done", r.order, []uint64{0, 1})
	})
}

// What keeps a term from beginning is tried again with pauses, and logged once.
func TestOutageOfLeaseAndStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeeds(nil)
		r := newRig(t, Config{}, h.handle)
		r.publish(delivery("s", 1))
		settle(2 * time.Second)
		calls := 0
		r.lot.failing(func(op string) error {
			calls++
			if op == "lease" {
				return errDown
			}
			return nil
		})
		r.broken <- errors.New("cut")
		settle(time.Minute)
		if calls < 55 || calls > 75 {
			t.Errorf("%d tries in a minute, want about one a second", calls)
		}
		r.mu.Lock()
		r.openErr = errors.New("no broker")
		r.mu.Unlock()
		r.lot.failing(nil)
		settle(time.Minute)
		r.mu.Lock()
		r.openErr = nil
		r.mu.Unlock()
		r.publish(delivery("s", 2))
		settle(2 * time.Second)
		equal(t, "handled", h.list(), []string{"s-1", "s-2"})
		for part, want := range map[string]int{"cannot consume": 1, "consuming again": 1, "cut": 1} {
			if n := strings.Count(r.out.String(), part); n != want {
				t.Errorf("%q is logged %d times, want %d:\n%s", part, n, want, r.out.String())
			}
		}
	})
}

// A consumer that waits for its turn drains at once.
func TestDrainWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newDeeds(nil)
		r := newRig(t, Config{}, h.handle)
		synctest.Wait()
		second := Consume(r.consumer.cfg, r.open)
		synctest.Wait()
		if err := second.Drain(t.Context()); err != nil || r.opened != 1 {
			t.Errorf("%v; %d streams", err, r.opened)
		}
	})
}

func TestDrain(t *testing.T) {
	t.Run("a failure under way counts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			handler, entered, answer := blocking()
			r := newRig(t, Config{}, handler)
			r.publish(delivery("s", 1), delivery("s", 2), delivery("t", 1))
			<-entered
			<-entered
			go func() { time.Sleep(time.Second); answer <- errors.New("no"); answer <- errors.New("no") }()
			r.drain()
			all := r.lot.all()
			if len(all) != 3 || r.left() != 0 || r.closed != 1 {
				t.Fatalf("parked %v, %d left, %d closed", r.lot.ids(), r.left(), r.closed)
			}
			for _, l := range all {
				if want := map[string]int{"s-1": 1, "s-2": 0, "t-1": 1}[l.ID]; l.Tries != want {
					t.Errorf("%s: %d tries, want %d", l.ID, l.Tries, want)
				}
			}
		})
	})
	t.Run("an interrupted try does not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			handler, entered, _ := blocking()
			r := newRig(t, Config{Subscription: bus.Subscription{MaxAttempts: 1}}, handler)
			r.publish(delivery("s", 1))
			<-entered
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := r.consumer.Drain(ctx); err != nil {
				t.Error(err)
			}
			if r.left() != 1 || len(r.lot.all()) != 0 {
				t.Errorf("%d left, parked %v; want it back at the broker", r.left(), r.lot.ids())
			}
			if err := r.consumer.Drain(t.Context()); err != nil {
				t.Errorf("second drain: %v", err)
			}
		})
	})
}

// A handler that does not end though interrupted is named.
func TestDrainPastDisobedience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{source: newSource(), t: t, lot: newLot()}
		r.start(Config{}, func(context.Context, bus.Event) error { time.Sleep(time.Hour); return nil })
		r.publish(delivery("s", 1))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		err := r.consumer.Drain(ctx)
		if err == nil || fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "teste.faixa: 1 handlers") {
			t.Errorf("%v, want to hear of one handler", err)
		}
		if took := time.Since(begin); took != 6*time.Second {
			t.Errorf("took %s, want the second of ctx and 5 s of grace", took)
		}
		if r.closes() != 0 {
			t.Error("the stream was closed beside a handler")
		}
		settle(time.Hour) // its end is still heard
		equal(t, "done", r.order, []uint64{0})
		if r.closes() != 1 {
			t.Error("the stream was not closed")
		}
	})
}

// Letters handled before an interruption do not come again, and one that is
// interrupted spends no attempt.
func TestDrainAmidLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		healed := false
		h := newDeeds(func(ctx context.Context, e bus.Event, _ int) error {
			switch {
			case !healed:
				return errInvalid
			case e.ID == "s-3":
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		r := newRig(t, Config{}, h.handle)
		r.publish(delivery("s", 1), delivery("s", 2), delivery("s", 3), delivery("s", 4))
		settle(0)
		healed = true
		r.lot.retry()
		settle(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.consumer.Drain(ctx); err != nil {
			t.Error(err)
		}
		equal(t, "left", r.lot.ids(), []string{"s-3", "s-4"})
		if l := r.lot.all()[0]; l.Tries != 0 || l.State != bus.Behind {
			t.Errorf("%+v", l)
		}
	})
}

// Each failure is one line with what an operator needs, and nothing of the data.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var trace string
		r := newRig(t, Config{Subscription: bus.Subscription{MaxAttempts: 2}}, func(ctx context.Context, _ bus.Event) error {
			trace = telemetry.TraceID(ctx)
			panic("boom")
		})
		x := delivery("s", 1)
		x.Event.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		r.publish(x)
		settle(time.Minute)
		if trace != "0af7651916cd43dd8448eb211c80319c" || r.lot.all()[0].TraceID != trace {
			t.Errorf("the handler's context has trace %q, the letter %q", trace, r.lot.all()[0].TraceID)
		}
		lines := strings.Split(strings.TrimSpace(r.out.String()), "\n")
		if len(lines) != 2 {
			t.Fatalf("%d lines for two failures:\n%s", len(lines), r.out.String())
		}
		for i, parts := range [][]string{
			{`"level":"WARN"`, `"attempt":1`, `"next_try":`, `"stack":`}, {`"level":"ERROR"`, `"attempt":2`, `"error":"panic: boom"`},
		} {
			for _, part := range append(parts, `"subscription":"teste.faixa"`, `"event":"s-1"`, `"type":"`+typ+`"`, `"kind":"internal"`,
				`"code":"erro-interno"`, `"trace_id":"0af7651916cd43dd8448eb211c80319c"`) {
				if !strings.Contains(lines[i], part) {
					t.Errorf("line %d has no %s: %s", i, part, lines[i])
				}
			}
		}
		if strings.Contains(r.out.String(), "segredo") {
			t.Error("the log shows the event's data")
		}
	})
}
