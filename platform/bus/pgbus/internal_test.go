package pgbus

import (
	"strings"
	"testing"

	"trama/platform/bus"
	"trama/platform/enginetest"
)

// The next events of a rare type come from the types' index, whatever the
// statistics say: on the way along the primary key lies the whole log.
func TestRareTypeIsReadByItsIndex(t *testing.T) {
	b, err := Open(Options{URL: enginetest.PostgresDatabase(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`INSERT INTO event (id, type, subject, body) SELECT i, CASE WHEN i % 1000 = 0 THEN 'raro' ELSE 'comum' END, i % 100, repeat('x', 300)::bytea
			FROM generate_series(1, 20000) i`,
		`ANALYZE event`,
	} {
		if _, err := b.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, types := range [][]string{{"raro"}, {"raro", "comum"}} {
		s := selectionOf(bus.Query{Types: types})
		rows, err := b.pool.Query(t.Context(), "EXPLAIN "+s.sql, append([]any{int64(10), pageBytes}, s.args...)...)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, line)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(plan, "\n"); !strings.Contains(text, "event_type") {
			t.Errorf("%v: the plan does not use the index:\n%s", types, text)
		}
	}
}
