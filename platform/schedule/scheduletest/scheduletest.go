// Package scheduletest is the suite that every schedule.Ledger passes.
package scheduletest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trama/platform/clock"
	"trama/platform/fault"
	"trama/platform/schedule"
)

// Fixed is a clock that stands still.
type Fixed struct {
	clock.System
	At time.Time
}

// Now gives At.
func (f Fixed) Now() time.Time { return f.At }

// noon is when everything happens.
func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 7_000_000, time.UTC) }

// Run runs the suite; open gives an empty ledger on the clock.
func Run(t *testing.T, open func(t *testing.T, c clock.Clock) schedule.Ledger) {
	for name, test := range map[string]func(*testing.T, schedule.Ledger){
		"enter":   enter,
		"unknown": unknown,
		"life":    life,
		"endings": endings,
		"stale":   stale,
		"request": request,
		"race":    race,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t, Fixed{At: noon()})) })
	}
}

const name = "loja.limpeza"

func entered(t *testing.T, l schedule.Ledger) schedule.State {
	t.Helper()
	check(t, l.Enter(t.Context(), name, "Limpa a loja.", "a cada 10m", noon()))
	return state(t, l)
}

func state(t *testing.T, l schedule.Ledger) schedule.State {
	t.Helper()
	s, err := l.State(t.Context(), name)
	check(t, err)
	return s
}

func claim(t *testing.T, l schedule.Ledger, seen schedule.State, at time.Time) schedule.State {
	t.Helper()
	s, ok, err := l.Claim(t.Context(), seen, "host:1", at, at.Add(10*time.Minute))
	check(t, err)
	if !ok {
		t.Fatal("the claim was refused")
	}
	if s != state(t, l) {
		t.Fatalf("claimed %+v\nstored  %+v", s, state(t, l))
	}
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Fatalf("%s:\ngot  %+v\nwant %+v", what, got, want)
	}
}

// enter: the time of a known task stays unless its schedule changes.
func enter(t *testing.T, l schedule.Ledger) {
	first := entered(t, l)
	want(t, "new", first, schedule.State{Name: name, About: "Limpa a loja.", Schedule: "a cada 10m", Next: noon()})
	check(t, l.Enter(t.Context(), name, "Limpa tudo.", "a cada 10m", noon().Add(time.Hour)))
	first.About = "Limpa tudo."
	want(t, "the same schedule", state(t, l), first)
	check(t, l.Enter(t.Context(), name, "Limpa tudo.", "a cada 1h", noon().Add(time.Hour)))
	first.Schedule, first.Next = "a cada 1h", noon().Add(time.Hour)
	want(t, "another schedule", state(t, l), first)
	check(t, l.Enter(t.Context(), "loja.abertura", "", "0 8 * * * (UTC)", noon()))
	all, err := l.List(t.Context())
	check(t, err)
	if len(all) != 2 || all[0].Name != "loja.abertura" || all[1] != first {
		t.Fatalf("list: %+v", all)
	}
}

func unknown(t *testing.T, l schedule.Ledger) {
	_, err := l.State(t.Context(), name)
	for what, err := range map[string]error{"state": err, "request": l.Request(t.Context(), name, "ana")} {
		if !errors.Is(err, schedule.ErrUnknown) || fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	if all, err := l.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("list: %v, %v", all, err)
	}
}

// life: a run from its claim to its result.
func life(t *testing.T, l schedule.Ledger) {
	s := entered(t, l)
	start, end := noon().Add(time.Second), noon().Add(3*time.Second)
	run := claim(t, l, s, start)
	if !run.Running() || run.RunningBy != "host:1" || run.Runs != 1 || !run.Next.Equal(start.Add(10*time.Minute)) {
		t.Fatalf("claimed: %+v", run)
	}
	o := schedule.Outcome{End: end, Next: noon().Add(time.Hour), Result: schedule.OK, Note: "3 lojas limpas"}
	check(t, l.Finish(t.Context(), run, o))
	done := state(t, l)
	want(t, "done", done, schedule.State{Name: name, About: s.About, Schedule: s.Schedule, Next: o.Next, Runs: 1,
		LastStart: start, LastEnd: end, LastResult: schedule.OK, LastNote: o.Note})
	want(t, "took", done.Took(), 2*time.Second)
	o.Result = schedule.Failed
	check(t, l.Finish(t.Context(), run, o)) // the answer to the first was lost
	want(t, "ended twice", state(t, l), done)
	check(t, l.Move(t.Context(), done, noon()))
	done.Next = noon()
	want(t, "moved", state(t, l), done)
}

// endings: what each does to the counts.
func endings(t *testing.T, l schedule.Ledger) {
	s := entered(t, l)
	for i, c := range []struct {
		result           schedule.Ending
		failures, streak int64
	}{{schedule.Failed, 1, 1}, {schedule.Failed, 2, 2}, {schedule.Stopped, 2, 2}, {schedule.Failed, 3, 3}, {schedule.OK, 3, 0}, {schedule.Stopped, 3, 0}} {
		run := claim(t, l, s, noon())
		check(t, l.Finish(t.Context(), run, schedule.Outcome{End: noon(), Next: noon(), Result: c.result, Error: string(c.result)}))
		s = state(t, l)
		if s.Runs != int64(i+1) || s.Failures != c.failures || s.Streak != c.streak || s.LastResult != c.result || s.LastError != string(c.result) || s.Running() {
			t.Fatalf("after %s: %+v", c.result, s)
		}
	}
}

// stale: what one believes who lost the lease changes nothing.
func stale(t *testing.T, l schedule.Ledger) {
	old := entered(t, l)
	run := claim(t, l, old, noon())
	if _, ok, err := l.Claim(t.Context(), old, "host:2", noon(), noon()); ok || err != nil {
		t.Fatalf("claimed twice: %v", err)
	}
	if _, ok, err := l.Claim(t.Context(), run, "host:2", noon(), noon()); ok || err != nil {
		t.Fatalf("claimed while it runs: %v", err)
	}
	check(t, l.Move(t.Context(), old, noon().Add(time.Hour)))
	want(t, "moved by what was", state(t, l), run)
	check(t, l.Finish(t.Context(), run, schedule.Outcome{End: noon(), Next: noon(), Result: schedule.Failed}))
	second := claim(t, l, state(t, l), noon())
	check(t, l.Finish(t.Context(), run, schedule.Outcome{End: noon(), Next: noon(), Result: schedule.OK}))
	want(t, "ended by the run before", state(t, l), second)
}

// request: several are one, one during a run outlives it.
func request(t *testing.T, l schedule.Ledger) {
	entered(t, l)
	check(t, l.Request(t.Context(), name, "ana"))
	check(t, l.Request(t.Context(), name, "bia"))
	s := state(t, l)
	if !s.RequestedAt.Equal(noon()) || s.RequestedBy != "bia" || !s.Next.Equal(noon()) {
		t.Fatalf("asked for: %+v", s)
	}
	run := claim(t, l, s, noon())
	if !run.RequestedAt.IsZero() || run.RequestedBy != "" {
		t.Fatalf("claimed: %+v", run)
	}
	check(t, l.Request(t.Context(), name, "ana"))
	check(t, l.Finish(t.Context(), run, schedule.Outcome{End: noon(), Next: noon(), Result: schedule.OK}))
	if s := state(t, l); s.RequestedBy != "ana" || s.Running() {
		t.Fatalf("asked for meanwhile: %+v", s)
	}
}

// race: of many that claim one run, one gets it.
func race(t *testing.T, l schedule.Ledger) {
	s := entered(t, l)
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			_, ok, err := l.Claim(t.Context(), s, fmt.Sprintf("host:%d", i), noon(), noon())
			if err != nil {
				t.Error(err)
			}
			if ok {
				won.Add(1)
			}
		})
	}
	all.Wait()
	want(t, "winners", won.Load(), int32(1))
	want(t, "runs", state(t, l).Runs, int64(1))
}
