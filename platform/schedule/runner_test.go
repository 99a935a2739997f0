package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"trama/platform/schedule"
	"trama/platform/store"
)

const m = time.Minute

func TestIntervalIsThePauseBetweenRuns(t *testing.T) {
	bubble(t, func(b *bench) {
		task, runs := b.task("a.b")
		quick := task.Run
		task.Run = func(ctx context.Context) (schedule.Result, error) {
			time.Sleep(m)
			return quick(ctx)
		}
		stop := b.start("host:1", task)
		b.sleep(30 * m)
		if s := b.state("a.b"); !s.Running() && s.Runs != 3 {
			t.Errorf("state: %+v", s)
		}
		stop()
		runs.want("every ten minutes", 1*m, 12*m, 23*m)
		s := b.state("a.b")
		if s.Runs != 3 || s.LastNote != "3 vezes" || s.LastResult != schedule.OK || s.Took() != m || s.Next.Sub(s.LastEnd) != 10*m || s.Schedule != "a cada 10m" {
			t.Errorf("state: %+v", s)
		}
		// Another process goes on where the first stopped.
		stop = b.start("host:2", task)
		b.sleep(5 * m)
		stop()
		runs.want("after a restart", 1*m, 12*m, 23*m, 34*m)
	})
}

func TestARunMayAskForTheNextSooner(t *testing.T) {
	bubble(t, func(b *bench) {
		task, runs := b.task("a.b")
		task.Run = func(context.Context) (schedule.Result, error) {
			switch runs.note() {
			case 1:
				return schedule.Result{Next: b.clock.Now().Add(90 * time.Second)}, nil
			case 2:
				return schedule.Result{Next: b.clock.Now().Add(time.Hour)}, nil // later than the schedule
			}
			return schedule.Result{}, nil
		}
		stop := b.start("host:1", task)
		b.sleep(13 * m)
		stop()
		runs.want("sooner", 0, 90*time.Second, 90*time.Second+10*m)
	})
}

// The bubble begins at midnight UTC, 2000-01-01.
func TestCronWithZoneAndJitter(t *testing.T) {
	bubble(t, func(b *bench) {
		b.config = func(c *schedule.Config) { c.Rand = func() float64 { return 0.5 } }
		rhythm, beats := b.task("a.rhythm")
		rhythm.Every, rhythm.Cron, rhythm.Jitter = 0, "*/10 * * * *", 2*m
		daily, days := b.task("a.daily")
		daily.Every, daily.Cron, daily.Zone = 0, "30 23 * * *", time.FixedZone("Acre", -3600)
		stop := b.start("host:1", rhythm, daily)
		b.sleep(40 * m)
		stop()
		beats.want("in the middle of the jitter", 11*m, 21*m, 31*m)
		days.want("half past eleven in Acre", 30*m)
		if s := b.state("a.daily").Schedule; s != "30 23 * * * (Acre)" {
			t.Error(s)
		}
	})
}

func TestAChangedScheduleIsPlannedAnew(t *testing.T) {
	bubble(t, func(b *bench) {
		task, runs := b.task("a.b")
		task.Every, task.Cron = 0, "10 0 * * *"
		b.start("host:1", task)()
		task.Cron = "20 0 * * *"
		stop := b.start("host:2", task)
		b.sleep(30 * m)
		stop()
		runs.want("the new time only", 20*m)
	})
}

func TestMissedTimes(t *testing.T) {
	bubble(t, func(b *bench) {
		once, onces := b.task("a.once")
		once.Every, once.Cron = 0, "0 3 * * *"
		skip, skips := b.task("a.skip")
		skip.Every, skip.Cron, skip.Missed = 0, "0 3 * * *", schedule.Skip
		every, everies := b.task("a.every")
		stop := b.start("host:1", once, skip, every)
		b.sleep(m)
		b.clock.Jump(4*24*time.Hour + 5*time.Hour)
		b.sleep(2 * time.Second)
		onces.want("made up for once", m+time.Second)
		skips.want("left out")
		everies.want("once", 0, m+time.Second)
		if next := b.state("a.skip").Next; next.Hour() != 3 || next.Sub(b.clock.Now()) > 24*time.Hour {
			t.Errorf("skip goes on at %v", next)
		}
		b.clock.Jump(b.state("a.skip").Next.Sub(b.clock.Now()) + 30*time.Second) // late, but not missed
		b.sleep(2 * time.Second)
		stop()
		skips.want("a little late", m+3*time.Second)
		onces.want("on the next day", m+time.Second, m+3*time.Second)
	})
}

func TestTheClockGoesBack(t *testing.T) {
	bubble(t, func(b *bench) {
		every, everies := b.task("a.every")
		cron, crons := b.task("a.cron")
		cron.Every, cron.Cron = 0, "*/10 * * * *"
		b.clock.Jump(365 * 24 * time.Hour)
		stop := b.start("host:1", every, cron)
		b.sleep(m)
		b.clock.Jump(-365 * 24 * time.Hour)
		b.sleep(28 * m)
		stop()
		everies.want("no later than the interval says", 0, 11*m+time.Second, 21*m+time.Second)
		crons.want("no later than the expression says", 10*m, 20*m)
	})
}

func TestRunNow(t *testing.T) {
	bubble(t, func(b *bench) {
		task, runs := b.task("a.b")
		task.Every = time.Hour
		quick := task.Run
		task.Run = func(ctx context.Context) (schedule.Result, error) {
			time.Sleep(m)
			return quick(ctx)
		}
		b.request0("a.b")
		stop := b.start("host:1", task)
		b.sleep(10 * m)
		b.request("a.b")
		b.request("a.b")
		b.sleep(time.Second)
		if s := b.state("a.b"); !s.Running() || !s.RequestedAt.IsZero() {
			t.Errorf("a second after the request: %+v", s)
		}
		b.request("a.b")
		b.sleep(20 * m)
		stop()
		runs.want("two requests are one, one meanwhile is another", m, 11*m+time.Second, 12*m+time.Second)
		if s := b.state("a.b"); s.Next.Sub(s.LastEnd) != time.Hour {
			t.Errorf("the interval counts from the last run: %+v", s)
		}
	})
}

// request0 asks for a task that nobody has entered yet.
func (b *bench) request0(name string) {
	if err := b.ledger.Request(b.t.Context(), name, "ana"); !errors.Is(err, schedule.ErrUnknown) {
		b.t.Errorf("request for a task nobody knows: %v", err)
	}
}

func TestFailuresAreTriedAgain(t *testing.T) {
	bubble(t, func(b *bench) {
		task, runs := b.task("a.b")
		task.Every = 10 * time.Second
		task.Run = func(context.Context) (schedule.Result, error) {
			switch n := runs.note(); {
			case n == 2:
				panic("boom")
			case n == 7 || n > 9:
				return schedule.Result{}, nil
			}
			return schedule.Result{}, errors.New(strings.Repeat("é", 3000))
		}
		stop := b.start("host:1", task)
		s := time.Second
		b.sleep(2 * s)
		if st := b.state("a.b"); st.Streak != 2 || !strings.Contains(st.LastError, "panic: boom") || st.LastResult != schedule.Failed {
			t.Errorf("state: %+v", st)
		}
		b.sleep(2 * s)
		if st := b.state("a.b"); len(st.LastError) != 4096 || st.Streak != 3 {
			t.Errorf("%d bytes of error, streak %d", len(st.LastError), st.Streak)
		}
		b.sleep(52 * s)
		stop()
		runs.want("doubling, up to the interval, and from the start after a success", 0, 1*s, 3*s, 7*s, 15*s, 25*s, 35*s, 45*s, 46*s, 48*s)
		if st := b.state("a.b"); st.Runs != 10 || st.Failures != 8 || st.Streak != 0 || st.LastError != "" {
			t.Errorf("state: %+v", st)
		}
		if n := strings.Count(b.log.text(), "a run failed kind=internal code=erro-interno"); n != 8 {
			t.Errorf("%d failures logged", n)
		}
	})
}

func TestTimeout(t *testing.T) {
	bubble(t, func(b *bench) {
		task, _ := b.task("a.b")
		task.Run = func(ctx context.Context) (schedule.Result, error) {
			<-ctx.Done()
			return schedule.Result{}, ctx.Err()
		}
		short := task
		short.Name, short.Timeout = "a.short", 30*time.Second
		stop := b.start("host:1", task, short)
		b.sleep(5*m + 500*time.Millisecond)
		stop()
		if s := b.state("a.b"); s.Took() != 5*m || s.Failures != 1 || s.LastError != "tempo esgotado (5m): context deadline exceeded" {
			t.Errorf("state: %+v", s)
		}
		if s := b.state("a.short"); s.Took() != 30*time.Second || !strings.Contains(b.log.text(), "kind=timeout") {
			t.Errorf("state: %+v", s)
		}
	})
}

func TestTwoRunnersOneRuns(t *testing.T) {
	bubble(t, func(b *bench) {
		second := closing(b.t, openSQLite(b.t, b.path))
		var working atomic.Int32
		task, runs := b.task("a.b")
		task.Run = func(context.Context) (schedule.Result, error) {
			if working.Add(1) > 1 {
				t.Error("two at a time")
			}
			defer working.Add(-1)
			runs.note()
			time.Sleep(m)
			return schedule.Result{}, nil
		}
		stopFirst := b.start("host:1", task)
		b.sleep(time.Second)
		b.config = func(c *schedule.Config) { c.Leaser, c.Ledger = second, schedule.NewSQL(second, b.clock) }
		stopSecond := b.start("host:2", task)
		b.sleep(15 * m)
		if s := b.state("a.b"); s.Runs != 2 || s.Running() {
			t.Errorf("state: %+v", s)
		}
		stopFirst()
		b.sleep(7*m - time.Second)
		if s := b.state("a.b"); s.RunningBy != "host:2" {
			t.Errorf("who took over? %+v", s)
		}
		stopSecond()
		runs.want("no time twice, none left out", 0, 11*m, 22*m)
	})
}

func TestRefusedTasks(t *testing.T) {
	bubble(t, func(b *bench) {
		good, _ := b.task("a.b")
		for _, c := range []struct {
			change func(*schedule.Task)
			want   string
		}{
			{func(t *schedule.Task) { t.Name = "b" }, "service.what"},
			{func(t *schedule.Task) { t.Name = "a.B" }, "service.what"},
			{func(t *schedule.Task) { t.Name = "a." + strings.Repeat("b", 58) }, "service.what"},
			{func(t *schedule.Task) { t.Run = nil }, "nothing"},
			{func(t *schedule.Task) { t.Every = 0 }, "either"},
			{func(t *schedule.Task) { t.Cron = "* * * * *" }, "either"},
			{func(t *schedule.Task) { t.Jitter = -1 }, "negative"},
			{func(t *schedule.Task) { t.Every, t.Cron = 0, "@daily" }, "five fields"},
			{func(t *schedule.Task) { t.Every, t.Cron = 0, "0 * * * * *" }, "five fields"},
			{func(t *schedule.Task) { t.Every, t.Cron = 0, "61 * * * *" }, "five fields"},
			{func(t *schedule.Task) { t.Every, t.Cron = 0, "0 0 30 2 *" }, "never comes"},
			{func(t *schedule.Task) { t.Name = "a.twice" }, "two of it"},
		} {
			task, twice := good, good
			c.change(&task)
			twice.Name = "a.twice"
			_, err := schedule.New(schedule.Config{Tasks: []schedule.Task{twice, task}, Clock: b.clock})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), fmt.Sprintf("%q", task.Name)) {
				t.Errorf("want %q, got %v", c.want, err)
			}
		}
	})
}

// fakeLease can be lost at will.
type fakeLease struct {
	store.Lease
	lost chan struct{}
}

func (l fakeLease) Lost() <-chan struct{} { return l.lost }

type leaserFunc func(ctx context.Context, name string) (store.Lease, error)

func (f leaserFunc) Lease(ctx context.Context, name string) (store.Lease, error) { return f(ctx, name) }

func TestALostLeaseInterruptsTheRun(t *testing.T) {
	bubble(t, func(b *bench) {
		lost := make(chan struct{})
		b.config = func(c *schedule.Config) {
			c.Leaser = leaserFunc(func(ctx context.Context, name string) (store.Lease, error) {
				if name != "task-a.b" {
					t.Errorf("lease %s", name)
				}
				l, err := b.db.Lease(ctx, name)
				if err != nil {
					return nil, err
				}
				defer func() { lost = nil }()
				return fakeLease{l, lost}, nil
			})
		}
		task, runs := b.task("a.b")
		task.Run = func(ctx context.Context) (schedule.Result, error) {
			if runs.note() == 1 {
				<-ctx.Done()
				return schedule.Result{}, ctx.Err()
			}
			return schedule.Result{}, nil
		}
		gone := lost
		stop := b.start("host:1", task)
		b.sleep(5 * time.Second)
		close(gone)
		synctest.Wait()
		if s := b.state("a.b"); s.LastResult != schedule.Stopped || s.Failures != 0 {
			t.Errorf("state: %+v", s)
		}
		b.sleep(2 * time.Second)
		stop()
		runs.want("again as soon as the lease is back", 0, 6*time.Second)
	})
}
