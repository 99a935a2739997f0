package mongoparking

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"trama/platform/bus"
	"trama/platform/parking"
	"trama/platform/store/mongostore"
)

func (l *Lot) get(ctx context.Context, subscription, id string) (letterDoc, error) {
	d, ok, err := l.one(ctx, is("_id", key(subscription, parking.Clean(id))))
	if err == nil && !ok {
		err = parking.ErrNotFound
	}
	return d, err
}

// Get gives one letter.
func (l *Lot) Get(ctx context.Context, subscription, id string) (parking.Entry, error) {
	d, err := l.get(ctx, subscription, id)
	if err != nil {
		return parking.Entry{}, err
	}
	e, err := d.entry()
	if err != nil {
		return parking.Entry{}, err
	}
	return e, l.countBehind(ctx, &e)
}

func (l *Lot) countBehind(ctx context.Context, e *parking.Entry) (err error) {
	if e.State != bus.Behind {
		e.BehindIt, err = l.count(ctx, append(of(e.Subscription, e.Subject), bson.E{Key: "position", Value: is("$gt", e.Position)}))
	}
	return err
}

func (l *Lot) count(ctx context.Context, filter bson.D) (int, error) {
	n, err := l.letters.CountDocuments(ctx, filter)
	if err != nil {
		return 0, fmt.Errorf("count letters: %w", mongostore.ReadError(err))
	}
	return int(n), nil
}

// List gives letters by subscription and position.
func (l *Lot) List(ctx context.Context, f parking.Filter, after string, limit int) (items []parking.Entry, next string, err error) {
	limit = parking.Limit(limit)
	filter := matching(f)
	if after != "" {
		subscription, position := parking.Place(after)
		filter = is("$and", bson.A{filter, is("$or", bson.A{
			is("sub", is("$gt", subscription)),
			bson.D{{Key: "sub", Value: subscription}, {Key: "position", Value: is("$gt", position)}},
		})})
	}
	docs, err := l.find(ctx, filter, limit, "sub", "position")
	if err != nil {
		return nil, "", err
	}
	for i := range docs {
		e, err := docs[i].entry()
		if err != nil {
			return nil, "", err
		}
		e.Body, e.History = nil, nil
		if err := l.countBehind(ctx, &e); err != nil {
			return nil, "", err
		}
		items = append(items, e)
	}
	if len(items) == limit {
		last := items[limit-1]
		next = last.Subscription + " " + strconv.FormatInt(last.Position, 10)
	}
	return items, next, nil
}

// Causes groups what failed. It reads the letters' causes one after the other:
// grouping is not in the subset of MongoDB that we use.
func (l *Lot) Causes(ctx context.Context, f parking.Filter) ([]parking.Cause, error) {
	filter := is("$and", bson.A{matching(f), is("state", is("$ne", behind))})
	fields := bson.D{}
	for _, name := range []string{"sub", "letter", "type", "kind", "code", "cause", "parked_at"} {
		fields = append(fields, bson.E{Key: name, Value: 1})
	}
	cursor, err := l.letters.Find(ctx, filter, options.Find().SetProjection(fields))
	if err != nil {
		return nil, fmt.Errorf("causes: %w", mongostore.ReadError(err))
	}
	defer cursor.Close(ctx)
	groups := map[parking.Cause]*parking.Cause{}
	for cursor.Next(ctx) {
		var d letterDoc
		if err := cursor.Decode(&d); err != nil {
			return nil, fmt.Errorf("causes: %w", err)
		}
		name := parking.Cause{Subscription: d.Subscription, Type: d.Type, Kind: d.Kind, Code: d.Code, Error: d.Cause}
		g := groups[name]
		if g == nil {
			one := name
			one.Oldest, one.Newest, one.Example = moment(d.ParkedAt), moment(d.ParkedAt), d.Letter
			g = &one
			groups[name] = g
		}
		g.Count++
		if at := moment(d.ParkedAt); at.Before(g.Oldest) {
			g.Oldest = at
		} else if at.After(g.Newest) {
			g.Newest = at
		}
		g.Example = min(g.Example, d.Letter)
	}
	if err := cursor.Err(); err != nil {
		return nil, fmt.Errorf("causes: %w", mongostore.ReadError(err))
	}
	out := make([]parking.Cause, 0, len(groups))
	for _, g := range groups {
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b parking.Cause) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return slices.Compare([]string{a.Subscription, a.Type, a.Kind, a.Code, a.Error}, []string{b.Subscription, b.Type, b.Kind, b.Code, b.Error})
	})
	return out, nil
}

// Counts gives what each subscription has parked.
func (l *Lot) Counts(ctx context.Context) ([]parking.Count, error) {
	all, err := l.subscriptions(ctx)
	if err != nil {
		return nil, err
	}
	var out []parking.Count
	for _, h := range all {
		c := parking.Count{Subscription: h.Subscription, Held: h.Until > l.clock.Now().UnixMilli()}
		in := func(state bus.LetterState) bson.D {
			return bson.D{{Key: "sub", Value: h.Subscription}, {Key: "state", Value: string(state)}}
		}
		for state, n := range map[bus.LetterState]*int{bus.Waiting: &c.Waiting, bus.Behind: &c.Behind, bus.Dead: &c.Dead} {
			if *n, err = l.count(ctx, in(state)); err != nil {
				return nil, err
			}
		}
		if first, ok, err := l.one(ctx, in(bus.Dead), "position"); err != nil {
			return nil, err
		} else if ok {
			c.OldestDead = moment(first.ParkedAt)
		}
		if first, ok, err := l.one(ctx, in(bus.Waiting), "due"); err != nil {
			return nil, err
		} else if ok {
			c.NextDue = time.UnixMilli(first.Due).UTC()
		}
		out = append(out, c)
	}
	return out, nil
}
