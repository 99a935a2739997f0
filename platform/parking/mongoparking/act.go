package mongoparking

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"trama/platform/bus"
	"trama/platform/outbox"
	"trama/platform/parking"
	"trama/platform/store/mongostore"
)

// begin changes a letter and opens the act, if no other operator came between,
// and finishes it.
func (l *Lot) begin(ctx context.Context, d letterDoc, act parking.Act, change bson.D) (done bool, err error) {
	act.Subscription, act.Letter, act.Subject = d.Subscription, d.Letter, d.Subject
	row, err := l.row(ctx, act)
	if err != nil {
		return false, err
	}
	row.ID = d.ID + " " + strconv.FormatInt(d.Revision, 10)
	change = append(change, bson.E{Key: "open", Value: act.Act}, bson.E{Key: "act", Value: row})
	done, err = update(ctx, l.letters, bson.D{{Key: "_id", Value: d.ID}, {Key: "rev", Value: d.Revision}, {Key: "open", Value: ""}},
		set(change), bson.E{Key: "$inc", Value: is("rev", int64(1))})
	if err != nil || !done {
		return false, err
	}
	d.Open, d.Act = act.Act, row
	d.Revision++
	return true, l.finish(ctx, d)
}

// finish tells the open act of a letter and, if it is a drop, completes it.
func (l *Lot) finish(ctx context.Context, d letterDoc) error {
	if err := l.tell(ctx, d.Act); err != nil {
		return err
	}
	if d.Open != parking.ActDrop {
		_, err := update(ctx, l.letters, bson.D{{Key: "_id", Value: d.ID}, {Key: "rev", Value: d.Revision}}, set(is("open", "")))
		return err
	}
	_, err := l.inbox.UpdateOne(ctx, is("_id", key(d.Subscription, outbox.InboxKey(d.Event, d.Replay))),
		bson.D{{Key: "$setOnInsert", Value: is("at", d.Act.At)}}, options.UpdateOne().SetUpsert(true))
	if err != nil && !mongo.IsDuplicateKeyError(err) {
		return fmt.Errorf("inbox: %w", mongostore.WriteError(err))
	}
	return l.remove(ctx, []letterDoc{d})
}

// finishOpen finishes what a death left of the subscription, "" for all.
func (l *Lot) finishOpen(ctx context.Context, subscription string) error {
	filter := is("open", is("$gt", ""))
	if subscription != "" {
		filter = append(filter, bson.E{Key: "sub", Value: subscription})
	}
	docs, err := l.find(ctx, filter, 0, "position")
	if err != nil {
		return err
	}
	for _, d := range docs {
		if err := l.finish(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// each does something to at most limit letters and counts what is left.
func (l *Lot) each(ctx context.Context, filter bson.D, limit int, order []string, do func(letterDoc) (bool, error)) (done, left int, err error) {
	if err := l.finishOpen(ctx, ""); err != nil {
		return 0, 0, err
	}
	docs, err := l.find(ctx, filter, parking.Limit(limit), order...)
	if err != nil {
		return 0, 0, err
	}
	for _, d := range docs {
		ok, err := do(d)
		if err != nil {
			return done, 0, err
		}
		if ok {
			done++
		}
	}
	n, err := l.letters.CountDocuments(ctx, filter, options.Count().SetLimit(parking.CountLimit))
	if err != nil {
		return done, 0, fmt.Errorf("count letters: %w", mongostore.ReadError(err))
	}
	return done, int(n), nil
}

// dueNow is what retrying changes.
func dueNow(now int64) bson.D {
	return bson.D{{Key: "state", Value: waiting}, {Key: "due", Value: now}, {Key: "tries", Value: 0}, {Key: "acted", Value: now}}
}

// Retry makes first letters waiting and due now.
func (l *Lot) Retry(ctx context.Context, f parking.Filter, who string, limit int) (done, left int, err error) {
	now := l.clock.Now().UnixMilli()
	filter := bson.D{{Key: "$and", Value: bson.A{matching(f), is("state", is("$ne", behind)), is("$or", bson.A{
		is("state", string(bus.Dead)), is("due", is("$gt", now)), is("tries", is("$gt", 0))})}}}
	return l.each(ctx, filter, limit, []string{"acted", "position"}, func(d letterDoc) (bool, error) {
		return l.begin(ctx, d, parking.Act{Who: who, Act: parking.ActRetry, Type: d.Type}, dueNow(now))
	})
}

// Drop removes letters and marks their events as handled.
func (l *Lot) Drop(ctx context.Context, f parking.Filter, who, why string, limit int) (done, left int, err error) {
	return l.each(ctx, matching(f), limit, []string{"sub", "position"}, func(d letterDoc) (bool, error) {
		return l.begin(ctx, d, parking.Act{Who: who, Act: parking.ActDrop, Type: d.Type, Detail: why}, bson.D{})
	})
}

// Edit gives a letter another body.
func (l *Lot) Edit(ctx context.Context, subscription, id string, body []byte, who, why string) error {
	event, err := bus.Decode(body)
	if err != nil {
		return err
	}
	for {
		d, err := l.get(ctx, subscription, id)
		if errors.Is(err, parking.ErrNotFound) {
			return l.editedBefore(ctx, subscription, parking.Clean(id), body)
		}
		if err != nil {
			return err
		}
		if d.Open != "" {
			if err := l.finish(ctx, d); err != nil {
				return err
			}
			continue
		}
		old, err := d.letter()
		if err != nil {
			return err
		}
		if err := parking.CheckEdit(old, event); err != nil {
			return err
		}
		if bytes.Equal(d.Body, body) {
			return nil
		}
		change := bson.D{{Key: "body", Value: body}, {Key: "event", Value: parking.Clean(event.ID)}, {Key: "type", Value: parking.Clean(event.Type)}}
		if d.State != behind {
			change = append(change, dueNow(l.clock.Now().UnixMilli())...)
		}
		done, err := l.begin(ctx, d, parking.Act{Who: who, Act: parking.ActEdit, Type: event.Type, Detail: parking.EditDetail(d.Body, body, why)}, change)
		if err != nil || done {
			return err
		}
	}
}

// editedBefore says whether this edit was made, and its letter is gone since.
func (l *Lot) editedBefore(ctx context.Context, subscription, id string, body []byte) error {
	cursor, err := l.audit.Find(ctx, bson.D{{Key: "sub", Value: subscription}, {Key: "letter", Value: id}, {Key: "act", Value: parking.ActEdit}})
	if err != nil {
		return fmt.Errorf("audit: %w", mongostore.ReadError(err))
	}
	var rows []actDoc
	if err := cursor.All(ctx, &rows); err != nil {
		return fmt.Errorf("audit: %w", mongostore.ReadError(err))
	}
	for _, r := range rows {
		if bytes.HasPrefix([]byte(r.Detail), []byte(parking.EditedTo(body))) {
			return nil
		}
	}
	return parking.ErrNotFound
}
