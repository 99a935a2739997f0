// Package mongodoc keeps leads in MongoDB.
//
// One document is the atom of MongoDB, so a lead's document holds its waiting
// events and idempotency keys too: state, event and key are one write. Changes
// are read, change, replace-if-nobody-else-did. No transactions, change streams,
// TTL or partial indexes are used. Store is also the outbox.Source from which the
// relay takes the events.
//
// Two things span documents and are not atomic, but repeatable: unsubscribing
// and erasing an address with several leads, and MatriculaConfirmada, which
// first marks the enrolment (collection enrolments) and then ends the reminders;
// a lead that slips in between is found by its mark when its reminder is due.
//
// With a million leads every query runs on an index: unique, command, email,
// due, pending, keys.name, and _id for pages. The indexes are made at first use.
package mongodoc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/platform/store/mongostore"
	"trama/services/marketing/internal/app"
	"trama/services/marketing/internal/lead"
)

// Source is the CloudEvents source of marketing's events.
const Source = "/marketing"

// Store is the MongoDB store.
type Store struct {
	leads      *mongo.Collection
	enrolments *mongo.Collection
	leases     *mongostore.Leases
	clock      clock.Clock
	ids        id.Source
	wake       chan struct{}

	mu    sync.Mutex
	ready bool // the indexes are there
}

var (
	_ app.Store     = (*Store)(nil)
	_ outbox.Source = (*Store)(nil)
)

// New makes the store over a database. It does no I/O.
func New(db *mongo.Database, c clock.Clock, ids id.Source) *Store {
	return &Store{
		leads:      db.Collection("leads"),
		enrolments: db.Collection("enrolments"),
		leases:     mongostore.NewLeases(db.Collection("leases"), c, ids),
		clock:      c,
		ids:        ids,
		wake:       make(chan struct{}, 1),
	}
}

// Prepare makes the indexes. Repeating is cheap; every method calls it.
func (s *Store) Prepare(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready {
		return nil
	}
	ascending := func(field string) mongo.IndexModel { return mongo.IndexModel{Keys: bson.D{{Key: field, Value: 1}}} }
	unique := func(field string) mongo.IndexModel {
		m := ascending(field)
		m.Options = options.Index().SetUnique(true)
		return m
	}
	// One command for each index: FerretDB v1 stumbles over several of which some exist.
	for _, index := range []mongo.IndexModel{
		unique("unique"), unique("command"), ascending("email"), ascending("due"), ascending("pending"), ascending("keys.name"),
	} {
		if _, err := s.leads.Indexes().CreateOne(ctx, index); err != nil {
			return fmt.Errorf("make the indexes of marketing: %w", mongostore.ReadError(err))
		}
	}
	if _, err := s.enrolments.Indexes().CreateOne(ctx, ascending("digest")); err != nil {
		return fmt.Errorf("make the indexes of marketing: %w", mongostore.ReadError(err))
	}
	s.ready = true
	return nil
}

// is, gt0 and friends spell filters.
func is(field string, value any) bson.D { return bson.D{{Key: field, Value: value}} }

func positive(field string) bson.D { return is(field, bson.D{{Key: "$gt", Value: int64(0)}}) }

func (s *Store) find(ctx context.Context, filter bson.D, sort string, order, limit int) ([]document, error) {
	if err := s.Prepare(ctx); err != nil {
		return nil, err
	}
	opts := options.Find().SetSort(bson.D{{Key: sort, Value: order}})
	if limit > 0 {
		opts.SetLimit(int64(limit))
	}
	cursor, err := s.leads.Find(ctx, filter, opts)
	if err != nil {
		return nil, fmt.Errorf("read leads: %w", mongostore.ReadError(err))
	}
	var docs []document
	if err := cursor.All(ctx, &docs); err != nil {
		return nil, fmt.Errorf("read leads: %w", mongostore.ReadError(err))
	}
	return docs, nil
}

// findOne gives the first document; ok is false when there is none.
func (s *Store) findOne(ctx context.Context, filter bson.D) (d document, ok bool, err error) {
	if err := s.Prepare(ctx); err != nil {
		return document{}, false, err
	}
	err = s.leads.FindOne(ctx, filter).Decode(&d)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return document{}, false, nil
	}
	if err != nil {
		return document{}, false, fmt.Errorf("read a lead: %w", mongostore.ReadError(err))
	}
	return d, true, nil
}

// change reads the document, changes it and replaces it, again and again until
// nobody came between. A document that change leaves alone (false) is not
// written. ErrNotFound when there is none.
func (s *Store) change(ctx context.Context, id string, change func(d *document) (bool, error)) error {
	for {
		d, ok, err := s.findOne(ctx, is("_id", id))
		if err != nil {
			return err
		}
		if !ok {
			return app.ErrNotFound
		}
		was := d.Revision
		if changed, err := change(&d); err != nil || !changed {
			return err
		}
		d.Revision++
		mine := bson.D{{Key: "_id", Value: id}, {Key: "rev", Value: was}}
		var matched int64
		if d.Erased && d.Pending == 0 { // a tombstone that has said all
			r, e := s.leads.DeleteOne(ctx, mine)
			if err = e; err == nil {
				matched = r.DeletedCount
			}
		} else {
			r, e := s.leads.ReplaceOne(ctx, mine, d)
			if err = e; err == nil {
				matched = r.MatchedCount
			}
		}
		if err != nil {
			return fmt.Errorf("write a lead: %w", mongostore.WriteError(err))
		}
		if matched == 1 {
			if d.Pending > 0 {
				s.signal()
			}
			return nil
		}
		if err := s.clock.Wait(ctx, time.Millisecond); err != nil { // let the other one finish
			return err
		}
	}
}

// build completes messages.
func (s *Store) build(ctx context.Context, messages []outbox.Message) ([]bus.Event, error) {
	out := make([]bus.Event, len(messages))
	for i, m := range messages {
		var err error
		if out[i], err = outbox.Build(ctx, s.ids, s.clock, Source, m); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Store) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // a wake-up is already waiting
	}
}

// Wake fires after this process has stored events.
func (s *Store) Wake() <-chan struct{} { return s.wake }

// Lease gives one relay at a time the right to run.
func (s *Store) Lease(ctx context.Context) (store.Lease, error) { return s.leases.Lease(ctx, "relay") }

func leadsOf(docs []document, err error) ([]lead.Lead, error) {
	if err != nil {
		return nil, err
	}
	out := make([]lead.Lead, len(docs))
	for i := range docs {
		out[i] = docs[i].lead()
	}
	return out, nil
}
