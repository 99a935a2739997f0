// Package mongoschedule is the schedule.Ledger of a service that keeps its data
// in MongoDB: one document for each task in collection "tasks". Every method is
// one write of one document; only the plain subset of MongoDB is used (see
// package mongostore).
package mongoschedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"trama/platform/clock"
	"trama/platform/schedule"
	"trama/platform/store/mongostore"
)

// Ledger keeps tasks in MongoDB. It is safe for concurrent use.
type Ledger struct {
	tasks *mongo.Collection
	clock clock.Clock
}

var _ schedule.Ledger = (*Ledger)(nil)

// New makes the ledger over a database; no I/O.
func New(db *mongostore.DB, c clock.Clock) *Ledger {
	return &Ledger{tasks: db.Database().Collection("tasks"), clock: c}
}

// document is a task as it is stored; times are Unix milliseconds, 0 for none.
type document struct {
	Name         string `bson:"_id"`
	About        string `bson:"about"`
	Schedule     string `bson:"schedule"`
	Next         int64  `bson:"next"`
	LastStart    int64  `bson:"lastStart"`
	LastEnd      int64  `bson:"lastEnd"`
	LastResult   string `bson:"lastResult"`
	LastNote     string `bson:"lastNote"`
	LastError    string `bson:"lastError"`
	Runs         int64  `bson:"runs"`
	Failures     int64  `bson:"failures"`
	Streak       int64  `bson:"streak"`
	RunningSince int64  `bson:"runningSince"`
	RunningBy    string `bson:"runningBy"`
	RequestedAt  int64  `bson:"requestedAt"`
	RequestedBy  string `bson:"requestedBy"`
}

func (d document) state() schedule.State {
	return schedule.State{
		Name: d.Name, About: d.About, Schedule: d.Schedule, Next: schedule.Time(d.Next),
		LastStart: schedule.Time(d.LastStart), LastEnd: schedule.Time(d.LastEnd),
		LastResult: schedule.Ending(d.LastResult), LastNote: d.LastNote, LastError: d.LastError,
		Runs: d.Runs, Failures: d.Failures, Streak: d.Streak,
		RunningSince: schedule.Time(d.RunningSince), RunningBy: d.RunningBy,
		RequestedAt: schedule.Time(d.RequestedAt), RequestedBy: d.RequestedBy,
	}
}

// List gives every task, by name.
func (l *Ledger) List(ctx context.Context) ([]schedule.State, error) {
	cursor, err := l.tasks.Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return nil, fmt.Errorf("mongoschedule: list: %w", mongostore.ReadError(err))
	}
	var docs []document
	if err := cursor.All(ctx, &docs); err != nil {
		return nil, fmt.Errorf("mongoschedule: list: %w", mongostore.ReadError(err))
	}
	var out []schedule.State
	for _, d := range docs {
		out = append(out, d.state())
	}
	return out, nil
}

// State gives one task.
func (l *Ledger) State(ctx context.Context, name string) (schedule.State, error) {
	var d document
	err := l.tasks.FindOne(ctx, bson.D{{Key: "_id", Value: name}}).Decode(&d)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return schedule.State{}, schedule.ErrUnknown
	}
	if err != nil {
		return schedule.State{}, fmt.Errorf("mongoschedule: %s: %w", name, mongostore.ReadError(err))
	}
	return d.state(), nil
}

// change updates the one document that filter selects, and says whether there was one.
func (l *Ledger) change(ctx context.Context, filter bson.D, update ...bson.E) (bool, error) {
	r, err := l.tasks.UpdateOne(ctx, filter, bson.D(update))
	if err != nil {
		return false, fmt.Errorf("mongoschedule: %v: %w", filter[0].Value, mongostore.WriteError(err))
	}
	return r.MatchedCount == 1, nil
}

func set(fields ...bson.E) bson.E { return bson.E{Key: "$set", Value: bson.D(fields)} }

// seen selects a task that nobody claimed since.
func seen(s schedule.State) bson.D {
	return bson.D{{Key: "_id", Value: s.Name}, {Key: "runs", Value: s.Runs}}
}

// Enter makes a task known.
func (l *Ledger) Enter(ctx context.Context, name, about, plan string, next time.Time) error {
	_, err := l.tasks.InsertOne(ctx, document{Name: name, About: about, Schedule: plan, Next: next.UnixMilli()})
	if err == nil {
		return nil
	}
	if !mongo.IsDuplicateKeyError(err) {
		return fmt.Errorf("mongoschedule: %s: %w", name, mongostore.WriteError(err))
	}
	same, err := l.change(ctx, bson.D{{Key: "_id", Value: name}, {Key: "schedule", Value: plan}}, set(bson.E{Key: "about", Value: about}))
	if err != nil || same {
		return err
	}
	_, err = l.change(ctx, bson.D{{Key: "_id", Value: name}},
		set(bson.E{Key: "about", Value: about}, bson.E{Key: "schedule", Value: plan}, bson.E{Key: "next", Value: next.UnixMilli()}))
	return err
}

// Move sets the time of the next run.
func (l *Ledger) Move(ctx context.Context, s schedule.State, next time.Time) error {
	_, err := l.change(ctx, seen(s), set(bson.E{Key: "next", Value: next.UnixMilli()}))
	return err
}

// Claim begins a run.
func (l *Ledger) Claim(ctx context.Context, s schedule.State, process string, at, next time.Time) (schedule.State, bool, error) {
	ok, err := l.change(ctx, append(seen(s), bson.E{Key: "runningSince", Value: int64(0)}),
		set(bson.E{Key: "runningSince", Value: at.UnixMilli()}, bson.E{Key: "runningBy", Value: process},
			bson.E{Key: "next", Value: next.UnixMilli()},
			bson.E{Key: "requestedAt", Value: int64(0)}, bson.E{Key: "requestedBy", Value: ""}),
		bson.E{Key: "$inc", Value: bson.D{{Key: "runs", Value: int64(1)}}})
	return s.Claimed(process, at, next), ok, err
}

// Finish ends a run.
func (l *Ledger) Finish(ctx context.Context, s schedule.State, o schedule.Outcome) error {
	fields := []bson.E{
		{Key: "lastStart", Value: s.RunningSince.UnixMilli()}, {Key: "lastEnd", Value: o.End.UnixMilli()},
		{Key: "runningSince", Value: int64(0)}, {Key: "runningBy", Value: ""}, {Key: "next", Value: o.Next.UnixMilli()},
		{Key: "lastResult", Value: string(o.Result)}, {Key: "lastNote", Value: o.Note}, {Key: "lastError", Value: o.Error},
	}
	var counts []bson.E
	switch o.Result {
	case schedule.OK:
		fields = append(fields, bson.E{Key: "streak", Value: int64(0)})
	case schedule.Failed:
		counts = []bson.E{{Key: "$inc", Value: bson.D{{Key: "failures", Value: int64(1)}, {Key: "streak", Value: int64(1)}}}}
	}
	running := append(seen(s), bson.E{Key: "runningSince", Value: bson.D{{Key: "$gt", Value: int64(0)}}})
	_, err := l.change(ctx, running, append(counts, set(fields...))...)
	return err
}

// Request asks for a run now.
func (l *Ledger) Request(ctx context.Context, name, who string) error {
	ok, err := l.change(ctx, bson.D{{Key: "_id", Value: name}},
		set(bson.E{Key: "requestedAt", Value: l.clock.Now().UnixMilli()}, bson.E{Key: "requestedBy", Value: who}))
	if err == nil && !ok {
		return schedule.ErrUnknown
	}
	return err
}
