package sqlitebus

import (
	"context"
	"strings"
)

// row is one event to append.
type row struct{ id, typ, subject, body string }

// append gives each row the next position, within the writer's transaction, and
// tells which were new.
func (w *writer) append(rows []row) (before, last int64, added []entry, err error) {
	if len(rows) == 0 {
		return 0, 0, nil, nil
	}
	st, err := w.stmt(sqlLast)
	if err != nil {
		return 0, 0, nil, err
	}
	var at int64
	if err := st.QueryRow().Scan(&before, &at); err != nil {
		return 0, 0, nil, err
	}
	at = max(at, w.clock.Now().UnixMilli()) // also when the clock was set back
	last = before
	added = make([]entry, 0, len(rows))
	for len(rows) > 0 {
		n := chunk(len(rows))
		fresh, err := w.insert(last+1, at, rows[:n])
		if err != nil {
			return 0, 0, nil, err
		}
		for k, r := range rows[:n] {
			if fresh == nil || fresh[last+1+int64(k)] {
				added = append(added, entry{seq: last + 1 + int64(k), rec: &record{typ: r.typ, body: r.body}})
			}
		}
		last += int64(n) // a skipped row leaves its position unused
		rows = rows[n:]
	}
	if len(added) > 0 { // SQLite may hand the unused ones at the end out again
		last = added[len(added)-1].seq
	}
	return before, last, added, nil
}

// chunk is how many of n rows the next INSERT takes: one prepared statement for
// many rows saves most of the cost per row.
func chunk(n int) int {
	switch {
	case n >= 64:
		return 64
	case n >= 8:
		return 8
	}
	return 1
}

// sqlInsert takes six values per row. (Numbered parameters, which would spare
// some, cost more: the driver looks each up by its name.)
func sqlInsert(n int) string {
	return "INSERT INTO event (seq, id, type, subject, body, at) VALUES " +
		strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?), ", n), ", ") + " ON CONFLICT (id) DO NOTHING"
}

// insert adds the rows at positions first…; fresh is nil when all were new.
func (w *writer) insert(first, at int64, rows []row) (fresh map[int64]bool, err error) {
	st := w.inserts[len(rows)]
	if st == nil {
		if st, err = w.stmt(sqlInsert(len(rows))); err != nil {
			return nil, err
		}
		w.inserts[len(rows)] = st
	}
	args := make([]any, 0, 6*len(rows))
	for k, r := range rows {
		args = append(args, first+int64(k), r.id, r.typ, r.subject, r.body, at)
	}
	res, err := st.Exec(args...)
	if err != nil {
		return nil, err
	}
	n, err := res.RowsAffected()
	if err != nil || n == int64(len(rows)) {
		return nil, err
	}
	got, err := w.conn.QueryContext(context.Background(), `SELECT seq FROM event WHERE seq >= ?`, first)
	if err != nil {
		return nil, err
	}
	defer got.Close()
	fresh = map[int64]bool{}
	for got.Next() {
		var seq int64
		if err := got.Scan(&seq); err != nil {
			return nil, err
		}
		fresh[seq] = true
	}
	return fresh, got.Err()
}
