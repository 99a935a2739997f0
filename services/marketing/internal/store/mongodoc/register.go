package mongodoc

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"net/http"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"trama/platform/idempotency"
	"trama/platform/outbox"
	"trama/platform/store/mongostore"
	"trama/services/marketing/internal/app"
	"trama/services/marketing/internal/lead"
)

// Replayed gives what a key led to before.
func (s *Store) Replayed(ctx context.Context, key idempotency.Key) (app.Registered, bool, error) {
	docs, err := s.find(ctx, is("keys.name", keyName(key)), "_id", 1, 0)
	if err != nil {
		return app.Registered{}, false, err
	}
	for i := range docs {
		k, ok := docs[i].key(keyName(key), s.clock.Now())
		if !ok {
			continue // it has expired
		}
		if !hmac.Equal([]byte(k.Request), []byte(key.Request)) {
			return app.Registered{}, false, idempotency.ErrReused
		}
		return app.Registered{Lead: docs[i].lead(), New: k.Status == http.StatusCreated}, true, nil
	}
	return app.Registered{}, false, nil
}

// Register stores a lead or gives the one that is there.
//
// The unique index on unique makes one lead of concurrent registrations, the one
// on command makes one lead of concurrent uses of a key. One key used at the same
// time in two processes for two leads that both exist is not noticed: both
// answers are 200 and nothing is changed by either.
func (s *Store) Register(ctx context.Context, l lead.Lead, key *idempotency.Key, messages ...outbox.Message) (app.Registered, error) {
	if err := s.Prepare(ctx); err != nil {
		return app.Registered{}, err
	}
	l.Version = 1
	d := fromLead(l)
	d.Revision = 1
	if key != nil {
		d.Command = keyName(*key)
		d.remember(*key, http.StatusCreated, s.clock.Now())
	}
	events, err := s.build(ctx, messages)
	if err != nil {
		return app.Registered{}, err
	}
	if err := d.add(events); err != nil {
		return app.Registered{}, err
	}
	for {
		_, err := s.leads.InsertOne(ctx, d)
		if err == nil {
			s.signal()
			return app.Registered{Lead: l, New: true}, nil
		}
		if !mongo.IsDuplicateKeyError(err) {
			return app.Registered{}, fmt.Errorf("insert a lead: %w", mongostore.WriteError(err))
		}
		out, settled, err := s.taken(ctx, d, key)
		if err != nil || settled {
			return out, err
		}
		// What stood in the way is gone (an expired key, an erased lead): again.
	}
}

// taken finds out which unique value of d was taken. With settled the answer is
// known; otherwise inserting may be tried again.
func (s *Store) taken(ctx context.Context, d document, key *idempotency.Key) (out app.Registered, settled bool, err error) {
	there, ok, err := s.findOne(ctx, is("unique", d.Unique))
	if err != nil {
		return app.Registered{}, false, err
	}
	if ok {
		if there.ID == d.ID { // the driver repeated an insert whose answer was lost
			s.signal()
			return app.Registered{Lead: there.lead(), New: true}, true, nil
		}
		err := s.rememberRepeat(ctx, there.ID, key)
		if errors.Is(err, app.ErrNotFound) {
			return app.Registered{}, false, nil
		}
		return app.Registered{Lead: there.lead()}, err == nil, err
	}
	there, ok, err = s.findOne(ctx, is("command", d.Command))
	if err != nil || !ok {
		return app.Registered{}, false, err
	}
	if _, alive := there.key(d.Command, s.clock.Now()); alive {
		return app.Registered{}, false, idempotency.ErrRace
	}
	err = s.change(ctx, there.ID, func(d *document) (bool, error) {
		d.forget(s.clock.Now())
		return true, nil
	})
	if errors.Is(err, app.ErrNotFound) {
		err = nil
	}
	return app.Registered{}, false, err
}

// rememberRepeat notes the key of a registration that found its lead there.
func (s *Store) rememberRepeat(ctx context.Context, id string, key *idempotency.Key) error {
	if key == nil {
		return nil
	}
	return s.change(ctx, id, func(d *document) (bool, error) {
		now := s.clock.Now()
		if d.Erased {
			return false, app.ErrNotFound
		}
		if k, ok := d.key(keyName(*key), now); ok {
			if !hmac.Equal([]byte(k.Request), []byte(key.Request)) {
				return false, idempotency.ErrReused
			}
			return false, idempotency.ErrRace // its first answer counts, which may have been 201
		}
		d.remember(*key, http.StatusOK, now)
		return true, nil
	})
}
