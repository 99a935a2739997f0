package app

import (
	"context"
	"strings"

	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/contracts/rpc/operations/v1/operationsv1connect"
	"trama/platform/fault"
)

// Letter gives one parked event whole.
func (o *Operations) Letter(ctx context.Context, subscription, id string) (*operationsv1.Letter, error) {
	c, err := o.owner(subscription, ErrNoSubscription)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	r, err := c.Letter(ctx, &operationsv1.LetterRequest{Subscription: subscription, Id: id})
	return r.GetLetter(), err
}

// ErrNoFilter is the fault for a bulk act that does not say what it is about.
var ErrNoFilter = fault.New(fault.Invalid, "filtro-vazio", fault.Text{
	PT: "O pedido não diz quais mensagens; dê um filtro, ou `todas`.",
	EN: "The request does not say which messages; give a filter, or `todas`.",
})

// ErrNoReason is the fault for a drop without a reason.
var ErrNoReason = fault.New(fault.Invalid, "motivo-ausente", fault.Text{
	PT: "Descartar exige um `motivo`, que fica na auditoria.",
	EN: "Dropping needs a `motivo`, which is kept in the audit.",
})

// bulkLimit is how many letters a bulk act works on when it is not told.
const bulkLimit = 500

// Retry makes the letters of a filter due now; at most r.Limit per call over all
// services.
func (o *Operations) Retry(ctx context.Context, r *operationsv1.ActRequest) (done, left int64, err error) {
	return o.act(ctx, r, func(ctx context.Context, c operationsv1connect.OperationsServiceClient, r *operationsv1.ActRequest) (*operationsv1.ActResponse, error) {
		return c.Retry(ctx, r)
	})
}

// Drop gives the letters of a filter up for ever.
func (o *Operations) Drop(ctx context.Context, r *operationsv1.ActRequest) (done, left int64, err error) {
	if strings.TrimSpace(r.GetWhy()) == "" {
		return 0, 0, ErrNoReason
	}
	return o.act(ctx, r, func(ctx context.Context, c operationsv1connect.OperationsServiceClient, r *operationsv1.ActRequest) (*operationsv1.ActResponse, error) {
		return c.Drop(ctx, r)
	})
}

// act asks service after service until the limit is used up; the others only say
// how much there is left.
func (o *Operations) act(ctx context.Context, r *operationsv1.ActRequest,
	do func(context.Context, operationsv1connect.OperationsServiceClient, *operationsv1.ActRequest) (*operationsv1.ActResponse, error)) (done, left int64, err error) {
	narrowed := o.only(r.GetFilter())
	if len(narrowed.Services) == 0 {
		return 0, 0, ErrNoSubscription
	}
	ctx, cancel := context.WithTimeout(ctx, actTime)
	defer cancel()
	limit := int64(r.GetLimit())
	if limit <= 0 {
		limit = bulkLimit
	}
	for _, service := range narrowed.Services {
		c := o.Client(service)
		if done >= limit {
			n, err := count(ctx, c, r.GetFilter())
			if err != nil {
				return done, left, err
			}
			left += n
			continue
		}
		a, err := do(ctx, c, &operationsv1.ActRequest{Filter: r.GetFilter(), Who: r.GetWho(), Why: r.GetWhy(), Limit: int32(limit - done)})
		if err != nil {
			return done, left, err
		}
		done += a.GetDone()
		left += a.GetLeft()
	}
	return done, left, nil
}

// count gives how many letters of a service an act on the filter would be about.
// Of named ones those behind others count, too, though a retry passes them over:
// whoever repeats the act until nothing is done comes to an end all the same.
func count(ctx context.Context, c operationsv1connect.OperationsServiceClient, f *operationsv1.Filter) (n int64, err error) {
	if len(f.GetIds()) > 0 {
		r, err := c.Letters(ctx, &operationsv1.LettersRequest{Filter: f, Limit: bulkLimit})
		return int64(len(r.GetLetters())), err
	}
	r, err := c.Causes(ctx, &operationsv1.CausesRequest{Filter: f})
	for _, cause := range r.GetCauses() {
		n += cause.GetCount()
	}
	return n, err
}

// Edit replaces the event of a letter and gives the letter as it then is; nil
// when it has been handled already.
func (o *Operations) Edit(ctx context.Context, r *operationsv1.EditRequest) error {
	c, err := o.owner(r.GetSubscription(), ErrNoSubscription)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	_, err = c.Edit(ctx, r)
	return err
}
