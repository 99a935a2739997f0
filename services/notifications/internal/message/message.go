// Package message is the domain of notifications: one mail that somebody must
// get because of one event, from the moment it is known until it is sent or
// given up. It does no I/O.
package message

import "time"

// Kind is what a mail is about; it names the template too.
type Kind string

// The kinds of mail.
const (
	Welcome      Kind = "boas-vindas"  // an account exists: its first password
	Enrolled     Kind = "matricula"    // somebody who has an account enrolled again
	Cancelled    Kind = "cancelamento" // an enrolment ended
	Refused      Kind = "recusa"       // there will be no money
	Instructions Kind = "cobranca"     // how to pay by pix or boleto
	Refunded     Kind = "estorno"      // the money went back, and the enrolment with it
	Reminder     Kind = "lembrete"     // somebody was interested
)

// State is where a message stands, in the public wall's words.
type State string

// The states.
const (
	Waiting State = "aguardando"
	Sent    State = "enviada"
	Failed  State = "falhou"
)

// Facts are what a template needs beside the person; which are filled depends
// on the kind.
type Facts struct {
	CourseID    string    `json:"courseId,omitempty"`
	CourseTitle string    `json:"courseTitle,omitempty"`
	AccountID   string    `json:"accountId,omitempty"`
	KnownBefore bool      `json:"knownBefore,omitempty"` // the address had an account already
	PaymentID   string    `json:"paymentId,omitempty"`
	Amount      string    `json:"amount,omitempty"` // decimal, in reais: "1299.00"
	Method      string    `json:"method,omitempty"` // "cartao", "pix", "boleto"
	Code        string    `json:"code,omitempty"`   // pix code or boleto digits
	Reason      string    `json:"reason,omitempty"` // slug of a refusal
	ExpiresAt   time.Time `json:"expiresAt,omitzero"`
	Enrolment   bool      `json:"enrolment,omitempty"` // the payment was for an enrolment
	Step        int       `json:"step,omitempty"`
	Steps       int       `json:"steps,omitempty"`
	Token       string    `json:"token,omitempty"` // to unsubscribe
}

// Message is one mail. While it waits it holds what its template needs; once it
// is sent or given up, only address, subject and times stay (Finish).
type Message struct {
	ID        string // UUIDv7; the mail's Message-ID is made of it
	EventID   string // the event that caused it; with Kind it is unique
	Kind      Kind
	Topic     string // what it tells of, as "lead:…": a later event may make it pointless
	CourseID  string // of a reminder: enrolling in it makes it pointless
	Name      string
	Email     string
	Facts     Facts
	Trace     string // traceparent of the cause
	CreatedAt time.Time
	ExpiresAt time.Time // not worth sending after it; zero: always

	State      State
	Attempts   int
	Due        time.Time
	Subject    string // once sent
	Reason     string // of the last failure, without personal data
	FinishedAt time.Time
}

// Delivered records that the mail was handed over.
func (m *Message) Delivered(now time.Time, subject string) {
	m.Subject, m.Reason = subject, ""
	m.finish(Sent, now)
}

// GiveUp records that the mail will never be sent.
func (m *Message) GiveUp(now time.Time, reason string) {
	m.Reason = reason
	m.finish(Failed, now)
}

// finish forgets what is not needed any more: the least data that still tells who
// was written to, about what and when.
func (m *Message) finish(s State, now time.Time) {
	m.State, m.FinishedAt, m.Due = s, now, time.Time{}
	m.Name, m.Facts, m.Topic = "", Facts{}, keep(m.Topic, m.Kind)
}

// keep says which topics outlive the sending: a refund that was told of is not
// told of again by the cancellation it causes.
func keep(topic string, k Kind) string {
	if k == Refunded || k == Cancelled {
		return topic
	}
	return ""
}

// Expired says whether the mail is not worth sending any more.
func (m *Message) Expired(now time.Time) bool {
	return !m.ExpiresAt.IsZero() && now.After(m.ExpiresAt)
}

// Retry is how a message that could not be sent is tried again.
type Retry struct {
	First   time.Duration // pause after the first failure; doubled each time
	Longest time.Duration // longest pause
	GiveUp  time.Duration // age at which a message is given up
}

// Postpone plans the next try after a failure that may pass, or gives the
// message up when it has waited too long.
func (m *Message) Postpone(now time.Time, reason string, r Retry) {
	m.Attempts++
	m.Reason = reason
	if now.Sub(m.CreatedAt) >= r.GiveUp {
		m.GiveUp(now, reason)
		return
	}
	pause := r.First
	for range min(m.Attempts-1, 30) {
		if pause *= 2; pause >= r.Longest {
			break
		}
	}
	m.Due = now.Add(min(pause, r.Longest))
}
