package app

import (
	"context"
	"errors"
	"time"

	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/platform/bus"
	"trama/platform/fault"
)

// ErrNoEvent is the fault for an event that is not in the log.
var ErrNoEvent = fault.New(fault.NotFound, "evento-nao-encontrado", fault.Text{
	PT: "Não há evento com este identificador no registro.",
	EN: "There is no event with this id in the log.",
})

// readTime bounds one reading of the log beside the time it may wait for news: a
// driver without an index for what is asked reads all of it.
const readTime = 25 * time.Second

var errPageFull = errors.New("the page is full")

// Events gives a page of the log. With wait, an empty page is waited for so long.
func (o *Operations) Events(ctx context.Context, q bus.Query, limit int, wait time.Duration) ([]bus.LogEntry, error) {
	var out []bus.LogEntry
	collect := func(e bus.LogEntry) error {
		if out = append(out, e); len(out) >= limit {
			return errPageFull
		}
		return nil
	}
	err := o.read(ctx, q, collect)
	if err == nil && len(out) == 0 && wait > 0 {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		q.Follow = true
		limit = 1 // whatever comes first ends the wait
		if err = o.Log.Read(ctx, q, collect); ctx.Err() != nil {
			err = nil
		}
	}
	if errors.Is(err, errPageFull) {
		err = nil
	}
	return out, badPosition(err, q.After, "?cursor")
}

func (o *Operations) read(ctx context.Context, q bus.Query, fn func(bus.LogEntry) error) error {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	return o.Log.Read(ctx, q, fn)
}

// badPosition names the field when err says that a position is none of the log's.
func badPosition(err error, position, field string) error {
	if err != nil && position != "" && errors.Is(err, bus.ErrMalformed) {
		return errCursor(field)
	}
	return err
}

// Event gives one event of the log.
func (o *Operations) Event(ctx context.Context, id string) (bus.LogEntry, error) {
	found, err := o.Events(ctx, bus.Query{ID: id}, 1, 0)
	if err == nil && len(found) == 0 {
		err = ErrNoEvent
	}
	if err != nil {
		return bus.LogEntry{}, err
	}
	return found[0], nil
}

// Replay parks a part of the log for a subscription.
func (o *Operations) Replay(ctx context.Context, r *operationsv1.ReplayRequest) (*operationsv1.ReplayResponse, error) {
	c, err := o.owner(r.GetSubscription(), ErrNoSubscription)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, actTime)
	defer cancel()
	out, err := c.Replay(ctx, r)
	return out, badPosition(err, r.GetAfter(), "/cursor")
}
