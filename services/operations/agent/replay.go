package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/platform/bus"
	"trama/platform/fault"
	"trama/platform/parking"
	"trama/platform/telemetry"
)

// patience is the default of Agent.Patience.
const patience = 15 * time.Second

// holdTime is how long a subscription stands aside after a part of a replay, for
// the caller to come with the next.
const holdTime = time.Minute

// replayLimit is how many events a call parks when it is not told.
const replayLimit = 1000

// replayChunk is how many letters are parked in one transaction.
const replayChunk = 500

var (
	errNotRebuildable = fault.New(fault.Conflict, "assinatura-nao-reconstruivel", fault.Text{
		PT: "Tratar de novo eventos já tratados por esta assinatura teria efeito duas vezes; só uma assinatura de modelo de leitura se reconstrói.",
		EN: "Handling again what this subscription has handled would have its effect twice; only a read model's subscription can be rebuilt.",
	})
	errBusy = fault.New(fault.Unavailable, "assinatura-ocupada", fault.Text{
		PT: "A assinatura não parou a tempo; tente de novo em instantes.",
		EN: "The subscription did not step aside in time; try again shortly.",
	})
)

// Note writes into the audit what was done elsewhere.
func (s server) Note(ctx context.Context, r *operationsv1.NoteRequest) (*operationsv1.NoteResponse, error) {
	if s.Parking == nil {
		return &operationsv1.NoteResponse{}, nil
	}
	a := r.GetAct()
	return &operationsv1.NoteResponse{}, s.Parking.Note(ctx, parking.Act{
		Who: a.GetWho(), Act: a.GetAct(), Subscription: a.GetSubscription(), Detail: a.GetDetail(),
	})
}

// Replay parks a part of the log for a subscription. Its consumer steps aside
// meanwhile, so that nothing newer of a subject overtakes what is replayed; should
// the caller never go on, the hold ends by itself.
func (s server) Replay(ctx context.Context, r *operationsv1.ReplayRequest) (*operationsv1.ReplayResponse, error) {
	sub, err := s.subscription(r.GetSubscription())
	if err != nil {
		return nil, err
	}
	if s.Parking == nil {
		return nil, errNoSubscription
	}
	if r.GetRebuild() && !sub.Rebuildable {
		return nil, errNotRebuildable
	}
	if err := s.Parking.Hold(ctx, sub.Name, s.Clock.Now().Add(holdTime), r.GetWho()); err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, cmp.Or(s.Patience, patience))
	defer cancel()
	lease, err := s.Parking.Lease(wait, sub.Name)
	if err != nil {
		if wait.Err() != nil && ctx.Err() == nil {
			err = errBusy.Wrap(err)
		}
		return nil, err
	}
	defer func() { _ = lease.Release() }() // not given back, it ends by itself
	if r.GetAfter() == "" {                // in the audit before anything is parked: a caller may never come to the end
		if err := s.noteReplay(ctx, sub, r); err != nil {
			return nil, err
		}
	}
	out, err := s.park(ctx, sub, r)
	if err == nil && out.Done {
		err = s.Parking.Hold(ctx, sub.Name, time.Time{}, r.GetWho())
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s server) noteReplay(ctx context.Context, sub bus.Subscription, r *operationsv1.ReplayRequest) error {
	detail := fmt.Sprintf("%s: the log from %s", r.GetId(), instant(r.GetFromMs()).Format(time.RFC3339))
	if r.GetRebuild() {
		detail += ", rebuild"
	}
	return s.Parking.Note(ctx, parking.Act{Who: r.GetWho(), Act: parking.ActReplay, Subscription: sub.Name, Detail: detail})
}

var errEnough = errors.New("enough for one call")

// park parks the next part of the log, under the lease.
func (s server) park(ctx context.Context, sub bus.Subscription, r *operationsv1.ReplayRequest) (*operationsv1.ReplayResponse, error) {
	out := &operationsv1.ReplayResponse{Next: r.GetAfter(), Done: true}
	replay := ""
	if r.GetRebuild() {
		replay = r.GetId()
	}
	limit := int64(r.GetLimit())
	if limit <= 0 {
		limit = replayLimit
	}
	var letters []bus.Letter
	flush := func() error {
		err := s.Parking.Park(ctx, sub.Name, letters...)
		letters = letters[:0]
		return err
	}
	query := bus.Query{After: r.GetAfter(), From: instant(r.GetFromMs()), Types: sub.Types}
	err := s.Bus.Read(ctx, query, func(e bus.LogEntry) error {
		body, err := bus.Encode(e.Event)
		if err != nil {
			return err
		}
		letters = append(letters, bus.Letter{
			ID: e.Event.ID, Subject: e.Event.Subject, State: bus.Behind, Body: body, Type: e.Event.Type, Replay: replay,
			TraceID: telemetry.TraceID(telemetry.WithTraceParent(context.Background(), e.Event.TraceParent)), ParkedAt: s.Clock.Now(),
		})
		out.Parked++
		out.Next = e.Position
		if len(letters) == replayChunk {
			if err := flush(); err != nil {
				return err
			}
		}
		if out.Parked >= limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		out.Done, err = false, nil
	}
	if err == nil && len(letters) > 0 {
		err = flush()
	}
	return out, err
}
