package mongodoc

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"trama/platform/bus"
	"trama/platform/idempotency"
	"trama/services/marketing/internal/lead"
)

// maxKeys is how many idempotency keys a lead remembers; the one that made it is
// never forgotten before its time, of the others the oldest goes first.
const maxKeys = 32

// document is a lead as MongoDB keeps it, with its outbox and its idempotency
// keys: whatever must change at once is in one document. Times are Unix
// milliseconds, 0 for none.
type document struct {
	ID       string `bson:"_id"`
	Unique   string `bson:"unique"`  // "email|course"; "erased|id" on a tombstone
	Command  string `bson:"command"` // the key that made the lead, or its id: one command makes one lead
	Revision int64  `bson:"rev"`     // counts every change of the document; guards read-change-replace

	Email          string `bson:"email"`
	CourseID       string `bson:"course"`
	Name           string `bson:"name"`
	Phone          string `bson:"phone"`
	CourseTitle    string `bson:"title"`
	Origin         string `bson:"origin"`
	CreatedAt      int64  `bson:"created"`
	UpdatedAt      int64  `bson:"updated"`
	EnrolledAt     int64  `bson:"enrolled"`
	UnsubscribedAt int64  `bson:"unsubscribed"`
	Reminded       int    `bson:"reminded"`
	Due            int64  `bson:"due"`
	Version        int64  `bson:"version"`

	Keys []keyDoc `bson:"keys"`

	Sequence int64      `bson:"sequence"` // events so far
	Pending  int64      `bson:"pending"`  // when the oldest waiting event happened; 0: none waits
	Events   []eventDoc `bson:"events"`

	// Erased marks a tombstone: nothing personal is left, the document only waits
	// for its last events to be published.
	Erased bool `bson:"erased"`
}

// keyDoc is one idempotency key.
type keyDoc struct {
	Name    string `bson:"name"` // see keyName
	Request string `bson:"request"`
	Status  int    `bson:"status"`
	Until   int64  `bson:"until"`
}

// eventDoc is one event that waits to be published.
type eventDoc struct {
	ID   string `bson:"id"`
	At   int64  `bson:"at"`
	Body string `bson:"body"` // CloudEvents JSON
}

func keyName(k idempotency.Key) string { return k.Scope + "|" + k.Value }

func unique(email, course string) string { return email + "|" + course }

func fromLead(l lead.Lead) document {
	d := document{ID: l.ID, Unique: unique(l.Email, l.CourseID), Command: l.ID}
	d.set(l)
	return d
}

// set copies the lead into the document.
func (d *document) set(l lead.Lead) {
	d.Email, d.CourseID, d.Name, d.Phone, d.CourseTitle, d.Origin = l.Email, l.CourseID, l.Name, l.Phone, l.CourseTitle, l.Origin
	d.CreatedAt, d.UpdatedAt, d.EnrolledAt, d.UnsubscribedAt = millis(l.CreatedAt), millis(l.UpdatedAt), millis(l.EnrolledAt), millis(l.UnsubscribedAt)
	d.Reminded, d.Due, d.Version = l.Reminded, millis(l.Due), l.Version
}

func (d *document) lead() lead.Lead {
	return lead.Lead{
		ID: d.ID, Name: d.Name, Email: d.Email, Phone: d.Phone, CourseID: d.CourseID, CourseTitle: d.CourseTitle, Origin: d.Origin,
		CreatedAt: moment(d.CreatedAt), UpdatedAt: moment(d.UpdatedAt), EnrolledAt: moment(d.EnrolledAt),
		UnsubscribedAt: moment(d.UnsubscribedAt), Reminded: d.Reminded, Due: moment(d.Due), Version: d.Version,
	}
}

// add puts events at the end of the outbox.
func (d *document) add(events []bus.Event) error {
	for _, e := range events {
		d.Sequence++
		e.Sequence = strconv.FormatInt(d.Sequence, 10)
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode %s: %w", e.Type, err)
		}
		d.Events = append(d.Events, eventDoc{ID: e.ID, At: millis(e.Time), Body: string(body)})
	}
	d.settle()
	return nil
}

// remove takes published events out of the outbox.
func (d *document) remove(ids []string) {
	d.Events = slices.DeleteFunc(d.Events, func(e eventDoc) bool { return slices.Contains(ids, e.ID) })
	d.settle()
}

// settle makes Pending agree with Events.
func (d *document) settle() {
	d.Pending = 0
	if len(d.Events) > 0 {
		d.Pending = max(d.Events[0].At, 1)
	}
}

// key finds a remembered key.
func (d *document) key(name string, now time.Time) (keyDoc, bool) {
	for _, k := range d.Keys {
		if k.Name == name && k.Until > now.UnixMilli() {
			return k, true
		}
	}
	return keyDoc{}, false
}

// remember adds a key and forgets what is too old or too much.
func (d *document) remember(k idempotency.Key, status int, now time.Time) {
	d.Keys = append(d.Keys, keyDoc{Name: keyName(k), Request: k.Request, Status: status, Until: now.Add(idempotency.Life).UnixMilli()})
	d.forget(now)
	for len(d.Keys) > maxKeys {
		oldest := 0
		if d.Keys[0].Name == d.Command {
			oldest = 1
		}
		d.Keys = slices.Delete(d.Keys, oldest, oldest+1)
	}
}

// forget drops expired keys; a command that has expired may be used again.
func (d *document) forget(now time.Time) {
	d.Keys = slices.DeleteFunc(d.Keys, func(k keyDoc) bool { return k.Until <= now.UnixMilli() })
	if !slices.ContainsFunc(d.Keys, func(k keyDoc) bool { return k.Name == d.Command }) {
		d.Command = d.ID
	}
}

// erase leaves a tombstone that holds nothing but the last events.
func (d *document) erase() {
	*d = document{ID: d.ID, Unique: "erased|" + d.ID, Command: d.ID, Revision: d.Revision, Sequence: d.Sequence, Erased: true}
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
