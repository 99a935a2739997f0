package mongoparking

import (
	"encoding/json"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"trama/platform/bus"
	"trama/platform/parking"
)

// letterDoc is a letter as MongoDB keeps it. Times are Unix milliseconds, 0 for
// none.
type letterDoc struct {
	ID           string `bson:"_id"` // key(subscription, letter)
	Subscription string `bson:"sub"`
	Letter       string `bson:"letter"`
	Event        string `bson:"event"` // id of the event, if it is one
	Subject      string `bson:"subject"`
	State        string `bson:"state"`
	Body         []byte `bson:"body"`
	Type         string `bson:"type"`
	TraceID      string `bson:"trace"`
	Due          int64  `bson:"due"`
	Tries        int    `bson:"tries"`
	History      string `bson:"history"` // JSON
	ParkedAt     int64  `bson:"parked_at"`
	ParkedBy     string `bson:"parked_by"`
	Replay       string `bson:"replay"`
	Kind         string `bson:"kind"`
	Code         string `bson:"code"`
	Error        string `bson:"error"`
	Cause        string `bson:"cause"`
	Acted        int64  `bson:"acted"`
	Position     int64  `bson:"position"`
	Revision     int64  `bson:"rev"` // counts operators' acts

	Open string `bson:"open"` // an act that is to be finished; "" for none
	Act  actDoc `bson:"act"`  // that act
}

// actDoc is an audit row.
type actDoc struct {
	ID           string `bson:"_id"`
	Seq          int64  `bson:"seq"`
	At           int64  `bson:"at"`
	Who          string `bson:"who"`
	Act          string `bson:"act"`
	Subscription string `bson:"sub"`
	Letter       string `bson:"letter"`
	Type         string `bson:"type"`
	Subject      string `bson:"subject"`
	Detail       string `bson:"detail"`
}

// holdDoc is what is kept of a subscription.
type holdDoc struct {
	Subscription string `bson:"_id"`
	Until        int64  `bson:"until"` // held until then, Unix ms
	Open         string `bson:"open"`
	Act          actDoc `bson:"act"`
}

func (l *Lot) document(subscription string, x bus.Letter) (letterDoc, error) {
	now := l.clock.Now()
	if x.ParkedAt.IsZero() {
		x.ParkedAt = now
	}
	if x.ParkedBy == "" {
		x.ParkedBy = l.process
	}
	history, err := json.Marshal(x.History)
	if err != nil {
		return letterDoc{}, fmt.Errorf("history of letter %s: %w", x.ID, err)
	}
	id := parking.Clean(x.ID)
	d := letterDoc{
		ID: key(subscription, id), Subscription: subscription, Letter: id, Event: id, Subject: parking.Clean(x.Subject),
		State: string(x.State), Body: x.Body, Type: parking.Clean(x.Type), TraceID: parking.Clean(x.TraceID), Due: millis(x.Due),
		Tries: x.Tries, History: string(history), ParkedAt: millis(x.ParkedAt), ParkedBy: parking.Clean(x.ParkedBy), Replay: parking.Clean(x.Replay),
	}
	d.Kind, d.Code, d.Error = parking.Last(x)
	d.Cause = parking.Normal(d.Error)
	return d, nil
}

func (d *letterDoc) letter() (bus.Letter, error) {
	x := bus.Letter{ID: d.Letter, Subject: d.Subject, State: bus.LetterState(d.State), Body: d.Body, Type: d.Type, TraceID: d.TraceID,
		Due: moment(d.Due), Tries: d.Tries, ParkedAt: moment(d.ParkedAt), ParkedBy: d.ParkedBy, Replay: d.Replay}
	if err := json.Unmarshal([]byte(d.History), &x.History); err != nil {
		return bus.Letter{}, fmt.Errorf("history of letter %s: %w", d.Letter, err)
	}
	return x, nil
}

func (d *letterDoc) entry() (parking.Entry, error) {
	x, err := d.letter()
	return parking.Entry{Subscription: d.Subscription, Letter: x, Position: d.Position, LastKind: d.Kind, LastCode: d.Code, LastError: d.Error}, err
}

// matching gives the filter in MongoDB's terms, for one subscription or all.
func matching(f parking.Filter) bson.D {
	out := bson.D{}
	for _, p := range [][2]string{{"sub", f.Subscription}, {"subject", f.Subject}, {"type", f.Type}, {"kind", f.Kind}, {"code", f.Code},
		{"cause", f.Error}, {"state", string(f.State)}} {
		if p[1] != "" {
			out = append(out, bson.E{Key: p[0], Value: parking.Clean(p[1])})
		}
	}
	if len(f.IDs) > 0 {
		out = append(out, bson.E{Key: "letter", Value: is("$in", f.IDs)})
	}
	out = append(out, between("parked_at", f.From, f.To)...)
	if !f.ActedBefore.IsZero() {
		out = append(out, bson.E{Key: "acted", Value: is("$lt", f.ActedBefore.UnixMilli())})
	}
	return out
}

// between limits a time: from the one, before the other, if they are given.
func between(field string, from, to time.Time) bson.D {
	limits := bson.D{}
	if !from.IsZero() {
		limits = append(limits, bson.E{Key: "$gte", Value: from.UnixMilli()})
	}
	if !to.IsZero() {
		limits = append(limits, bson.E{Key: "$lt", Value: to.UnixMilli()})
	}
	if len(limits) == 0 {
		return nil
	}
	return is(field, limits)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
