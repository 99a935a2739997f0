package app

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"trama/contracts/events"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/fault"
	"trama/platform/outbox"
	"trama/platform/schedule"
	"trama/services/marketing/internal/lead"
)

const (
	remindBatch    = 64              // leads read at a time
	remindParallel = 16              // reminders recorded at a time, so that they share a commit
	longestSleep   = time.Minute     // a machine that was suspended, or a clock set anew, is noticed after this
	coursePatience = 1 * time.Second // for academics to tell a title
)

// Remind publishes the reminders that are due. Harmless when run twice at once:
// each step is taken by one of the two.
type Remind struct {
	Leads      Leads
	Agenda     Agenda
	Enrolments Enrolments
	Courses    Courses
	Keys       lead.Keys
	Schedule   lead.Schedule
	Life       time.Duration // how long after its time a reminder is still worth mailing
	Clock      clock.Clock
	Crash      *crash.Points
}

// Pause is how long to wait at most from one Run to the next: no longer than the
// shortest delay, since a lead registered meanwhile cannot be due sooner.
func (r *Remind) Pause() time.Duration {
	if s := r.Schedule.Shortest(); s > 0 {
		return min(longestSleep, s)
	}
	return longestSleep
}

// Run gives what is due, and asks to be run again when the next reminder is.
func (r *Remind) Run(ctx context.Context) (schedule.Result, error) {
	total := 0
	for ctx.Err() == nil {
		n, err := r.Due(ctx)
		if err != nil {
			return schedule.Result{}, err
		}
		total += n
		if n < remindBatch {
			break
		}
	}
	next, err := r.Agenda.NextDue(ctx)
	if err != nil {
		return schedule.Result{}, err
	}
	res := schedule.Result{Next: next}
	if total > 0 {
		res.Note = fmt.Sprintf("%d lembretes devidos", total)
	}
	return res, nil
}

// Due gives the reminders of one batch and says how many leads it looked at.
func (r *Remind) Due(ctx context.Context) (int, error) {
	leads, err := r.Agenda.Due(ctx, r.Clock.Now(), remindBatch)
	if err != nil {
		return 0, err
	}
	var g errgroup.Group // without a shared context: one lead that fails must not keep the others waiting
	g.SetLimit(remindParallel)
	titles := r.titles(ctx, leads)
	for _, l := range leads {
		g.Go(func() error { return r.one(ctx, l, titles[l.CourseID]) })
	}
	return len(leads), g.Wait()
}

// one takes the due step of a lead: recorded with its event, or not at all.
func (r *Remind) one(ctx context.Context, l lead.Lead, title string) error {
	enrolled, err := r.Enrolments.IsEnrolled(ctx, r.Keys.Digest(l.Email), l.CourseID)
	if err != nil {
		return err
	}
	given := false
	_, err = r.Leads.Update(ctx, l.ID, func(l *lead.Lead) ([]outbox.Message, error) {
		given = false
		now := r.Clock.Now()
		if enrolled { // the enrolment came while the lead was being registered
			l.Enrol(now)
			return nil, nil
		}
		step, ok := l.Remind(now, r.Schedule)
		if !ok {
			return nil, nil
		}
		given = true
		if l.CourseTitle == "" {
			l.CourseTitle = title
		}
		return []outbox.Message{r.reminder(*l, step, now)}, nil
	})
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return nil // erased meanwhile
	}
	if err == nil && given {
		r.Crash.At("marketing.reminded")
	}
	return wrap("give a reminder", err)
}

func (r *Remind) reminder(l lead.Lead, step int, now time.Time) outbox.Message {
	m := events.LembreteDevido{
		LeadID: l.ID,
		Pessoa: events.Pessoa{Nome: l.Name, Email: l.Email},
		Passo:  step,
		Passos: len(r.Schedule),
		Token:  r.Keys.Token(l.ID),
		Limite: now.Add(r.Life).UTC().Format(time.RFC3339),
	}
	if l.CourseTitle != "" { // without a title the mail speaks of the school
		m.Curso = &events.Curso{ID: l.CourseID, Titulo: l.CourseTitle}
	}
	return outbox.Message{Type: events.TypeLembreteDevido, Subject: l.ID, Data: m}
}

// titles asks academics for the titles it could not tell at registration, each
// once. Without an answer the reminder goes out without a title.
func (r *Remind) titles(ctx context.Context, leads []lead.Lead) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, coursePatience)
	defer cancel()
	titles := map[string]string{}
	for _, l := range leads {
		if _, asked := titles[l.CourseID]; asked || l.CourseID == "" || l.CourseTitle != "" {
			continue
		}
		title, active, err := r.Courses.Course(ctx, l.CourseID)
		if err != nil || !active {
			title = ""
		}
		titles[l.CourseID] = title
	}
	return titles
}
