package app

import (
	"context"

	"trama/platform/auth"
	"trama/platform/clock"
	"trama/platform/outbox"
	"trama/services/marketing/internal/lead"
)

// Staff is what the school's staff does with leads. Every method needs the
// operator; Unauthenticated otherwise.
type Staff struct {
	Leads Leads
	Keys  lead.Keys
	Clock clock.Clock
}

// Get gives one lead.
func (s *Staff) Get(ctx context.Context, leadID string) (lead.Lead, error) {
	if err := auth.RequireOperator(ctx); err != nil {
		return lead.Lead{}, err
	}
	return s.Leads.Get(ctx, leadID)
}

// List gives up to limit leads that are older than the id before, newest first.
func (s *Staff) List(ctx context.Context, before string, limit int) ([]lead.Lead, error) {
	if err := auth.RequireOperator(ctx); err != nil {
		return nil, err
	}
	return s.Leads.List(ctx, before, limit)
}

// Erase removes the person behind a lead, as the law (LGPD, article 18) gives
// them the right to: every lead of the address, what waits to be published about
// them, and the mark of their enrolment. Nothing but "this lead is unsubscribed"
// is published, so that mail which waits elsewhere is dropped too.
func (s *Staff) Erase(ctx context.Context, leadID string) error {
	if err := auth.RequireOperator(ctx); err != nil {
		return err
	}
	l, err := s.Leads.Get(ctx, leadID)
	if err != nil {
		return err
	}
	now := s.Clock.Now()
	return s.Leads.EraseAddress(ctx, l.Email, s.Keys.Digest(l.Email), func(l lead.Lead) []outbox.Message {
		if !l.UnsubscribedAt.IsZero() {
			return nil // was said before
		}
		return []outbox.Message{unsubscribed(l.ID, now)}
	})
}
