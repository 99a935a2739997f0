package parking

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/outbox"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/sqlitestore"
)

// With a million letters behind one subject every question of a consumer, and
// each page of an operator, must be answered from an index: none may look through
// the table or sort it.
func TestQuestionsUseIndexes(t *testing.T) {
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(t.TempDir(), "p.db"), Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := migration.Run(t.Context(), db, "platform", outbox.Schema()); err != nil {
		t.Fatal(err)
	}
	l := New(db, clock.System{}, "p")
	row, err := l.row("s", bus.Letter{ID: "a", Subject: "b", State: bus.Behind}, time.UnixMilli(1))
	if err != nil {
		t.Fatal(err)
	}
	f := Filter{State: bus.Dead, Code: "c"}
	dead := f.where("s")
	dead.and("position >", 1)
	every := Filter{}.where("s")
	every.and("position >", 1)
	again := Filter{}.where("s")
	more := strings.ReplaceAll(retriable, "$NOW", again.arg(1))
	const page = `SELECT id FROM letter WHERE `
	for _, c := range []struct {
		sql, index string
		args       []any
	}{
		{blocked, "letter_front", []any{"s"}},
		{park, "letter_subject", row},
		{failed, "sqlite_autoindex_letter_1", []any{"s", "a", 1, "dead", 1, 1, "", "", "", "", ""}},
		{promote, "letter_subject", []any{"s", "b", 1}},
		{front, "letter_subject", []any{"s", "b", 10}},
		{remove, "sqlite_autoindex_letter_1", []any{"s", "a"}},
		{woken, "letter_due", []any{"s", 1, 10}},
		{getLetter, "sqlite_autoindex_letter_1", []any{"s", "a"}},
		{countBehind, "letter_subject", []any{"s", "b", 1}},
		{page + dead.text() + ` ORDER BY position LIMIT 10`, "letter_state", dead.args},
		{page + every.text() + ` ORDER BY position LIMIT 10`, "letter_order", every.args},
		{page + again.text() + more + ` ORDER BY acted, position LIMIT 10`, "letter_front", again.args},
	} {
		plan := explain(t, db, c.sql, c.args)
		sorts := strings.Contains(plan, "USE TEMP B-TREE") && !strings.Contains(plan, "CO-ROUTINE first") // but for what was found
		if !strings.Contains(plan, "INDEX "+c.index) || strings.Contains(plan, "SCAN letter") || sorts {
			t.Errorf("%s\n%s", c.sql, plan)
		}
	}
}

func explain(t *testing.T, db store.DB, sql string, args []any) (plan string) {
	t.Helper()
	rows, err := db.Query(t.Context(), `EXPLAIN QUERY PLAN `+sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan += detail + "\n"
	}
	return plan
}
