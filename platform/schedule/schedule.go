// Package schedule runs what must be done at its time: by interval or by cron,
// in one process at a time.
//
// A Runner works the tasks of a module. Each task has a lease of its own
// ("task-" and its name) in the service's store and a row in the Ledger there,
// so that a schedule survives restarts, its history can be seen by anybody who
// reads the Ledger, and of all processes that run the module one runs the task.
//
// Promises:
//
//   - A run is claimed in the Ledger before it begins. When the process dies
//     under it, the next leader counts it as failed ("interrompida") and, unless
//     the policy says Skip, runs the task again at once.
//   - A run may thus happen twice, or meet the end of one whose process lost its
//     lease a moment ago: Run must be harmless when done twice.
//   - Runs of one task do not overlap within a process, and are not piled up:
//     however many times were missed, one run makes up for them.
//   - A failed run is tried again after a pause that doubles from one second, but
//     never later than its next regular time. A panic is a failure. A run that
//     an orderly stop interrupts is none.
//   - Somebody's request (Desk.Request) is served within about a second by the
//     leader; one that comes while the task runs is served after it; several
//     that wait are one run.
//   - The clock may jump. Forwards: what was missed is decided by the policy.
//     Backwards: no task waits longer than its schedule says.
//
// Times of day are those of a zone: see Task.Cron for the hours that a change of
// the clocks skips or repeats.
package schedule

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"trama/platform/store"
)

// Missed says what becomes of a time at which nobody could run the task.
type Missed uint8

// The policies.
const (
	RunOnce Missed = iota // run as soon as possible, once for all times missed
	Skip                  // wait for the next time; more than a minute late is missed
)

// Task is one thing to do again and again.
type Task struct {
	// Name is "<service>.<what>" ("payments.expiry"): a-z, 0-9, ".", "_", "-", at
	// most 59 characters. It names the lease and the row, so it never changes lightly.
	Name string
	// About tells an operator what it does: one line, Portuguese.
	About string

	// Every is the pause from the end of a run to the start of the next. The first
	// run of a new installation is at once.
	Every time.Duration
	// Cron, in place of Every, is five fields: minute, hour, day of month, month,
	// day of week. When both days are restricted, either will do. Where neither
	// minute nor hour begins with "*", a time that a change of the clocks skips
	// counts as the moment after the gap, and one that is repeated counts once, the
	// first time; other schedules run whenever the clock on the wall matches. That
	// is what cron(8) does.
	Cron string
	// Zone is whose wall clock Cron means; nil is UTC.
	Zone *time.Location
	// Jitter delays every regular time by a random part of it, so that many do not
	// start at once.
	Jitter time.Duration

	Missed Missed
	// Timeout ends the context of a run; 0 means five minutes.
	Timeout time.Duration
	// Run does the work, and returns soon after ctx has ended. An error fails the
	// run and is told to operators.
	Run func(ctx context.Context) (Result, error)
}

// Result is what a run that went well reports; nothing is a fine report.
type Result struct {
	Note string // what was done, Portuguese: "3 pagamentos expirados"
	// Next asks for the next run sooner than the schedule would.
	Next time.Time
}

const (
	defaultTimeout = 5 * time.Minute
	lateness       = time.Minute // a time that is so long over is missed
	firstPause     = time.Second // after a failure
	leasePrefix    = "task-"
)

// check says what is wrong with a task.
func (t Task) check(now time.Time) error {
	switch {
	case !store.ValidLeaseName(leasePrefix + t.Name), !strings.Contains(t.Name, "."):
		return errors.New("its name must be service.what, in a-z, 0-9, \".\", \"_\" and \"-\"")
	case t.Run == nil:
		return errors.New("it does nothing")
	case (t.Every > 0) == (t.Cron != ""):
		return errors.New("it needs either an interval or a cron expression")
	case t.Every < 0 || t.Jitter < 0 || t.Timeout < 0:
		return errors.New("a duration is negative")
	case t.Cron != "":
		return checkCron(t.Cron, now)
	}
	return nil
}

// next gives the regular time after from, without jitter.
func (t Task) next(from time.Time) time.Time {
	if t.Cron == "" {
		return from.Add(t.Every)
	}
	return cron{spec: t.Cron, zone: t.Zone}.next(from)
}

// first gives the time of a task that has never run.
func (t Task) first(now time.Time) time.Time {
	if t.Cron == "" {
		return now
	}
	return t.next(now)
}

// schedule tells the schedule to a person. A task whose text has changed is
// planned anew.
func (t Task) schedule() string {
	if t.Cron == "" {
		return "a cada " + short(t.Every)
	}
	zone := t.Zone
	if zone == nil {
		zone = time.UTC
	}
	return fmt.Sprintf("%s (%s)", t.Cron, zone)
}

// short is d without zeros at its end: 1h, not 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (t Task) timeout() time.Duration {
	if t.Timeout == 0 {
		return defaultTimeout
	}
	return t.Timeout
}

// backoff is the pause after the n-th failure in a row.
func backoff(n int64) time.Duration {
	return firstPause << min(max(n-1, 0), 30)
}
