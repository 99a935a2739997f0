// Package notifications owns the mail that the school sends: which fact makes
// which mail, what it says, and that it goes out once. The seed's students and
// customers hear of what happened through it.
//
//	event ──(inbox row + message, one transaction)──► aguardando ──► enviada
//	                                                     │ ▲
//	                                                     │ └ back-off after a failure that may pass
//	                                                     ├──► falhou: refused for good, too old, or expired
//	                                                     └──► dropped: unsubscribed, enrolled, told otherwise
//
// Consumes ContaCriada (welcome), MatriculaConfirmada (to those who were students
// before), MatriculaCancelada, PagamentoRecusado, CobrancaEmitida,
// PagamentoEstornado, LembreteDevido, LeadDescadastrado. Publishes nothing. Calls
// identity (IssueInitialPassword).
//
// Promises and decisions:
//
//   - Each event makes at most one message; a message is sent at least once and
//     recorded after. A death between sending and recording sends it again with
//     the same Message-ID; in the mailbox it is the same file, so there is no
//     duplicate there.
//   - A first password is asked for at sending time and is nowhere but in memory
//     and in the mail. A repetition carries a new one, and the last one works.
//     Somebody who has chosen a password already gets the welcome without one.
//   - One fact, one mail: a new student reads of the enrolment in the welcome; a
//     refund's mail says that the enrolment ended, so the cancellation it causes
//     is told only to an address that was not told of the refund.
//   - No reminder that waits is sent after its lead unsubscribed, was erased, or
//     enrolled. One that is being handed over at that moment cannot be held back.
//   - Once a mail is sent or given up, address, subject, kind and times are kept,
//     nothing else.
//   - Mail goes to an SMTP server, or, when none is configured, into one file for
//     each mail (mode 0600) which notifications.api shows to this machine and to
//     the operator.
//
// Modules: notifications.api (REST), notifications.worker (subscriptions, and
// the sender, one at a time among all processes). Stores: SQLite, PostgreSQL.
//
// Fault points: "notifications.queued" (message committed, event not yet
// acknowledged), "notifications.sent" (handed over, not yet recorded).
package notifications
