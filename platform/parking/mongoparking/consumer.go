package mongoparking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"trama/platform/bus"
	"trama/platform/parking"
	"trama/platform/store/mongostore"
)

const (
	waiting = string(bus.Waiting)
	behind  = string(bus.Behind)
)

// Lease waits until the caller alone may work the subscription.
func (l *Lot) Lease(ctx context.Context, subscription string) (bus.Lease, error) {
	return l.leases.Lease(ctx, parking.LeaseName(subscription))
}

// Blocked gives every subject that has letters. It mends what a death left.
func (l *Lot) Blocked(ctx context.Context, subscription string) ([]bus.Blocked, error) {
	if err := l.finishOpen(ctx, subscription); err != nil {
		return nil, err
	}
	subjects, err := l.withBehind(ctx, subscription)
	if err != nil {
		return nil, err
	}
	for s := range subjects {
		if err := l.mend(ctx, subscription, s); err != nil {
			return nil, err
		}
	}
	return l.firsts(ctx, bson.D{{Key: "sub", Value: subscription}, {Key: "state", Value: is("$ne", behind)}}, 0)
}

// withBehind gives the subjects that have letters behind. FerretDB v1 answers
// "distinct" in a way the driver cannot read, so letters are read one by one.
func (l *Lot) withBehind(ctx context.Context, subscription string) (map[string]bool, error) {
	cursor, err := l.letters.Find(ctx, bson.D{{Key: "sub", Value: subscription}, {Key: "state", Value: behind}}, options.Find().SetProjection(is("subject", 1)))
	if err != nil {
		return nil, fmt.Errorf("blocked subjects: %w", mongostore.ReadError(err))
	}
	defer cursor.Close(ctx)
	out := map[string]bool{}
	for cursor.Next(ctx) {
		var d letterDoc
		if err := cursor.Decode(&d); err != nil {
			return nil, fmt.Errorf("blocked subjects: %w", err)
		}
		out[d.Subject] = true
	}
	return out, mongostore.ReadError(cursor.Err())
}

// firsts gives the subjects of first letters, each once.
func (l *Lot) firsts(ctx context.Context, filter bson.D, limit int) ([]bus.Blocked, error) {
	docs, err := l.find(ctx, filter, limit, "due")
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var out []bus.Blocked
	for _, d := range docs {
		if !seen[d.Subject] {
			seen[d.Subject] = true
			out = append(out, bus.Blocked{Subject: d.Subject, State: bus.LetterState(d.State), Due: moment(d.Due)})
		}
	}
	return out, nil
}

// Park adds letters behind those of their subjects.
func (l *Lot) Park(ctx context.Context, subscription string, letters ...bus.Letter) error {
	if len(letters) == 0 {
		return nil
	}
	if err := l.prepare(ctx); err != nil {
		return err
	}
	last, err := next(ctx, l.holds, subscription, len(letters))
	if err != nil {
		return err
	}
	taken := map[string]bool{} // subjects that have letters
	docs := make([]letterDoc, len(letters))
	for i, x := range letters {
		d, err := l.document(subscription, x)
		if err != nil {
			return err
		}
		d.Position = last - int64(len(letters)-1-i)
		if _, known := taken[d.Subject]; !known {
			if _, taken[d.Subject], err = l.one(ctx, of(subscription, d.Subject), "position"); err != nil {
				return err
			}
		}
		switch {
		case taken[d.Subject]:
			d.State = behind
		case d.State == behind:
			d.State, d.Due = waiting, l.clock.Now().UnixMilli()
		}
		taken[d.Subject] = true
		docs[i] = d
	}
	if err := l.insert(ctx, docs); err != nil {
		return err
	}
	for subject := range taken {
		if err := l.mend(ctx, subscription, subject); err != nil {
			return err
		}
	}
	return nil
}

// insert adds those of the letters that are not there.
func (l *Lot) insert(ctx context.Context, docs []letterDoc) error {
	_, err := l.letters.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	var bulk mongo.BulkWriteException
	if errors.As(err, &bulk) && bulk.WriteConcernError == nil {
		for _, w := range bulk.WriteErrors {
			if !mongo.IsDuplicateKeyError(w) {
				return fmt.Errorf("park: %w", mongostore.WriteError(err))
			}
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("park: %w", mongostore.WriteError(err))
	}
	return nil
}

// of gives the filter of a subject's letters.
func of(subscription, subject string) bson.D {
	return bson.D{{Key: "sub", Value: subscription}, {Key: "subject", Value: subject}}
}

// mend lets the first letter of a subject come first.
func (l *Lot) mend(ctx context.Context, subscription, subject string) error {
	return l.promote(ctx, of(subscription, subject))
}

// promote makes the first letter that the filter meets waiting and due, if it is behind.
func (l *Lot) promote(ctx context.Context, filter bson.D) error {
	first, ok, err := l.one(ctx, filter, "position")
	if err != nil || !ok || first.State != behind {
		return err
	}
	_, err = update(ctx, l.letters, bson.D{{Key: "_id", Value: first.ID}, {Key: "state", Value: behind}},
		set(bson.D{{Key: "state", Value: waiting}, {Key: "due", Value: l.clock.Now().UnixMilli()}}))
	return err
}

// Front gives the first letters of a subject.
func (l *Lot) Front(ctx context.Context, subscription, subject string, limit int) ([]bus.Letter, error) {
	for {
		docs, err := l.find(ctx, of(subscription, parking.Clean(subject)), limit, "position")
		if err != nil {
			return nil, err
		}
		dropped := false
		out := make([]bus.Letter, len(docs))
		for i := range docs {
			if docs[i].Open == parking.ActDrop {
				dropped = true
				if err := l.finish(ctx, docs[i]); err != nil {
					return nil, err
				}
			}
			if out[i], err = docs[i].letter(); err != nil {
				return nil, err
			}
		}
		if !dropped {
			return out, nil
		}
	}
}

// Failed stores what a failed try changed; see parking.Lot.
func (l *Lot) Failed(ctx context.Context, subscription string, x bus.Letter) error {
	began := l.clock.Now().UnixMilli()
	if n := len(x.History); n > 0 {
		began = millis(x.History[n-1].At)
	}
	d, err := l.document(subscription, x)
	if err != nil {
		return err
	}
	told := bson.D{{Key: "history", Value: d.History}, {Key: "kind", Value: d.Kind}, {Key: "code", Value: d.Code},
		{Key: "error", Value: d.Error}, {Key: "cause", Value: d.Cause}}
	met, err := update(ctx, l.letters, bson.D{{Key: "_id", Value: d.ID}, {Key: "state", Value: is("$ne", behind)}, {Key: "acted", Value: is("$lte", began)}},
		set(append(bson.D{{Key: "state", Value: d.State}, {Key: "due", Value: d.Due}, {Key: "tries", Value: d.Tries}}, told...)))
	if err != nil || met {
		return err
	}
	_, err = update(ctx, l.letters, is("_id", d.ID), set(told), bson.E{Key: "$min", Value: is("acted", began)})
	return err
}

// Done removes letters that were handled.
func (l *Lot) Done(ctx context.Context, subscription string, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = key(subscription, parking.Clean(id))
	}
	docs, err := l.find(ctx, is("_id", is("$in", keys)), 0, "position")
	if err != nil {
		return err
	}
	for _, d := range docs {
		if d.Open != "" { // else the audit row would be lost with the letter
			if err := l.finish(ctx, d); err != nil {
				return err
			}
		}
	}
	return l.remove(ctx, docs)
}

// remove deletes letters of one subscription after letting the next come first.
func (l *Lot) remove(ctx context.Context, docs []letterDoc) error {
	keys := map[string][]string{} // of each subject
	for _, d := range docs {
		keys[d.Subject] = append(keys[d.Subject], d.ID)
	}
	for subject, going := range keys {
		all := of(docs[0].Subscription, subject)
		if err := l.promote(ctx, append(all, bson.E{Key: "_id", Value: is("$nin", going)})); err != nil {
			return err
		}
		if _, err := l.letters.DeleteMany(ctx, is("_id", is("$in", going))); err != nil {
			return fmt.Errorf("remove letters: %w", mongostore.WriteError(err))
		}
		if err := l.mend(ctx, docs[0].Subscription, subject); err != nil {
			return err
		}
	}
	return nil
}

// Woken gives the subjects whose first letter is due, and whether the
// subscription is held.
func (l *Lot) Woken(ctx context.Context, subscription string, now time.Time, limit int) ([]bus.Blocked, bool, error) {
	var h holdDoc
	err := l.holds.FindOne(ctx, is("_id", subscription)).Decode(&h)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("hold of %s: %w", subscription, mongostore.ReadError(err))
	}
	out, err := l.firsts(ctx, bson.D{{Key: "sub", Value: subscription}, {Key: "state", Value: waiting},
		{Key: "due", Value: is("$lte", now.UnixMilli())}}, limit)
	return out, h.Until > now.UnixMilli(), err
}
