package parking

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"trama/platform/bus"
	"trama/platform/outbox"
	"trama/platform/store"
)

// The statements of operators.
const (
	retry  = `UPDATE letter SET state = 'waiting', due = $3, tries = 0, acted = $3 WHERE subscription = $1 AND id = $2`
	remove = `DELETE FROM letter WHERE subscription = $1 AND id = $2`
	edit   = `UPDATE letter SET body = $3, event_id = $4, type = $5 WHERE subscription = $1 AND id = $2`
	audit  = `INSERT INTO letter_audit (at, who, act, subscription, letter, type, subject, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	edited = `SELECT COUNT(*) FROM letter_audit WHERE subscription = $1 AND letter = $2 AND act = 'edit' AND detail LIKE $3`
	hold   = `UPDATE subscription_hold SET until = $2 WHERE subscription = $1`
	heldTo = `SELECT until FROM subscription_hold WHERE subscription = $1`
	// retriable: first letters that retrying would change.
	retriable = ` AND state <> 'behind' AND (state = 'dead' OR due > $NOW OR tries > 0)`
)

// target is a letter under a bulk act.
type target struct{ id, event, subject, typ, replay string }

// bulk works through at most limit letters, one transaction for each subscription.
// more limits the condition; work gives the statements.
func (l *Lot) bulk(ctx context.Context, f Filter, limit int, more func(*where) string, order string,
	work func(subscription string, all []target) []store.Statement) (done, left int, err error) {
	limit = Limit(limit)
	names, err := l.all(ctx, f, "")
	if err != nil {
		return 0, 0, err
	}
	for _, name := range names {
		w := f.where(name)
		condition := w.text() + more(w)
		n := 0
		if done < limit {
			if n, err = l.act(ctx, name, condition, order, w.args, limit-done, work); err != nil {
				return done, left, fmt.Errorf("parking: act on letters: %w", err)
			}
		}
		done += n
		if room := CountLimit - left; room > 0 {
			var rest int
			count := `SELECT COUNT(*) FROM (SELECT 1 FROM letter WHERE ` + condition + ` LIMIT ` + w.arg(room) + `) AS rest`
			if err := l.db.QueryRow(ctx, count, w.args...).Scan(&rest); err != nil {
				return done, left, fmt.Errorf("parking: count letters: %w", err)
			}
			left += rest
		}
	}
	return done, left, nil
}

func (l *Lot) act(ctx context.Context, subscription, condition, order string, args []any, limit int,
	work func(subscription string, all []target) []store.Statement) (n int, err error) {
	err = l.db.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec(ctx, lock, subscription); err != nil {
			return err
		}
		targets, err := selectTargets(ctx, tx, fmt.Sprintf(`SELECT id, event_id, subject, type, replay FROM letter
			WHERE %s ORDER BY %s LIMIT %d`, condition, order, limit), args)
		if err != nil {
			return err
		}
		n = len(targets)
		return store.ExecAll(ctx, tx, work(subscription, targets)...)
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func selectTargets(ctx context.Context, tx store.Tx, query string, args []any) ([]target, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []target
	for rows.Next() {
		var x target
		if err := rows.Scan(&x.id, &x.event, &x.subject, &x.typ, &x.replay); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// Retry makes first letters waiting and due now.
func (l *Lot) Retry(ctx context.Context, f Filter, who string, limit int) (done, left int, err error) {
	now := l.clock.Now().UnixMilli()
	more := func(w *where) string { return strings.ReplaceAll(retriable, "$NOW", w.arg(now)) }
	return l.bulk(ctx, f, limit, more, "acted, position", func(subscription string, all []target) (out []store.Statement) {
		for _, x := range all {
			out = append(out, store.Statement{SQL: retry, Args: []any{subscription, x.id, now}},
				l.audit(Act{Who: who, Act: ActRetry, Subscription: subscription, Letter: x.id, Type: x.typ, Subject: x.subject}))
		}
		return out
	})
}

// Drop removes letters and marks their events as handled.
func (l *Lot) Drop(ctx context.Context, f Filter, who, why string, limit int) (done, left int, err error) {
	now := l.clock.Now().UnixMilli()
	more := func(*where) string { return "" }
	return l.bulk(ctx, f, limit, more, "position", func(subscription string, all []target) (out []store.Statement) {
		var subjects []string
		for _, x := range all {
			subjects = append(subjects, x.subject)
			out = append(out, store.Statement{SQL: remove, Args: []any{subscription, x.id}},
				store.Statement{SQL: outbox.InboxRow, Args: []any{subscription, outbox.InboxKey(x.event, x.replay), now}},
				l.audit(Act{Who: who, Act: ActDrop, Subscription: subscription, Letter: x.id, Type: x.typ, Subject: x.subject, Detail: why}))
		}
		return append(out, l.promote(subscription, subjects)...)
	})
}

// Edit gives a letter another body.
func (l *Lot) Edit(ctx context.Context, subscription, id string, body []byte, who, why string) error {
	event, err := bus.Decode(body)
	if err != nil {
		return err
	}
	id = Clean(id)
	now := l.clock.Now().UnixMilli()
	return l.db.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec(ctx, lock, subscription); err != nil {
			return fmt.Errorf("parking: edit: %w", err)
		}
		old, err := get(ctx, tx, subscription, id)
		if errors.Is(err, ErrNotFound) {
			return l.editedBefore(ctx, tx, subscription, id, body)
		}
		if err != nil {
			return err
		}
		if err := CheckEdit(old.Letter, event); err != nil {
			return err
		}
		if bytes.Equal(old.Body, body) {
			return nil
		}
		statements := []store.Statement{
			{SQL: edit, Args: []any{subscription, id, body, Clean(event.ID), Clean(event.Type)}},
			l.audit(Act{Who: who, Act: ActEdit, Subscription: subscription, Letter: id, Type: event.Type, Subject: old.Subject,
				Detail: EditDetail(old.Body, body, why)}),
		}
		if old.State != bus.Behind {
			statements = append(statements, store.Statement{SQL: retry, Args: []any{subscription, id, now}})
		}
		if err := store.ExecAll(ctx, tx, statements...); err != nil {
			return fmt.Errorf("parking: edit: %w", err)
		}
		return nil
	})
}

// editedBefore says whether this edit was made, and its letter is gone since.
func (l *Lot) editedBefore(ctx context.Context, tx store.Tx, subscription, id string, body []byte) error {
	var n int
	if err := tx.QueryRow(ctx, edited, subscription, id, EditedTo(body)+"%").Scan(&n); err != nil {
		return fmt.Errorf("parking: edit: %w", err)
	}
	if n == 0 {
		return ErrNotFound
	}
	return nil
}

// CheckEdit says whether e may take the place of the letter's event.
func CheckEdit(old bus.Letter, e bus.Event) error {
	if was, err := bus.Decode(old.Body); err != nil || was.ID != old.ID { // it was no event when it was parked
		return nil
	}
	if e.ID != old.ID || e.Subject != old.Subject {
		return ErrOtherEvent
	}
	return nil
}

// EditedTo is how the detail of an edit to body begins.
func EditedTo(body []byte) string { return fmt.Sprintf("sha256 %x", sha256.Sum256(body)) }

// EditDetail is the detail of an edit: bodies may hold personal data, their
// hashes do not.
func EditDetail(before, after []byte, why string) string {
	return fmt.Sprintf("%s, was %x; %s", EditedTo(after), sha256.Sum256(before), why)
}

// Hold asks the consumer to step aside until then, or lets it work again.
func (l *Lot) Hold(ctx context.Context, subscription string, until time.Time, who string) error {
	err := l.db.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec(ctx, lock, subscription); err != nil {
			return err
		}
		var before int64
		if err := tx.QueryRow(ctx, heldTo, subscription).Scan(&before); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, hold, subscription, millis(until)); err != nil {
			return err
		}
		now := l.clock.Now()
		was, is := before > now.UnixMilli(), until.After(now)
		if was == is { // the same hold for longer, or nothing to end
			return nil
		}
		act := Act{Who: who, Act: ActHold, Subscription: subscription}
		if !is {
			act.Act = ActRelease
		}
		return store.ExecAll(ctx, tx, l.audit(act))
	})
	if err != nil {
		return fmt.Errorf("parking: hold: %w", err)
	}
	return nil
}
