package parking

import (
	"encoding/json"
	"fmt"
	"time"

	"trama/platform/bus"
	"trama/platform/store"
)

const (
	letterColumns = `id, subject, state, body, type, trace_id, due, tries, history, parked_at, parked_by, replay`
	front         = `SELECT ` + letterColumns + ` FROM (SELECT * FROM letter WHERE (subscription, subject, position) > ($1, $2, 0)
		ORDER BY subscription, subject, position LIMIT $3) AS first WHERE subscription = $1 AND subject = $2 ORDER BY position`
)

// scanLetter reads letterColumns, and into more what follows them.
func scanLetter(row store.Row, more ...any) (bus.Letter, error) {
	var x bus.Letter
	var history string
	var due, parked int64
	err := row.Scan(append([]any{&x.ID, &x.Subject, &x.State, &x.Body, &x.Type, &x.TraceID, &due, &x.Tries,
		&history, &parked, &x.ParkedBy, &x.Replay}, more...)...)
	if err != nil {
		return bus.Letter{}, err
	}
	if err := json.Unmarshal([]byte(history), &x.History); err != nil {
		return bus.Letter{}, fmt.Errorf("history of letter %s: %w", x.ID, err)
	}
	x.Due, x.ParkedAt = moment(due), moment(parked)
	return x, nil
}

func encodeHistory(x bus.Letter) (string, error) {
	text, err := json.Marshal(x.History)
	if err != nil {
		return "", fmt.Errorf("parking: history of letter %s: %w", x.ID, err)
	}
	return string(text), nil
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
