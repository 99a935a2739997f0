package app

import (
	"context"
	"time"

	"trama/contracts/events"
	"trama/platform/clock"
	"trama/platform/fault"
	"trama/platform/outbox"
	"trama/services/marketing/internal/lead"
)

// ErrToken: the token of an unsubscribe link is false, or its lead was erased.
var ErrToken = fault.New(fault.NotFound, "descadastro-inexistente", fault.Text{
	PT: "Este endereço de descadastro não vale. Abra o que veio na última mensagem recebida.",
	EN: "This unsubscribe address is not valid. Open the one in the last message you received.",
})

// Unsubscribe ends the reminders of the person who holds a token.
type Unsubscribe struct {
	Leads Leads
	Keys  lead.Keys
	Clock clock.Clock
}

// Do unsubscribes every lead of the token's address: whoever clicks wants no
// more mail, whichever course it is about. It gives the token's lead. Repeating
// changes nothing. A later registration for another course is a new consent and
// has reminders of its own.
func (u *Unsubscribe) Do(ctx context.Context, token string) (lead.Lead, error) {
	leadID, ok := u.Keys.LeadOf(token)
	if !ok {
		return lead.Lead{}, ErrToken
	}
	l, err := u.Leads.Get(ctx, leadID)
	if err != nil {
		return lead.Lead{}, tokenError(err)
	}
	same, err := u.Leads.SameAddress(ctx, l.Email)
	if err != nil {
		return lead.Lead{}, err
	}
	now := u.Clock.Now()
	for _, other := range same {
		if other.ID == leadID {
			continue
		}
		if _, err := u.one(ctx, other.ID, now); err != nil && fault.KindOf(err) != fault.NotFound {
			return lead.Lead{}, err
		}
	}
	l, err = u.one(ctx, leadID, now) // the last one, so that a repetition finds what a death left undone
	return l, tokenError(err)
}

func (u *Unsubscribe) one(ctx context.Context, leadID string, now time.Time) (lead.Lead, error) {
	return u.Leads.Update(ctx, leadID, func(l *lead.Lead) ([]outbox.Message, error) {
		if !l.Unsubscribe(now) {
			return nil, nil
		}
		return []outbox.Message{unsubscribed(leadID, now)}, nil
	})
}

func tokenError(err error) error {
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return ErrToken
	}
	return err
}

func unsubscribed(leadID string, at time.Time) outbox.Message {
	return outbox.Message{Type: events.TypeLeadDescadastrado, Subject: leadID, Data: events.LeadDescadastrado{
		LeadID: leadID, DescadastradoEm: at,
	}}
}
