// Package academics is the school's academic office: it owns courses, students
// and enrolments (the seed's "serviço acadêmico").
//
// Modules
//
//	academics.api     REST /v1/academico/… and RPC CourseService (what a course costs)
//	academics.worker  consumes payments and refunds
//
// Events
//
//	consumes  PagamentoProcessado  as academics.pagamentos
//	          PagamentoEstornado   as academics.estornos
//	publishes AlunoCriado, MatriculaConfirmada, MatriculaCancelada (subject: the student)
//
// It calls no other service.
//
// Promises
//
//   - One person (one CPF) is one student, also when two payments of a new
//     person are handled at the same moment in two processes.
//   - Student, enrolment, events and the note that the payment was handled are
//     one commit. An event delivered twice has one effect.
//   - A student has at most one active enrolment per course. A further payment
//     for the same course joins it (and MatriculaConfirmada names that enrolment
//     with the new payment); the enrolment ends when the last of its payments
//     has gone back.
//   - A refund that arrives before its approval ends the same way as one that
//     arrives after it: same rows, same events.
//   - Name and e-mail of a known student are not changed by a payment.
//
// States of an enrolment
//
//	approved payment ─▶ ativa ─ last payment refunded ─▶ cancelada
//
// Crash points: academics.enrolling and academics.cancelling (everything is
// written, nothing committed), academics.enrolled and academics.cancelled
// (committed, the event not acknowledged).
package academics
