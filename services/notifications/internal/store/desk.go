package store

import (
	"context"
	"errors"
	"fmt"

	"trama/platform/store"
	"trama/services/notifications/internal/message"
)

// desk is the queue within one transaction.
type desk struct{ tx store.Tx }

// Add queues a message.
func (d desk) Add(ctx context.Context, m message.Message) error {
	facts, err := encode(m.Facts)
	if err != nil {
		return err
	}
	_, err = d.tx.Exec(ctx, `INSERT INTO message (`+columns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
		ON CONFLICT (event_id, kind) DO NOTHING`,
		m.ID, m.EventID, string(m.Kind), m.Topic, m.CourseID, m.Name, m.Email, facts, m.Trace, millis(m.CreatedAt), millis(m.ExpiresAt),
		string(m.State), m.Attempts, millis(m.Due), m.Subject, m.Reason, millis(m.FinishedAt))
	return wrap("queue a message", err)
}

// Told says whether such a message exists.
func (d desk) Told(ctx context.Context, topic, email string, kinds ...message.Kind) (bool, error) {
	for _, k := range kinds {
		var found int
		err := d.tx.QueryRow(ctx, `SELECT 1 FROM message WHERE topic <> '' AND topic = $1 AND email = $2 AND kind = $3 LIMIT 1`,
			topic, email, string(k)).Scan(&found)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, store.ErrNoRows) {
			return false, fmt.Errorf("look for a message: %w", err)
		}
	}
	return false, nil
}

// Drop removes waiting messages of a topic.
func (d desk) Drop(ctx context.Context, topic, email string, k message.Kind) error {
	_, err := d.tx.Exec(ctx, `DELETE FROM message WHERE topic <> '' AND topic = $1 AND kind = $2 AND state = 'aguardando'
		AND (email = $3 OR $3 = '')`, topic, string(k), email)
	return wrap("drop messages", err)
}

// DropReminders removes waiting reminders about a course or about none.
func (d desk) DropReminders(ctx context.Context, email, courseID string) error {
	if email == "" {
		return nil
	}
	_, err := d.tx.Exec(ctx, `DELETE FROM message WHERE state = 'aguardando' AND email = $1 AND kind = $2 AND course_id IN ('', $3)`,
		email, string(message.Reminder), courseID)
	return wrap("drop reminders", err)
}
