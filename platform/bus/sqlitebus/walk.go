package sqlitebus

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"trama/platform/bus"
)

// Bounds of one step of a walk.
const (
	stepEvents = 256
	stepBytes  = 4 << 20 // of bodies, about
)

// walk is one reader's way through the log: from the file as long as it is
// behind, then along the tail.
type walk struct {
	b      *Bus
	reader *reader
	query  string
	args   []any // after position, end and count
}

// walk begins after pos. From the tail it gives whatever has one of the types.
func (b *Bus) walk(q bus.Query, pos int64) *walk {
	w := &walk{b: b, reader: b.tail.join(q.Types, pos)}
	w.query, w.args = sqlWalk(q)
	return w
}

func (w *walk) close() { w.b.tail.leave(w.reader) }

// next gives the next events. None: there is nothing more up to where the reader
// is now; its wake tells of news.
func (w *walk) next(ctx context.Context) ([]entry, error) {
	if got, ok := w.b.tail.take(w.reader, stepEvents); ok {
		return got, nil
	}
	head, err := w.b.head(ctx)
	if err != nil {
		return nil, err
	}
	return w.file(ctx, head)
}

// file gives the next events up to end from the file.
func (w *walk) file(ctx context.Context, end int64) ([]entry, error) {
	pos := w.b.tail.place(w.reader)
	rows, err := w.b.reads.QueryContext(ctx, w.query, append([]any{pos, end, stepEvents}, w.args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var got []entry
	upTo := end
	for bytes := 0; rows.Next(); {
		var body sql.RawBytes
		e := entry{rec: &record{}}
		if err := rows.Scan(&e.seq, &e.rec.typ, &body); err != nil {
			return nil, err
		}
		e.rec.body = string(body)
		got = append(got, e)
		if bytes += len(body); bytes > stepBytes || len(got) == stepEvents {
			upTo = e.seq
			break
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	w.b.tail.moved(w.reader, upTo)
	return got, nil
}

// sqlWalk makes the query of a walk: ?1 after, ?2 up to, ?3 how many. Each
// follows an index in the order of seq and never touches what lies between:
// types alone by one bounded walk of event_type for each, merged.
func sqlWalk(q bus.Query) (query string, args []any) {
	where := "seq > ?1 AND seq <= ?2"
	if q.ID == "" && q.Subject == "" && len(q.Types) > 0 {
		var each []string
		for _, t := range q.Types {
			args = append(args, t)
			each = append(each, fmt.Sprintf("SELECT seq FROM (SELECT seq FROM event WHERE type = ?%d AND %s ORDER BY seq LIMIT ?3)", len(args)+3, where))
		}
		return "SELECT e.seq, e.type, e.body FROM (" + strings.Join(each, " UNION ALL ") +
			" ORDER BY seq LIMIT ?3) s CROSS JOIN event e ON e.seq = s.seq ORDER BY s.seq", args
	}
	and := func(condition string, value any) {
		args = append(args, value)
		where += fmt.Sprintf(" AND "+condition, len(args)+3)
	}
	if q.ID != "" {
		and("id = ?%d", q.ID)
	}
	if q.Subject != "" {
		and("subject = ?%d", q.Subject)
	}
	if len(q.Types) > 0 { // the plus keeps it from event_type
		and("+type IN (SELECT value FROM json_each(?%d))", typesText(q.Types))
	}
	return "SELECT seq, type, body FROM event WHERE " + where + " ORDER BY seq LIMIT ?3", args
}

// head gives the log's last position.
func (b *Bus) head(ctx context.Context) (head int64, err error) {
	err = b.reads.QueryRowContext(ctx, sqlHead).Scan(&head)
	return head, err
}
