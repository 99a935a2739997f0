package payment

import (
	"fmt"
	"time"
)

// wrong is a bug of ours: a verb was called in a state that its caller should
// have looked at. It is not a fault, so it counts as Internal.
func (p *Payment) wrong(verb string) error {
	return fmt.Errorf("payment %s: %s in state %s", p.s.ID, verb, p.s.Status)
}

// Analyse records the fraud analysis: refused when suspect, else on to the
// charge. expiresAt is until when a pix or boleto may be paid; it is fixed here,
// so that a charge repeated later is the same charge.
func (p *Payment) Analyse(score int, findings []string, suspect bool, expiresAt, now time.Time) error {
	if p.s.Status != Received {
		return p.wrong("analyse")
	}
	p.s.Score, p.s.Findings = score, findings
	p.move(Analysing, None, now)
	if suspect {
		return p.Refuse(Fraud, now)
	}
	if p.s.Method != Card {
		p.s.ExpiresAt = expiresAt
	}
	return nil
}

// Issue records that a pix or boleto waits for its payer.
func (p *Payment) Issue(chargeID, code string, expiresAt, now time.Time) error {
	if p.s.Status != Analysing || p.s.Method == Card {
		return p.wrong("issue")
	}
	p.s.ChargeID, p.s.Code, p.s.ExpiresAt = chargeID, code, expiresAt
	p.move(Awaiting, None, now)
	p.note(HasBeenIssued)
	return nil
}

// open says whether money may still arrive: the charge has no outcome, or it is
// refused for being late, which the acquirer may know better.
func (p *Payment) open() bool {
	return p.s.Status == Analysing || p.s.Status == Awaiting || p.s.Status == Refused && p.s.Reason == Expired
}

// Open says whether an approval by the acquirer would change the payment.
func (p *Payment) Open() bool { return p.open() && !p.s.Duplicate }

// Approve records that the money is ours.
func (p *Payment) Approve(chargeID string, now time.Time) error {
	if !p.Open() {
		return p.wrong("approve")
	}
	p.s.ChargeID, p.s.Card.Token, p.s.Reason = chargeID, "", None
	p.move(Approved, None, now)
	p.note(HasBeenApproved)
	return nil
}

// Refuse records that there will be no money.
func (p *Payment) Refuse(r Reason, now time.Time) error {
	if p.Settled() || r == None {
		return p.wrong("refuse")
	}
	p.s.Reason, p.s.Card.Token = r, ""
	p.move(Refused, r, now)
	p.note(HasBeenRefused)
	return nil
}

// RequestRefund asks for the money of an approved payment to go back. Asking
// again changes nothing; ErrState when there is nothing to give back.
func (p *Payment) RequestRefund(note string, now time.Time) error {
	if p.s.Status != Approved {
		return ErrState
	}
	if !p.s.RefundAt.IsZero() {
		return nil
	}
	p.s.RefundAt, p.s.RefundNote = now, note
	p.move(Approved, RefundRequested, now)
	p.note(RefundIsDue)
	return nil
}

// SendBack asks for money to go back that arrived for a course that somebody has
// already paid.
func (p *Payment) SendBack(chargeID string, now time.Time) error {
	if p.s.Duplicate {
		return nil
	}
	if !p.open() {
		return p.wrong("send back")
	}
	p.s.ChargeID, p.s.Card.Token, p.s.RefundAt, p.s.Duplicate = chargeID, "", now, true
	p.move(p.s.Status, AlreadyPaid, now)
	p.note(RefundIsDue)
	return nil
}

// GiveBack records that the money went back, for whatever reason.
func (p *Payment) GiveBack(now time.Time) error {
	switch {
	case p.s.Duplicate && p.RefundDue():
		p.s.Reason = AlreadyPaid
		p.move(Refused, AlreadyPaid, now)
		p.note(HasBeenRefused)
		return nil
	case p.s.Status == Approved:
		reason := RefundRequested
		if p.s.RefundAt.IsZero() { // nobody here asked: the acquirer did it
			p.s.RefundAt, reason = now, Chargeback
		}
		p.s.Reason = reason
		p.move(Refunded, reason, now)
		p.note(HasBeenRefunded)
		return nil
	case p.s.Status == Refunded || p.s.Duplicate:
		return nil
	}
	return p.wrong("give back")
}

// Enrol records where the payer now studies. Again with the same ids changes nothing.
func (p *Payment) Enrol(studentID, enrolmentID string, now time.Time) {
	if p.s.StudentID == studentID && p.s.EnrolmentID == enrolmentID {
		return
	}
	p.s.StudentID, p.s.EnrolmentID = studentID, enrolmentID
	p.touch(now)
}
