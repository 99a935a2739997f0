package store

import (
	"path/filepath"
	"strings"
	"testing"

	"trama/platform/store/migration"
	"trama/platform/store/sqlitestore"
)

// With millions of payments every question of the hot path must be answered from
// an index: none may look through the table.
func TestQuestionsUseIndexes(t *testing.T) {
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(t.TempDir(), "p.db"), Synchronous: "OFF"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := migration.Run(t.Context(), db, "payments", Migrations()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sql, index string
		args       []any
	}{
		{ofIssuer(factsOfCard), "payment_card", []any{"f", "z", "a", "a", "c", 10}},
		{factsOfEmail, "payment_email", []any{"e", "z", "a", 10}},
		{ofIssuer(factsOfCPF), "payment_cpf", []any{"c", "z", "a", "a", "f", 10}},
		{`SELECT id FROM payment WHERE status = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, "payment_status", []any{"aprovado", "z", 10}},
		{overduePayments, "payment_due", []any{1, 0, "", 10}},
	} {
		rows, err := db.Query(t.Context(), `EXPLAIN QUERY PLAN `+c.sql, c.args...)
		if err != nil {
			t.Fatal(err)
		}
		plan := ""
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan += detail + "\n"
		}
		_ = rows.Close()
		if !strings.Contains(plan, "SEARCH payment USING") || !strings.Contains(plan, "INDEX "+c.index) ||
			strings.Contains(plan, "SCAN payment") || strings.Contains(plan, "USE TEMP B-TREE FOR ORDER BY") {
			t.Errorf("%s\n%s", c.sql, plan)
		}
	}
}
