package mongodoc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"trama/platform/bus"
	"trama/platform/outbox"
	"trama/platform/parking/mongoparking"
	"trama/platform/store/mongostore"
	"trama/services/marketing/internal/app"
	"trama/services/marketing/internal/lead"
)

// Get gives a lead.
func (s *Store) Get(ctx context.Context, id string) (lead.Lead, error) {
	d, ok, err := s.findOne(ctx, is("_id", id))
	if err != nil {
		return lead.Lead{}, err
	}
	if !ok || d.Erased {
		return lead.Lead{}, app.ErrNotFound
	}
	return d.lead(), nil
}

// List gives leads, newest first.
func (s *Store) List(ctx context.Context, before string, limit int) ([]lead.Lead, error) {
	filter := is("erased", false)
	if before != "" {
		filter = append(filter, bson.E{Key: "_id", Value: bson.D{{Key: "$lt", Value: before}}})
	}
	return leadsOf(s.find(ctx, filter, "_id", -1, limit))
}

// SameAddress gives all leads of an address.
func (s *Store) SameAddress(ctx context.Context, email string) ([]lead.Lead, error) {
	return leadsOf(s.find(ctx, is("email", email), "_id", 1, 0))
}

// Due gives leads whose reminder is due.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]lead.Lead, error) {
	filter := is("due", bson.D{{Key: "$gt", Value: int64(0)}, {Key: "$lte", Value: now.UnixMilli()}})
	return leadsOf(s.find(ctx, filter, "due", 1, limit))
}

// NextDue gives when the next reminder is due.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	docs, err := s.find(ctx, positive("due"), "due", 1, 1)
	if err != nil || len(docs) == 0 {
		return time.Time{}, err
	}
	return moment(docs[0].Due), nil
}

// Update changes a lead and stores the events of the change with it.
func (s *Store) Update(ctx context.Context, id string, change func(*lead.Lead) ([]outbox.Message, error)) (lead.Lead, error) {
	var out lead.Lead
	err := s.change(ctx, id, func(d *document) (bool, error) {
		if d.Erased {
			return false, app.ErrNotFound
		}
		before := d.lead()
		out = before
		messages, err := change(&out)
		if err != nil {
			return false, err
		}
		if out != before {
			out.Version++
			d.set(out)
		}
		events, err := s.build(ctx, messages)
		if err != nil {
			return false, err
		}
		return out != before || len(events) > 0, d.add(events)
	})
	if err != nil {
		return lead.Lead{}, err
	}
	return out, nil
}

// Enrol marks people as enrolled and ends their reminders. Each step may be
// repeated, so an event that comes twice needs no memory.
// An event that an operator dropped has no effect any more.
func (s *Store) Enrol(ctx context.Context, subscription string, e bus.Event, what app.Enrolment) error {
	if err := s.Prepare(ctx); err != nil {
		return err
	}
	if dropped, err := mongoparking.Handled(ctx, s.leads.Database(), subscription, e); err != nil || dropped {
		return err
	}
	for _, digest := range what.Digests {
		mark := bson.D{{Key: "$setOnInsert", Value: bson.D{
			{Key: "digest", Value: digest}, {Key: "course", Value: what.CourseID}, {Key: "at", Value: millis(what.At)},
		}}}
		_, err := s.enrolments.UpdateOne(ctx, is("_id", unique(digest, what.CourseID)), mark, options.UpdateOne().SetUpsert(true))
		if err != nil && !mongo.IsDuplicateKeyError(err) {
			return fmt.Errorf("mark an enrolment: %w", mongostore.WriteError(err))
		}
	}
	for _, email := range what.Emails {
		leads, err := s.SameAddress(ctx, email)
		if err != nil {
			return err
		}
		for _, l := range leads {
			if l.CourseID != "" && l.CourseID != what.CourseID {
				continue
			}
			_, err := s.Update(ctx, l.ID, func(l *lead.Lead) ([]outbox.Message, error) {
				l.Enrol(s.clock.Now())
				return nil, nil
			})
			if err != nil && !errors.Is(err, app.ErrNotFound) {
				return err
			}
		}
	}
	return nil
}

// IsEnrolled says whether the digest is marked.
func (s *Store) IsEnrolled(ctx context.Context, digest, courseID string) (bool, error) {
	if err := s.Prepare(ctx); err != nil {
		return false, err
	}
	filter := is("digest", digest)
	if courseID != "" {
		filter = is("_id", unique(digest, courseID))
	}
	err := s.enrolments.FindOne(ctx, filter).Err()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for an enrolment: %w", mongostore.ReadError(err))
	}
	return true, nil
}

// EraseAddress removes every trace of an address. A lead that still has to say
// goodbye becomes a tombstone without personal data until that is published. The
// leads go last: a death in between leaves something to find for the repetition.
func (s *Store) EraseAddress(ctx context.Context, email, digest string, farewell func(lead.Lead) []outbox.Message) error {
	leads, err := s.SameAddress(ctx, email)
	if err != nil {
		return err
	}
	if _, err := s.enrolments.DeleteMany(ctx, is("digest", digest)); err != nil {
		return fmt.Errorf("erase enrolments: %w", mongostore.WriteError(err))
	}
	for _, l := range leads {
		err := s.change(ctx, l.ID, func(d *document) (bool, error) {
			if d.Erased {
				return false, nil
			}
			events, err := s.build(ctx, farewell(d.lead()))
			if err != nil {
				return false, err
			}
			d.erase()
			return true, d.add(events)
		})
		if err != nil && !errors.Is(err, app.ErrNotFound) {
			return err
		}
	}
	return nil
}
