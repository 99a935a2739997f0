package mongoparking

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"trama/platform/parking"
	"trama/platform/store/mongostore"
)

// row makes the audit row of an act, with the next number.
func (l *Lot) row(ctx context.Context, a parking.Act) (actDoc, error) {
	if a.At.IsZero() {
		a.At = l.clock.Now()
	}
	seq, err := next(ctx, l.counters, "audit", 1)
	if err != nil {
		return actDoc{}, err
	}
	return actDoc{ID: strconv.FormatInt(seq, 10), Seq: seq, At: a.At.UnixMilli(), Who: parking.Clean(a.Who), Act: parking.Clean(a.Act),
		Subscription: parking.Clean(a.Subscription), Letter: parking.Clean(a.Letter), Type: parking.Clean(a.Type),
		Subject: parking.Clean(a.Subject), Detail: parking.Clean(a.Detail)}, nil
}

// tell writes an audit row, once.
func (l *Lot) tell(ctx context.Context, row actDoc) error {
	if _, err := l.audit.InsertOne(ctx, row); err != nil && !mongo.IsDuplicateKeyError(err) {
		return fmt.Errorf("audit: %w", mongostore.WriteError(err))
	}
	return nil
}

// Note writes an audit row.
func (l *Lot) Note(ctx context.Context, a parking.Act) error {
	row, err := l.row(ctx, a)
	if err != nil {
		return err
	}
	return l.tell(ctx, row)
}

// Audit gives acts, oldest first.
func (l *Lot) Audit(ctx context.Context, f parking.Filter, after string, limit int) (acts []parking.Act, next string, err error) {
	if err := l.finishOpen(ctx, ""); err != nil {
		return nil, "", err
	}
	if err := l.finishHolds(ctx); err != nil {
		return nil, "", err
	}
	limit = parking.Limit(limit)
	from, _ := strconv.ParseInt(after, 10, 64)
	filter := append(matching(parking.Filter{Subscription: f.Subscription, Subject: f.Subject, Type: f.Type, IDs: f.IDs}),
		bson.E{Key: "seq", Value: is("$gt", from)})
	filter = append(filter, between("at", f.From, f.To)...)
	cursor, err := l.audit.Find(ctx, filter, options.Find().SetSort(is("seq", 1)).SetLimit(int64(limit)))
	if err != nil {
		return nil, "", fmt.Errorf("audit: %w", mongostore.ReadError(err))
	}
	var rows []actDoc
	if err := cursor.All(ctx, &rows); err != nil {
		return nil, "", fmt.Errorf("audit: %w", mongostore.ReadError(err))
	}
	for _, r := range rows {
		acts = append(acts, parking.Act{ID: strconv.FormatInt(r.Seq, 10), At: moment(r.At), Who: r.Who, Act: r.Act,
			Subscription: r.Subscription, Letter: r.Letter, Type: r.Type, Subject: r.Subject, Detail: r.Detail})
	}
	if len(acts) == limit {
		next = acts[limit-1].ID
	}
	return acts, next, nil
}

// Hold asks the consumer to step aside until then, or lets it work again.
func (l *Lot) Hold(ctx context.Context, subscription string, until time.Time, who string) error {
	if err := l.finishHolds(ctx); err != nil {
		return err
	}
	if _, err := next(ctx, l.holds, subscription, 0); err != nil { // makes the document
		return err
	}
	now := l.clock.Now()
	mine, over := is("_id", subscription), bson.E{Key: "until", Value: is("$gt", now.UnixMilli())}
	act := parking.Act{Who: who, Act: parking.ActRelease, Subscription: subscription}
	if until.After(now) {
		act.Act = parking.ActHold
		// The same hold for longer is no act of its own.
		longer, err := update(ctx, l.holds, append(mine, over), set(is("until", until.UnixMilli())))
		if err != nil || longer {
			return err
		}
		over.Value = is("$not", over.Value)
	}
	row, err := l.row(ctx, act)
	if err != nil {
		return err
	}
	changed, err := update(ctx, l.holds, append(is("_id", subscription), over),
		set(bson.D{{Key: "until", Value: millis(until)}, {Key: "open", Value: act.Act}, {Key: "act", Value: row}}))
	if err != nil || !changed {
		return err
	}
	return l.finishHold(ctx, holdDoc{Subscription: subscription, Act: row})
}

func (l *Lot) finishHold(ctx context.Context, h holdDoc) error {
	if err := l.tell(ctx, h.Act); err != nil {
		return err
	}
	_, err := update(ctx, l.holds, bson.D{{Key: "_id", Value: h.Subscription}, {Key: "act.seq", Value: h.Act.Seq}}, set(is("open", "")))
	return err
}

func (l *Lot) finishHolds(ctx context.Context) error {
	all, err := l.subscriptions(ctx)
	if err != nil {
		return err
	}
	for _, h := range all {
		if h.Open != "" {
			err = errors.Join(err, l.finishHold(ctx, h))
		}
	}
	return err
}

// subscriptions gives all that ever parked something or were held.
func (l *Lot) subscriptions(ctx context.Context) ([]holdDoc, error) {
	cursor, err := l.holds.Find(ctx, bson.D{}, options.Find().SetSort(is("_id", 1)))
	if err != nil {
		return nil, fmt.Errorf("subscriptions: %w", mongostore.ReadError(err))
	}
	var out []holdDoc
	if err := cursor.All(ctx, &out); err != nil {
		return nil, fmt.Errorf("subscriptions: %w", mongostore.ReadError(err))
	}
	return out, nil
}
