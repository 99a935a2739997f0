package agent

import (
	"context"

	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/platform/bus"
	"trama/platform/parking"
)

// Letters lists parked events, without their bodies.
func (s server) Letters(ctx context.Context, r *operationsv1.LettersRequest) (*operationsv1.LettersResponse, error) {
	out := &operationsv1.LettersResponse{}
	if s.Parking == nil {
		return out, nil
	}
	entries, next, err := s.Parking.List(ctx, filter(r.GetFilter()), r.GetAfter(), int(r.GetLimit()))
	if err != nil {
		return nil, err
	}
	out.Next = next
	for _, e := range entries {
		out.Letters = append(out.Letters, letterMessage(e, false))
	}
	return out, nil
}

// Letter gives one parked event whole.
func (s server) Letter(ctx context.Context, r *operationsv1.LetterRequest) (*operationsv1.LetterResponse, error) {
	if s.Parking == nil {
		return nil, parking.ErrNotFound
	}
	e, err := s.Parking.Get(ctx, r.GetSubscription(), r.GetId())
	if err != nil {
		return nil, err
	}
	return &operationsv1.LetterResponse{Letter: letterMessage(e, true)}, nil
}

// Causes groups by what went wrong.
func (s server) Causes(ctx context.Context, r *operationsv1.CausesRequest) (*operationsv1.CausesResponse, error) {
	out := &operationsv1.CausesResponse{}
	if s.Parking == nil {
		return out, nil
	}
	causes, err := s.Parking.Causes(ctx, filter(r.GetFilter()))
	if err != nil {
		return nil, err
	}
	for _, c := range causes {
		out.Causes = append(out.Causes, &operationsv1.Cause{
			Subscription: c.Subscription, Type: c.Type, Kind: c.Kind, Code: c.Code, Error: c.Error,
			Count: int64(c.Count), OldestMs: millis(c.Oldest), NewestMs: millis(c.Newest), Example: c.Example,
		})
	}
	return out, nil
}

// Retry makes letters due now.
func (s server) Retry(ctx context.Context, r *operationsv1.ActRequest) (*operationsv1.ActResponse, error) {
	if s.Parking == nil {
		return &operationsv1.ActResponse{}, nil
	}
	done, left, err := s.Parking.Retry(ctx, filter(r.GetFilter()), r.GetWho(), int(r.GetLimit()))
	return &operationsv1.ActResponse{Done: int64(done), Left: int64(left)}, err
}

// Drop gives letters up.
func (s server) Drop(ctx context.Context, r *operationsv1.ActRequest) (*operationsv1.ActResponse, error) {
	if s.Parking == nil {
		return &operationsv1.ActResponse{}, nil
	}
	done, left, err := s.Parking.Drop(ctx, filter(r.GetFilter()), r.GetWho(), r.GetWhy(), int(r.GetLimit()))
	return &operationsv1.ActResponse{Done: int64(done), Left: int64(left)}, err
}

// Edit replaces the event of a letter.
func (s server) Edit(ctx context.Context, r *operationsv1.EditRequest) (*operationsv1.EditResponse, error) {
	if s.Parking == nil {
		return nil, parking.ErrNotFound
	}
	return &operationsv1.EditResponse{}, s.Parking.Edit(ctx, r.GetSubscription(), r.GetId(), r.GetBody(), r.GetWho(), r.GetWhy())
}

// Audit lists what operators did.
func (s server) Audit(ctx context.Context, r *operationsv1.AuditRequest) (*operationsv1.AuditResponse, error) {
	out := &operationsv1.AuditResponse{}
	if s.Parking == nil {
		return out, nil
	}
	acts, next, err := s.Parking.Audit(ctx, filter(r.GetFilter()), r.GetAfter(), int(r.GetLimit()))
	if err != nil {
		return nil, err
	}
	out.Next = next
	for _, a := range acts {
		out.Acts = append(out.Acts, &operationsv1.Act{
			Id: a.ID, AtMs: millis(a.At), Who: a.Who, Act: a.Act, Subscription: a.Subscription,
			Letter: a.Letter, Type: a.Type, Subject: a.Subject, Detail: a.Detail,
		})
	}
	return out, nil
}

func filter(f *operationsv1.Filter) parking.Filter {
	return parking.Filter{
		Subscription: f.GetSubscription(), Subject: f.GetSubject(), Type: f.GetType(), Kind: f.GetKind(), Code: f.GetCode(),
		State: bus.LetterState(f.GetState()), IDs: f.GetIds(), From: instant(f.GetFromMs()), To: instant(f.GetToMs()),
		Error: f.GetError(), ActedBefore: instant(f.GetActedBeforeMs()),
	}
}

func letterMessage(e parking.Entry, whole bool) *operationsv1.Letter {
	out := &operationsv1.Letter{
		Subscription: e.Subscription, Id: e.ID, Subject: e.Subject, Type: e.Type, State: string(e.State), Tries: int32(e.Tries),
		DueMs: millis(e.Due), ParkedAtMs: millis(e.ParkedAt), ParkedBy: e.ParkedBy, TraceId: e.TraceID,
		LastKind: e.LastKind, LastCode: e.LastCode, LastError: e.LastError, BehindIt: int64(e.BehindIt), Replay: e.Replay,
	}
	if !whole {
		return out
	}
	out.Body = e.Body
	for _, a := range e.History {
		out.History = append(out.History, &operationsv1.Attempt{
			AtMs: millis(a.At), TookUs: a.Took.Microseconds(), Kind: a.Kind, Code: a.Code, Error: a.Error,
		})
	}
	return out
}
