package mongoparking_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/parking"
	"trama/platform/parking/mongoparking"
	"trama/platform/parking/parkingtest"
	"trama/platform/store/mongostore/mongotest"
)

func TestMongo(t *testing.T) {
	parkingtest.Run(t, func(t *testing.T) parkingtest.Kit {
		db := mongotest.Open(t).Database()
		return parkingtest.Kit{
			Open: func(_ *testing.T, c clock.Clock) parkingtest.Lot {
				return mongoparking.New(db, c, id.New(clock.System{}, rand.Reader), "host:1")
			},
			Handled: func(t *testing.T, subscription, key string) bool {
				event, replay, _ := strings.Cut(key, "#")
				ok, err := mongoparking.Handled(bus.WithReplay(t.Context(), replay), db, subscription, bus.Event{ID: event})
				if err != nil {
					t.Fatal(err)
				}
				return ok
			},
		}
	})
}

// A process may die between the write that is an operator's act and what follows
// from it. Another one finishes it: one audit row, the event handled, the next
// letter first.
func TestAnotherProcessFinishesAnAct(t *testing.T) {
	for name, meets := range map[string]func(ctx context.Context, l *mongoparking.Lot) error{
		"consumer": func(ctx context.Context, l *mongoparking.Lot) error { _, err := l.Blocked(ctx, "s"); return err },
		"letter":   func(ctx context.Context, l *mongoparking.Lot) error { _, err := l.Front(ctx, "s", "a", 1); return err },
		"done":     func(ctx context.Context, l *mongoparking.Lot) error { return l.Done(ctx, "s", "a-0") },
		"operator": func(ctx context.Context, l *mongoparking.Lot) error {
			_, _, err := l.Drop(ctx, parking.Filter{IDs: []string{"a-0"}}, "eva", "", 1)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, db := t.Context(), mongotest.Open(t).Database()
			l := mongoparking.New(db, clock.System{}, id.New(clock.System{}, rand.Reader), "host:1")
			for i, state := range []bus.LetterState{bus.Dead, bus.Behind} {
				if err := l.Park(ctx, "s", bus.Letter{ID: fmt.Sprint("a-", i), Subject: "a", State: state}); err != nil {
					t.Fatal(err)
				}
			}
			mark := bson.D{{Key: "$set", Value: bson.D{{Key: "open", Value: "drop"}, {Key: "rev", Value: int64(1)}, {Key: "act", Value: bson.D{
				{Key: "_id", Value: "s a-0 0"}, {Key: "seq", Value: int64(1)}, {Key: "act", Value: "drop"}, {Key: "sub", Value: "s"}, {Key: "letter", Value: "a-0"}}}}}}
			if _, err := db.Collection("letters").UpdateOne(ctx, bson.D{{Key: "_id", Value: "s a-0"}}, mark); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := meets(ctx, l); err != nil {
					t.Fatal(err)
				}
			}
			front, err := l.Front(ctx, "s", "a", 10)
			if err != nil || len(front) == 0 || front[0].ID != "a-1" || front[0].State != bus.Waiting {
				t.Errorf("front %v, %v", front, err)
			}
			acts, _, err := l.Audit(ctx, parking.Filter{}, "", 10)
			if err != nil || len(acts) != 1 || acts[0].Act != parking.ActDrop {
				t.Errorf("audit %v, %v", acts, err)
			}
			if ok, err := mongoparking.Handled(ctx, db, "s", bus.Event{ID: "a-0"}); err != nil || !ok {
				t.Errorf("handled %v, %v", ok, err)
			}
		})
	}
}
