package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"trama/contracts/events"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/fault"
	"trama/platform/id"
	"trama/platform/idempotency"
	"trama/platform/outbox"
	"trama/platform/rule"
	"trama/services/marketing/internal/lead"
)

// maxOrigin is the longest origin accepted, in characters.
const maxOrigin = 60

// NewLead is what somebody typed.
type NewLead struct {
	Name, Email, Phone, CourseID, Origin string
	Consent                              bool
}

// Register takes in leads.
type Register struct {
	Registry   Registry
	Enrolments Enrolments
	Courses    Courses
	Keys       lead.Keys
	Schedule   lead.Schedule
	Clock      clock.Clock
	IDs        id.Source
	Log        *slog.Logger
	Crash      *crash.Points
}

// Do stores the lead before it returns. The same address and course again give
// the lead that is there, unchanged: a form that anybody can fill in for any
// address is no proof of who did, so it neither shows nor overwrites what is
// stored, and does not bring back somebody who unsubscribed.
func (r *Register) Do(ctx context.Context, in NewLead) (Registered, error) {
	l, err := r.check(in)
	if err != nil {
		return Registered{}, err
	}
	var key *idempotency.Key
	if k, ok := idempotency.FromContext(ctx); ok {
		key = &k
		if done, ok, err := r.Registry.Replayed(ctx, k); err != nil || ok {
			return done, err
		}
	}
	if l.CourseTitle, err = r.course(ctx, l.CourseID); err != nil {
		return Registered{}, err
	}
	enrolled, err := r.Enrolments.IsEnrolled(ctx, r.Keys.Digest(l.Email), l.CourseID)
	if err != nil {
		return Registered{}, err
	}
	if enrolled {
		l.Enrol(l.CreatedAt)
	}
	done, err := r.Registry.Register(ctx, l, key, registered(l))
	if errors.Is(err, idempotency.ErrRace) && key != nil {
		var ok bool
		if done, ok, err = r.Registry.Replayed(ctx, *key); err == nil && !ok {
			err = idempotency.ErrRunning // won and already erased: the caller may try again
		}
	}
	if err == nil {
		r.Crash.At("marketing.lead")
	}
	return done, err
}

// check applies the rules of fields.
func (r *Register) check(in NewLead) (lead.Lead, error) {
	var c rule.Checker
	l := lead.New(r.IDs.New(), r.Clock.Now(), r.Schedule)
	l.Name = c.Name("/nome", in.Name)
	l.Email = c.Email("/email", in.Email)
	l.Phone = c.Phone("/telefone", in.Phone)
	l.CourseID = strings.ToLower(strings.TrimSpace(in.CourseID))
	if l.CourseID != "" && !id.Valid(l.CourseID) {
		c.Add("/cursoId", "uuid", "Informe o identificador de um curso, ou omita o campo.", "Give the id of a course, or leave the field out.")
	}
	l.Origin = strings.TrimSpace(in.Origin)
	switch {
	case utf8.RuneCountInString(l.Origin) > maxOrigin:
		c.Add("/origem", "tamanho", "A origem pode ter até 60 caracteres.", "The origin may have up to 60 characters.")
	case strings.ContainsFunc(l.Origin, unicode.IsControl):
		c.Add("/origem", "caracteres", "A origem tem caracteres que não podem ser aceitos.", "The origin has characters that cannot be accepted.")
	}
	if !in.Consent {
		c.Add("/consentimento", "consentimento", "Para receber notícias do curso é preciso consentir.", "Consent is needed to receive news of the course.")
	}
	return l, c.Err()
}

// course asks academics about the course. A lead is never lost because academics
// does not answer: it is taken in without a title.
func (r *Register) course(ctx context.Context, courseID string) (title string, err error) {
	if courseID == "" {
		return "", nil
	}
	title, active, err := r.Courses.Course(ctx, courseID)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		if ctx.Err() != nil { // the caller left, that is not academics' doing
			return "", ctx.Err()
		}
		r.Log.WarnContext(ctx, "marketing: a lead's course is taken unchecked", "course", courseID, "error", err)
		return "", nil
	}
	if err != nil || !active {
		var c rule.Checker
		c.Add("/cursoId", "curso", "Não há curso à venda com este identificador.", "There is no course on sale with this id.")
		return "", c.Err()
	}
	return title, nil
}

func registered(l lead.Lead) outbox.Message {
	return outbox.Message{Type: events.TypeLeadRegistrado, Subject: l.ID, Data: events.LeadRegistrado{
		LeadID: l.ID, CursoID: l.CourseID, Origem: l.Origin, RegistradoEm: l.CreatedAt,
	}}
}

// wrap says what was attempted.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
