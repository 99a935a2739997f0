// Package enrolment owns who is enrolled in what, and what paid for it. No I/O.
//
//	          first payment                    last live payment refunded
//	(nothing) ─────────────▶ ativa ──────────────────────────────────────▶ cancelada
//	                          ▲ │ another payment for the same course:          │
//	                          │ └─▶ still one enrolment, with one more          │
//	                          │     live payment                                │
//	                          └─────────────────────────────────────────────────┘
//	                            a further payment under the same id
//
// A student has at most one active enrolment per course. It lives as long as
// one of its payments has not gone back. The two messages about a payment
// (approved, refunded) may arrive in either order and have the same end.
package enrolment

import (
	"time"

	"trama/platform/fault"
)

// State is where an enrolment stands.
type State string

// The states, as the public wall writes them.
const (
	Active    State = "ativa"
	Cancelled State = "cancelada"
)

// Course is what an enrolment keeps of its course: the title as it was bought.
type Course struct{ ID, Title string }

// Enrolment is one student in one course.
type Enrolment struct {
	ID          string // chosen by payments, before the payment was accepted
	StudentID   string
	Course      Course
	PaymentID   string // the payment it was born of
	State       State
	Paid        int // payments that have not gone back
	CreatedAt   time.Time
	CancelledAt time.Time // zero while active
}

// ErrOtherOwner: a payment names an enrolment that belongs to another student
// or course. It is a bug of the sender's, or a forgery.
var ErrOtherOwner = fault.New(fault.Conflict, "matricula-de-outro", fault.Text{
	PT: "Esta matrícula pertence a outro aluno ou a outro curso.",
	EN: "This enrolment belongs to another student or another course.",
})

// New makes the active enrolment that a first payment buys.
func New(enrolmentID, studentID string, c Course, paymentID string, now time.Time) Enrolment {
	return Enrolment{ID: enrolmentID, StudentID: studentID, Course: c, PaymentID: paymentID, State: Active, Paid: 1, CreatedAt: now}
}

// BelongsTo checks that a payment by this student for this course may join.
func (e *Enrolment) BelongsTo(studentID, courseID string) error {
	if e.StudentID != studentID || e.Course.ID != courseID {
		return ErrOtherOwner
	}
	return nil
}

// Pay adds a payment that was approved for the same student and course.
func (e *Enrolment) Pay() {
	e.Paid++
	e.State, e.CancelledAt = Active, time.Time{}
}

// Refund takes one payment away and says whether that ended the enrolment.
func (e *Enrolment) Refund(now time.Time) (ended bool) {
	if e.Paid > 0 {
		e.Paid--
	}
	if e.Paid > 0 || e.State == Cancelled {
		return false
	}
	e.State, e.CancelledAt = Cancelled, now
	return true
}

// Payment is what academics knows of one payment. Either message about it may
// come first.
type Payment struct {
	ID          string
	EnrolmentID string // empty until the approval arrived
	Refunded    bool
}
