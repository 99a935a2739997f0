package app

import (
	"context"
	"slices"
	"strings"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/services/marketing/internal/lead"
)

// Enrol ends the reminders of people who enrolled.
type Enrol struct {
	Enrolments Enrolments
	Keys       lead.Keys
}

// Do handles one MatriculaConfirmada. A lead is the person's when its address is
// the one registered with academics or the one given with the payment.
//
// The enrolment is remembered by a keyed digest of the address, so that somebody
// who registers an interest in what they have already bought gets no reminders,
// whichever of the two facts arrives first.
func (n *Enrol) Do(ctx context.Context, subscription string, e bus.Event, m events.MatriculaConfirmada) error {
	what := Enrolment{CourseID: strings.ToLower(m.Curso.ID), At: e.Time}
	for _, email := range []string{m.Pessoa.Email, m.Contato} {
		email = strings.ToLower(strings.TrimSpace(email))
		if email == "" || slices.Contains(what.Emails, email) {
			continue
		}
		what.Emails = append(what.Emails, email)
		what.Digests = append(what.Digests, n.Keys.Digest(email))
	}
	return wrap("enrol the leads of a new student", n.Enrolments.Enrol(ctx, subscription, e, what))
}
