// Package lead is the domain of marketing: a person interested in the school,
// the reminders that person agreed to, and the right to hear nothing more. It
// does no I/O and knows no store.
package lead

import "time"

// State is where a lead stands, in the public wall's words.
type State string

// The states. Only an active lead gets reminders.
const (
	Active       State = "ativo"
	Enrolled     State = "matriculado"
	Unsubscribed State = "descadastrado"
)

// Lead is one interest: an e-mail address and, perhaps, a course. That pair is
// unique; the same person may be several leads, one for each course.
type Lead struct {
	ID             string // UUIDv7
	Name           string
	Email          string // lower case
	Phone          string // "+55…", or empty
	CourseID       string // UUID, or empty: interested in the school
	CourseTitle    string // empty when academics did not answer at registration
	Origin         string // "site", "instagram", …, or empty
	CreatedAt      time.Time
	UpdatedAt      time.Time
	EnrolledAt     time.Time // zero: not enrolled
	UnsubscribedAt time.Time // zero: not unsubscribed
	Reminded       int       // reminders given so far
	Due            time.Time // when the next reminder is due; zero: none will come
	Version        int64     // counted by the store, from 1
}

// New makes a lead that waits for its first reminder. The caller has checked
// the fields and that the person consented.
func New(id string, now time.Time, s Schedule) Lead {
	return Lead{ID: id, CreatedAt: now, UpdatedAt: now, Due: s.next(now, now, 0)}
}

// State gives where the lead stands. Enrolment is the stronger fact: a lead that
// unsubscribed and enrolled (in either order) is enrolled, and gets no reminder.
func (l *Lead) State() State {
	switch {
	case !l.EnrolledAt.IsZero():
		return Enrolled
	case !l.UnsubscribedAt.IsZero():
		return Unsubscribed
	default:
		return Active
	}
}

// Enrol ends the reminders because the person is enrolled. Repeating changes nothing.
func (l *Lead) Enrol(now time.Time) {
	if l.EnrolledAt.IsZero() {
		l.EnrolledAt, l.UpdatedAt, l.Due = now, now, time.Time{}
	}
}

// Unsubscribe ends the reminders because the person said so, and says whether
// that is news. Nothing but a new lead makes reminders come again.
func (l *Lead) Unsubscribe(now time.Time) bool {
	if !l.UnsubscribedAt.IsZero() {
		return false
	}
	l.UnsubscribedAt, l.UpdatedAt, l.Due = now, now, time.Time{}
	return true
}

// Remind takes the next step when it is due at now, and gives its number from 1.
// With ok false nothing is to be sent: not yet due, taken by somebody else
// meanwhile, or not wanted any more.
func (l *Lead) Remind(now time.Time, s Schedule) (step int, ok bool) {
	if l.Due.IsZero() || now.Before(l.Due) || l.State() != Active {
		return 0, false
	}
	if l.Reminded >= len(s) { // the schedule was made shorter since
		l.Due, l.UpdatedAt = time.Time{}, now
		return 0, false
	}
	l.Reminded++
	l.UpdatedAt = now
	l.Due = s.next(l.CreatedAt, now, l.Reminded)
	return l.Reminded, true
}

// Schedule is when reminders come, as distances from the registration, in
// growing order. An empty schedule means no reminders.
type Schedule []time.Duration

// next gives when the step after done steps is due; zero when there is none. A
// reminder that was late (we were down for days) pushes the next one, so that at
// least half of the planned distance lies between two: nobody gets a bunch.
func (s Schedule) next(created, now time.Time, done int) time.Time {
	if done >= len(s) {
		return time.Time{}
	}
	due := created.Add(s[done])
	if done > 0 {
		if earliest := now.Add((s[done] - s[done-1]) / 2); due.Before(earliest) {
			due = earliest
		}
	}
	return due
}

// Shortest gives the distance from registration to the first reminder; 0 when
// there are no reminders.
func (s Schedule) Shortest() time.Duration {
	if len(s) == 0 {
		return 0
	}
	return s[0]
}
