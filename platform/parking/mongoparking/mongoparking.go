// Package mongoparking keeps letters in MongoDB; see package parking. It uses
// single documents and plain indexes only, no transactions.
//
// Without transactions the promises hold like this, whenever a process dies:
//
//   - Parking several letters is not one write. What was parked of them stays;
//     the consumer, which got no answer, parks them again, which adds the rest.
//   - An operator's act is one write: it changes the letter and puts the act,
//     still to be told, into the same document. The audit row follows, under an id
//     made from the letter and its revision, so that telling it twice tells it
//     once. Dropping goes: mark, audit row, inbox, next letter first, delete.
//     Whoever meets a document with an open act finishes it: consumers when they
//     begin or come to that letter, operators before they act or read the audit.
//   - The next letter of a subject comes first before the one in front of it is
//     deleted, and after every change of a subject its first letter is looked at
//     once more, so that no two writers leave one behind nothing. Blocked, with
//     which every consumer begins, mends what a death in between left.
//
// The inbox collection holds what was dropped; consumers ask Handled.
package mongoparking

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/parking"
	"trama/platform/store/mongostore"
)

// Lot keeps letters in a MongoDB database. It is safe for concurrent use.
type Lot struct {
	letters  *mongo.Collection
	audit    *mongo.Collection
	holds    *mongo.Collection // one for each subscription: hold and count of positions
	counters *mongo.Collection
	inbox    *mongo.Collection
	leases   *mongostore.Leases
	clock    clock.Clock
	process  string

	mu    sync.Mutex
	ready bool // the indexes are there
}

var (
	_ bus.Parking   = (*Lot)(nil)
	_ parking.Admin = (*Lot)(nil)
)

const inboxName = "inbox"

// New makes the lot of a database. It does no I/O.
func New(db *mongo.Database, c clock.Clock, ids id.Source, process string) *Lot {
	return &Lot{
		letters:  db.Collection("letters"),
		audit:    db.Collection("letter_audit"),
		holds:    db.Collection("subscription_holds"),
		counters: db.Collection("parking_counters"),
		inbox:    db.Collection(inboxName),
		leases:   mongostore.NewLeases(db.Collection("parking_leases"), c, ids),
		clock:    c,
		process:  process,
	}
}

// Handled says whether an operator dropped the event, so that it must have no
// more effect on the subscription.
func Handled(ctx context.Context, db *mongo.Database, subscription string, e bus.Event) (bool, error) {
	err := db.Collection(inboxName).FindOne(ctx, is("_id", key(subscription, outbox.InboxKey(e.ID, bus.Replay(ctx))))).Err()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("inbox: %w", mongostore.ReadError(err))
	}
	return true, nil
}

// prepare makes the indexes. Repeating is cheap; every method calls it.
func (l *Lot) prepare(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ready {
		return nil
	}
	ascending := func(fields ...string) mongo.IndexModel {
		keys := bson.D{}
		for _, f := range fields {
			keys = append(keys, bson.E{Key: f, Value: 1})
		}
		return mongo.IndexModel{Keys: keys}
	}
	for _, index := range []mongo.IndexModel{ // one by one: see marketing's mongodoc
		ascending("sub", "subject", "position"), ascending("sub", "position"), ascending("sub", "state", "position"),
		ascending("sub", "state", "due"), ascending("sub", "acted", "position"), ascending("open"),
	} {
		if _, err := l.letters.Indexes().CreateOne(ctx, index); err != nil {
			return fmt.Errorf("make the indexes of letters: %w", mongostore.ReadError(err))
		}
	}
	if _, err := l.audit.Indexes().CreateOne(ctx, ascending("seq")); err != nil {
		return fmt.Errorf("make the indexes of letters: %w", mongostore.ReadError(err))
	}
	l.ready = true
	return nil
}

// key joins a subscription's name, which has no spaces, and what is its own.
func key(subscription, of string) string { return subscription + " " + of }

func is(field string, value any) bson.D { return bson.D{{Key: field, Value: value}} }

func set(fields bson.D) bson.E { return bson.E{Key: "$set", Value: fields} }

// find reads letters in the order of the given fields; 0 means no limit.
func (l *Lot) find(ctx context.Context, filter bson.D, limit int, order ...string) ([]letterDoc, error) {
	if err := l.prepare(ctx); err != nil {
		return nil, err
	}
	sort := bson.D{}
	for _, f := range order {
		sort = append(sort, bson.E{Key: f, Value: 1})
	}
	opts := options.Find().SetSort(sort)
	if limit > 0 {
		opts.SetLimit(int64(limit))
	}
	cursor, err := l.letters.Find(ctx, filter, opts)
	if err != nil {
		return nil, fmt.Errorf("read letters: %w", mongostore.ReadError(err))
	}
	var out []letterDoc
	if err := cursor.All(ctx, &out); err != nil {
		return nil, fmt.Errorf("read letters: %w", mongostore.ReadError(err))
	}
	return out, nil
}

// one gives the first letter, if there is any.
func (l *Lot) one(ctx context.Context, filter bson.D, order ...string) (letterDoc, bool, error) {
	docs, err := l.find(ctx, filter, 1, order...)
	if err != nil || len(docs) == 0 {
		return letterDoc{}, false, err
	}
	return docs[0], true, nil
}

// update changes one document and says whether the filter met it.
func update(ctx context.Context, c *mongo.Collection, filter bson.D, change ...bson.E) (bool, error) {
	r, err := c.UpdateOne(ctx, filter, bson.D(change))
	if err != nil {
		return false, fmt.Errorf("write %s: %w", c.Name(), mongostore.WriteError(err))
	}
	return r.MatchedCount == 1, nil
}

// next adds n to a counter, which is made when missing, and gives its new value.
func next(ctx context.Context, c *mongo.Collection, id string, n int) (int64, error) {
	var doc struct {
		Last int64 `bson:"last"`
	}
	for {
		err := c.FindOneAndUpdate(ctx, is("_id", id), bson.D{{Key: "$inc", Value: is("last", int64(n))}},
			options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Decode(&doc)
		if mongo.IsDuplicateKeyError(err) { // somebody made it at the same time
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("count in %s: %w", c.Name(), mongostore.WriteError(err))
		}
		return doc.Last, nil
	}
}
