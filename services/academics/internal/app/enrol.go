package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/fault"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/services/academics/internal/enrolment"
	sql "trama/services/academics/internal/store"
	"trama/services/academics/internal/student"
)

// Enrolments turns payments into students and enrolments, and refunds into
// cancelled enrolments. Every method is idempotent by the event's id, and by
// what is known of the payment.
type Enrolments struct{ Deps }

// forEnrolment is the type of reference that concerns this service.
const forEnrolment = "matricula"

var errBrokenReference = fault.New(fault.Malformed, "evento-sem-referencia", fault.Text{
	PT: "O evento não traz identificadores válidos de pagamento, matrícula e curso.",
	EN: "The event has no valid ids of payment, enrolment and course.",
})

// Confirm enrols the person who paid: a new student for a new CPF, otherwise an
// enrolment for the one that exists. A payment for a course in which the
// student is active already joins that enrolment. A payment known to have gone
// back leaves the enrolment cancelled.
func (a *Enrolments) Confirm(ctx context.Context, subscription string, e bus.Event, p events.PagamentoProcessado) error {
	if p.Referencia.Tipo != forEnrolment {
		return nil
	}
	if !id.Valid(p.PagamentoID) || !id.Valid(p.Referencia.ID) || !id.Valid(p.Curso.ID) {
		return errBrokenReference
	}
	now := a.Clock.Now()
	fresh, err := student.New(a.IDs.New(), p.Aluno.CPF, student.Profile{Name: p.Aluno.Nome, Email: p.Aluno.Email, Phone: p.Aluno.Telefone}, now)
	if err != nil {
		return err
	}
	err = a.Box.Once(ctx, subscription, e, func(tx store.Tx) error {
		payment, err := sql.LockPayment(ctx, tx, p.PagamentoID)
		if err != nil || payment.EnrolmentID != "" { // the same payment in another event
			return err
		}
		who, isNew, err := sql.LockPerson(ctx, tx, fresh)
		if err != nil {
			return err
		}
		in, err := a.join(ctx, tx, who.ID, p, now)
		if err != nil {
			return err
		}
		messages := confirmed(who, isNew, in, p)
		if payment.Refunded && in.Refund(now) {
			messages = append(messages, cancelled(who, in, p.PagamentoID))
		}
		payment.EnrolmentID = in.ID
		if err := sql.Save(ctx, tx, &in, payment); err != nil {
			return err
		}
		if err := a.Box.Write(ctx, tx, messages...); err != nil {
			return err
		}
		a.Crash.At("academics.enrolling")
		return nil
	})
	if err == nil {
		a.Crash.At("academics.enrolled")
	}
	return err
}

// join gives the enrolment that the payment pays for, with the payment counted:
// the active one for the course, the one that has the reference's id, or a new one.
func (a *Enrolments) join(ctx context.Context, tx store.Tx, studentID string, p events.PagamentoProcessado, now time.Time) (enrolment.Enrolment, error) {
	in, found, err := sql.LockJoinable(ctx, tx, studentID, p.Curso.ID, p.Referencia.ID)
	switch {
	case err != nil:
		return enrolment.Enrolment{}, err
	case !found:
		return enrolment.New(p.Referencia.ID, studentID, enrolment.Course{ID: p.Curso.ID, Title: p.Curso.Titulo}, p.PagamentoID, now), nil
	}
	if err := in.BelongsTo(studentID, p.Curso.ID); err != nil {
		return enrolment.Enrolment{}, err
	}
	in.Pay()
	// The payer may want this money back: nobody is enrolled twice in a course.
	a.Log.InfoContext(ctx, "a further payment joined an enrolment", "enrolment", in.ID, "payment", p.PagamentoID)
	return in, nil
}

// Cancel takes back what a refunded payment paid for. A refund that overtakes
// the approval is kept until that comes.
func (a *Enrolments) Cancel(ctx context.Context, subscription string, e bus.Event, p events.PagamentoEstornado) error {
	if p.Referencia.Tipo != forEnrolment {
		return nil
	}
	if !id.Valid(p.PagamentoID) {
		return errBrokenReference
	}
	err := a.Box.Once(ctx, subscription, e, func(tx store.Tx) error {
		payment, err := sql.LockPayment(ctx, tx, p.PagamentoID)
		if err != nil || payment.Refunded {
			return err
		}
		payment.Refunded = true
		if payment.EnrolmentID == "" {
			return sql.SavePayment(ctx, tx, payment)
		}
		return a.refund(ctx, tx, payment)
	})
	if err == nil {
		a.Crash.At("academics.cancelled")
	}
	return err
}

func (a *Enrolments) refund(ctx context.Context, tx store.Tx, payment enrolment.Payment) error {
	in, found, err := sql.LockEnrolment(ctx, tx, payment.EnrolmentID)
	if err == nil && !found {
		err = fmt.Errorf("payment %s names enrolment %s, which does not exist", payment.ID, payment.EnrolmentID)
	}
	if err != nil {
		return err
	}
	ended := in.Refund(a.Clock.Now())
	if err := sql.Save(ctx, tx, &in, payment); err != nil || !ended {
		return err
	}
	who, err := sql.Student(ctx, tx, in.StudentID)
	if err != nil {
		return err
	}
	if err := a.Box.Write(ctx, tx, cancelled(who, in, payment.ID)); err != nil {
		return err
	}
	a.Crash.At("academics.cancelling")
	return nil
}

// confirmed tells that a payment has its enrolment. A known student keeps name
// and address: whoever knows a CPF must not take over its owner's account by
// paying; the address given with the payment only goes along as a contact.
func confirmed(who student.Student, isNew bool, in enrolment.Enrolment, p events.PagamentoProcessado) []outbox.Message {
	var messages []outbox.Message
	c := events.Curso{ID: in.Course.ID, Titulo: in.Course.Title}
	if isNew {
		messages = append(messages, outbox.Message{Type: events.TypeAlunoCriado, Subject: who.ID,
			Data: events.AlunoCriado{AlunoID: who.ID, Pessoa: person(who), Curso: c}})
	}
	contact := strings.ToLower(strings.TrimSpace(p.Aluno.Email))
	if contact == who.Email {
		contact = ""
	}
	return append(messages, outbox.Message{Type: events.TypeMatriculaConfirmada, Subject: who.ID, Data: events.MatriculaConfirmada{
		MatriculaID: in.ID, AlunoID: who.ID, AlunoNovo: isNew, PagamentoID: p.PagamentoID, Curso: c, Pessoa: person(who), Contato: contact,
	}})
}

func cancelled(who student.Student, in enrolment.Enrolment, paymentID string) outbox.Message {
	return outbox.Message{Type: events.TypeMatriculaCancelada, Subject: who.ID, Data: events.MatriculaCancelada{
		MatriculaID: in.ID, AlunoID: who.ID, PagamentoID: paymentID,
		Curso: events.Curso{ID: in.Course.ID, Titulo: in.Course.Title}, Pessoa: person(who), Motivo: "estorno",
	}}
}

func person(s student.Student) events.Pessoa { return events.Pessoa{Nome: s.Name, Email: s.Email} }
