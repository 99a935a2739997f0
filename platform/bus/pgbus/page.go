package pgbus

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"trama/platform/bus"
)

// Bounds of what is read at once.
const (
	pageEvents = 256
	pageBytes  = 4 << 20
)

const sqlHead = `SELECT coalesce(max(seq), 0) FROM event`

// record is one row of the log.
type record struct {
	seq  int64
	at   time.Time
	body []byte
}

// selection is the part of the log that somebody reads.
type selection struct {
	sql  string
	args []any // from $3 on; $1 is the position, $2 the page's bytes
}

// sqlPage wraps a source that gives the next rows. Beyond so many bytes (but never
// the first row) bodies are NULL: the page ends there. The sum needs sizes only,
// large bodies stay where they are.
const sqlPage = `SELECT seq, at, CASE WHEN total - size < $2 THEN body END FROM (
	SELECT seq, at, body, octet_length(body) AS size, sum(octet_length(body)) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS total FROM (%s) p) p
	ORDER BY seq`

// selectionOf gives the quickest way to q's events. By types alone: the next of
// each type from its index, merged, so that a subscription never touches what
// lies between.
func selectionOf(q bus.Query) selection {
	if len(q.Types) > 0 && q.Subject == "" && q.ID == "" {
		source := fmt.Sprintf(`SELECT e.* FROM unnest($3::text[]) AS t (type) CROSS JOIN LATERAL (
			SELECT seq, at, body FROM event WHERE event.type = t.type AND seq + 0 > $1 ORDER BY seq + 0 LIMIT %d) e
			ORDER BY seq LIMIT %[1]d`, pageEvents)
		return selection{sql: fmt.Sprintf(sqlPage, source), args: []any{set(q.Types)}}
	}
	s := selection{}
	where := []string{"seq > $1"}
	add := func(cond string, arg any) {
		s.args = append(s.args, arg)
		where = append(where, fmt.Sprintf(cond, len(s.args)+2))
	}
	if q.ID != "" {
		add("id = $%d", q.ID)
	}
	if q.Subject != "" {
		add("hashtextextended(subject, 0) = hashtextextended($%[1]d::text COLLATE \"C\", 0) AND subject = $%[1]d", q.Subject)
	}
	if len(q.Types) > 0 {
		add("type = ANY ($%d::text[])", q.Types)
	}
	source := fmt.Sprintf(`SELECT seq, at, body FROM event WHERE %s ORDER BY seq LIMIT %d`, strings.Join(where, " AND "), pageEvents)
	s.sql = fmt.Sprintf(sqlPage, source)
	return s
}

// page reads what follows a position. Everything selected up to passed is in got
// or before the position; more says that there may be another page at once.
func (b *Bus) page(ctx context.Context, s selection, after int64) (got []record, passed int64, more bool, err error) {
	if err := b.prepare(ctx); err != nil {
		return nil, 0, false, err
	}
	// The head first: the statement after it sees all that the first one saw, and
	// so everything up to that head.
	var batch pgx.Batch
	batch.Queue(sqlHead)
	batch.Queue(s.sql, append([]any{after, pageBytes}, s.args...)...)
	results := b.pool.SendBatch(ctx, &batch)
	defer func() {
		if e := results.Close(); err == nil {
			err = e
		}
	}()
	if err := results.QueryRow().Scan(&passed); err != nil {
		return nil, 0, false, err
	}
	rows, err := results.Query()
	if err != nil {
		return nil, 0, false, err
	}
	defer rows.Close()
	count := 0
	for rows.Next() {
		var r record
		if err := rows.Scan(&r.seq, &r.at, &r.body); err != nil {
			return nil, 0, false, err
		}
		if count++; r.body != nil && count == len(got)+1 {
			got = append(got, r)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, 0, false, err
	}
	if more = count == pageEvents || count > len(got); more {
		return got, got[len(got)-1].seq, true, nil
	}
	if len(got) > 0 {
		passed = max(passed, got[len(got)-1].seq)
	}
	return got, max(passed, after), false, nil
}
