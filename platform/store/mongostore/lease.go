package mongostore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/store"
)

// leaseLife is how long a lease outlives its last renewal: the time after which
// another process takes over from one that died.
const leaseLife = 6 * time.Second

// Leases gives leases kept as documents {_id: name, owner, until, term} of one
// collection. A lease is renewed three times in its life; a holder that cannot
// renew considers it lost before it expires. Term counts the changes of holder.
//
// Expiry compares clocks of different machines: they must agree to within a few
// seconds. A holder that was frozen may work on for a moment after another took
// over, so work under a lease must be harmless when done twice, as store.Lease
// says of all adapters.
type Leases struct {
	c     *mongo.Collection
	clock clock.Clock
	ids   id.Source
	life  time.Duration
}

var _ store.Leaser = (*Leases)(nil)

// NewLeases makes leases in the collection.
func NewLeases(c *mongo.Collection, cl clock.Clock, ids id.Source) *Leases {
	return &Leases{c: c, clock: cl, ids: ids, life: leaseLife}
}

// Lease waits until the caller holds name.
func (l *Leases) Lease(ctx context.Context, name string) (store.Lease, error) {
	if !store.ValidLeaseName(name) {
		return nil, fmt.Errorf("mongostore: bad lease name %q", name)
	}
	owner := l.ids.New()
	for {
		asked := l.clock.Now()
		ok, err := l.take(ctx, name, owner, asked)
		if err != nil {
			return nil, err
		}
		if ok {
			return l.hold(name, owner, asked), nil
		}
		if err := l.clock.Wait(ctx, l.life/10); err != nil {
			return nil, err
		}
	}
}

// take makes the lease, or takes it over when it has expired.
func (l *Leases) take(ctx context.Context, name, owner string, now time.Time) (bool, error) {
	until := now.Add(l.life).UnixMilli()
	r, err := l.c.UpdateOne(ctx, bson.D{{Key: "_id", Value: name}, {Key: "until", Value: bson.D{{Key: "$lte", Value: now.UnixMilli()}}}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "owner", Value: owner}, {Key: "until", Value: until}}}, {Key: "$inc", Value: bson.D{{Key: "term", Value: int64(1)}}}})
	if err != nil {
		return false, fmt.Errorf("take lease %s: %w", name, WriteError(err))
	}
	if r.MatchedCount == 1 {
		return true, nil
	}
	err = l.c.FindOne(ctx, bson.D{{Key: "_id", Value: name}}).Err()
	if err == nil {
		return false, nil // somebody holds it
	}
	if !errors.Is(err, mongo.ErrNoDocuments) {
		return false, fmt.Errorf("look at lease %s: %w", name, ReadError(err))
	}
	_, err = l.c.InsertOne(ctx, bson.D{{Key: "_id", Value: name}, {Key: "owner", Value: owner}, {Key: "until", Value: until}, {Key: "term", Value: int64(1)}})
	if mongo.IsDuplicateKeyError(err) {
		return false, nil // somebody was quicker
	}
	if err != nil {
		return false, fmt.Errorf("make lease %s: %w", name, WriteError(err))
	}
	return true, nil
}

func (l *Leases) hold(name, owner string, since time.Time) *lease {
	ctx, cancel := context.WithCancel(context.Background())
	h := &lease{of: l, name: name, owner: owner, cancel: cancel, lost: make(chan struct{}), done: make(chan struct{})}
	go h.renew(ctx, since)
	return h
}

// lease is one held lease. Its goroutine ends with Release or the loss.
type lease struct {
	of          *Leases
	name, owner string
	cancel      context.CancelFunc
	lost, done  chan struct{}
	release     sync.Once
	released    error
}

// Lost is closed once the lease is no longer held.
func (h *lease) Lost() <-chan struct{} { return h.lost }

// renew prolongs the lease until ctx ends, it was taken away, or no renewal
// succeeded for so long that another may take it.
func (h *lease) renew(ctx context.Context, renewed time.Time) {
	defer close(h.done)
	defer close(h.lost)
	l := h.of
	for l.clock.Wait(ctx, l.life/3) == nil {
		now := l.clock.Now()
		attempt, cancel := context.WithTimeout(ctx, l.life/3)
		r, err := l.c.UpdateOne(attempt, h.mine(), bson.D{{Key: "$set", Value: bson.D{{Key: "until", Value: now.Add(l.life).UnixMilli()}}}})
		cancel()
		switch {
		case err == nil && r.MatchedCount == 1:
			renewed = now
		case err == nil: // it expired and is another's
			return
		case l.clock.Now().Sub(renewed) > l.life-l.life/4: // the next try would come too late
			return
		}
	}
}

func (h *lease) mine() bson.D {
	return bson.D{{Key: "_id", Value: h.name}, {Key: "owner", Value: h.owner}}
}

// Release gives the lease back, so that the next holder need not wait for its end.
func (h *lease) Release() error {
	h.release.Do(func() {
		h.cancel()
		<-h.done
		ctx, cancel := context.WithTimeout(context.Background(), h.of.life/3)
		defer cancel()
		_, err := h.of.c.UpdateOne(ctx, h.mine(), bson.D{{Key: "$set", Value: bson.D{{Key: "until", Value: int64(0)}}}})
		if err != nil {
			h.released = fmt.Errorf("release lease %s: %w", h.name, WriteError(err))
		}
	})
	return h.released
}
