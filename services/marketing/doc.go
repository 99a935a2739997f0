// Package marketing owns the people who are interested in the school: their
// leads, their consent to be reminded, and their right to hear nothing more.
// It is the seed's "Microsserviço de Marketing".
//
// A lead is an e-mail address and, perhaps, a course:
//
//	POST leads ──► ativo ──────────► matriculado     MatriculaConfirmada
//	                 │ reminders        ▲
//	                 └──► descadastrado ┘            one click in a mail
//
//	only an active lead is reminded; enrolled is the stronger of the two ends
//
// Publishes LeadRegistrado, LembreteDevido, LeadDescadastrado. Consumes
// MatriculaConfirmada. Calls academics (GetCourse), whose silence never loses a
// lead.
//
// Promises and decisions:
//
//   - A lead is on disk with its event before 201 is answered. The same address
//     and course again are the same lead, unchanged: 200.
//   - A repetition is no new consent: a form that anybody can fill in for any
//     address does not undo an unsubscription. Interest in another course is a
//     new lead with a consent of its own, and is reminded.
//   - Unsubscribing counts for all leads of the address. Erasing does too: it
//     removes the person, whatever waits to be published about them, and their
//     idempotency keys, and publishes nothing but LeadDescadastrado.
//   - Enrolment ends the reminders of the leads of that address for that course
//     or for none, also of those registered after it: enrolments are remembered by
//     a keyed digest of the address (not the address) until it is erased.
//   - A reminder that comes late pushes the next, so that nobody gets a bunch; none
//     is skipped.
//
// Modules: marketing.api (REST), marketing.worker (the subscription),
// marketing.tasks (reminders; old keys). Stores: SQLite and
// PostgreSQL through store.DB, or MongoDB (Config.Mongo), which was tested against
// FerretDB v1.24.2 and uses nothing but single documents and plain indexes.
//
// Fault points: "marketing.lead" (lead committed, not yet answered),
// "marketing.reminded" (step and event committed).
package marketing
