package storetest

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"trama/platform/fault"
	"trama/platform/store"
)

func reading(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	var n int64
	if err := db.QueryRow(ctx, `SELECT n FROM t WHERE id = $1`, "none").Scan(&n); !errors.Is(err, store.ErrNoRows) {
		t.Fatalf("no row: got %v, want ErrNoRows", err)
	}
	err := db.Update(ctx, func(tx store.Tx) error {
		for i := range 10 {
			if err := insert(ctx, tx, key(i), i); err != nil {
				return err
			}
		}
		if err := tx.QueryRow(ctx, `SELECT n FROM t WHERE id = $1`, "none").Scan(&n); !errors.Is(err, store.ErrNoRows) {
			return fmt.Errorf("no row in a transaction: got %v, want ErrNoRows", err)
		}
		return tx.QueryRow(ctx, `SELECT n FROM t WHERE id = $1`, key(3)).Scan(&n) // ErrNoRows does not doom
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "row 3", n, 3)
	rows, err := db.Query(ctx, `SELECT id, n FROM t WHERE n >= $1 ORDER BY n`, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	i := 4
	for rows.Next() {
		var id string
		if err := rows.Scan(&id, &n); err != nil {
			t.Fatal(err)
		}
		want(t, "id", id, key(i))
		want(t, "n", n, int64(i))
		i++
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	want(t, "end", i, 10)
	if rows.Next() {
		t.Error("Next after the end is true")
	}
	want(t, "rows changed", execute(t, db, `UPDATE t SET n = n + 1 WHERE n < $1`, 5), 5)
	want(t, "rows deleted", execute(t, db, `DELETE FROM t WHERE id = $1`, "none"), 0)
	if err := db.QueryRow(ctx, `SELECT nothing FROM nowhere`).Scan(&n); err == nil || errors.Is(err, store.ErrNoRows) {
		t.Errorf("a wrong statement: got %v", err)
	} else if fault.KindOf(err) != fault.Internal {
		t.Errorf("a wrong statement is %v, want internal: %v", fault.KindOf(err), err)
	}
}

func parameters(t *testing.T, db store.DB) {
	ctx := background(t)
	run(t, db, `CREATE TABLE p (id TEXT PRIMARY KEY, a BIGINT NOT NULL, b BIGINT NOT NULL, c TEXT NOT NULL)`)
	execute(t, db, `INSERT INTO p (c, b, a, id) VALUES ($4, $3, $2, $1)`, "x", 1, 2, "three")
	execute(t, db, `UPDATE p SET a = a + $2, b = b + $2, c = $3 WHERE id = $1 AND a < $2`, "x", 10, "again")
	var a, b int64
	var c string
	err := db.QueryRow(ctx, `SELECT a, b, c FROM p WHERE id = $2 AND b > $1 AND a > $1 AND id = $2`, 10, "x").Scan(&a, &b, &c)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "a", a, 11)
	want(t, "b", b, 12)
	want(t, "c", c, "again")
	var sb strings.Builder
	args := make([]any, 0, 24)
	sb.WriteString(`SELECT COUNT(*) FROM p WHERE id IN (`)
	for i := range 24 { // beyond $9: "$1" must not be found in "$12"
		if i > 0 {
			sb.WriteString(", ")
		}
		fmt.Fprintf(&sb, "$%d", 24-i)
		args = append(args, "no")
	}
	args[11] = "x"
	want(t, "IN", count(t, db, sb.String()+")", args...), 1)
	if err := db.QueryRow(ctx, `SELECT COUNT(*) FROM p WHERE id = $1 AND c = $2`, "x").Scan(&a); err == nil {
		t.Error("a missing argument went unnoticed")
	}
}

func portable(t *testing.T, db store.DB) {
	ctx := background(t)
	run(t, db, `CREATE TABLE o (id TEXT PRIMARY KEY, grp TEXT NOT NULL, n BIGINT NOT NULL, open BOOLEAN NOT NULL)`,
		`CREATE UNIQUE INDEX o_open ON o (grp) WHERE open`)
	ins := `INSERT INTO o (id, grp, n, open) VALUES ($1, $2, $3, $4)`
	execute(t, db, ins, "1", "g", 1, false)
	execute(t, db, ins, "2", "g", 2, false)
	execute(t, db, ins, "3", "g", 3, true)
	err := db.Update(ctx, func(tx store.Tx) error { _, err := tx.Exec(ctx, ins, "4", "g", 4, true); return err })
	if !store.IsUnique(err) {
		t.Errorf("partial unique index: %v", err)
	}
	want(t, "do nothing", execute(t, db, ins+` ON CONFLICT (id) DO NOTHING`, "1", "g", 9, false), 0)
	var n int64
	err = db.Update(ctx, func(tx store.Tx) error {
		return tx.QueryRow(ctx, ins+` ON CONFLICT (id) DO UPDATE SET n = o.n + excluded.n RETURNING n`, "1", "g", 9, false).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "upsert returning", n, 10)
	want(t, "CTE and window", count(t, db, `WITH r AS (SELECT n, ROW_NUMBER() OVER (PARTITION BY grp ORDER BY n DESC) AS pos FROM o)
		SELECT n FROM r WHERE pos = $1`, 2), 3)
	want(t, "keyset page", count(t, db, `SELECT COUNT(*) FROM o WHERE (n, id) > ($1, $2)`, 2, "2"), 2)
	err = db.Update(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(ctx, `DELETE FROM o WHERE id IN (SELECT id FROM o ORDER BY n LIMIT $1) RETURNING n`, 2)
		if err != nil {
			return err
		}
		defer rows.Close()
		var sum int64
		for rows.Next() {
			if err := rows.Scan(&n); err != nil {
				return err
			}
			sum += n
		}
		want(t, "deleted", sum, 5)
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "left", count(t, db, `SELECT COUNT(*) FROM o`), 1)
}

type name string // a domain's own type

func values(t *testing.T, db store.DB) {
	ctx := background(t)
	run(t, db, `CREATE TABLE v (id TEXT PRIMARY KEY, i BIGINT NOT NULL, b BOOLEAN NOT NULL, s TEXT NOT NULL)`)
	for i, s := range []string{"", "a", "João 'O''Neil'; DROP TABLE v; --", "𝒻🎓\u200d", `{"a":[1,"é"]}`, "%_\\\n\t"} {
		for _, n := range []int64{0, -1, math.MaxInt64, math.MinInt64} {
			id := fmt.Sprintf("%d/%d", i, n)
			execute(t, db, `INSERT INTO v (id, i, b, s) VALUES ($1, $2, $3, $4)`, name(id), n, n < 0, s)
			var gotID name
			var gotN int64
			var gotB bool
			var gotS string
			err := db.QueryRow(ctx, `SELECT id, i, b, s FROM v WHERE id = $1 AND s = $2 AND b = $3`, id, s, n < 0).Scan(&gotID, &gotN, &gotB, &gotS)
			if err != nil {
				t.Fatal(err)
			}
			if string(gotID) != id || gotN != n || gotB != (n < 0) || gotS != s {
				t.Errorf("got %q %d %v %q, want %q %d %q", gotID, gotN, gotB, gotS, id, n, s)
			}
		}
	}
	var small int
	if err := db.QueryRow(ctx, `SELECT COUNT(*) FROM v WHERE b`).Scan(&small); err != nil {
		t.Fatal(err)
	}
	want(t, "booleans", small, 12)
}

func nulls(t *testing.T, db store.DB) {
	ctx := background(t)
	run(t, db, `CREATE TABLE n (id TEXT PRIMARY KEY, s TEXT, i BIGINT)`)
	text, number := "here", int64(7)
	execute(t, db, `INSERT INTO n (id, s, i) VALUES ($1, $2, $3)`, "null", (*string)(nil), nil)
	execute(t, db, `INSERT INTO n (id, s, i) VALUES ($1, $2, $3)`, "full", &text, &number)
	execute(t, db, `INSERT INTO n (id, s, i) VALUES ($1, $2, $3)`, "sql", sql.NullString{}, sql.NullInt64{Int64: 8, Valid: true})
	q := `SELECT s, i FROM n WHERE id = $1`
	var s *string
	var i *int64
	if err := db.QueryRow(ctx, q, "null").Scan(&s, &i); err != nil || s != nil || i != nil {
		t.Errorf("NULL into pointers: %v %v %v", s, i, err)
	}
	if err := db.QueryRow(ctx, q, "full").Scan(&s, &i); err != nil || s == nil || *s != text || i == nil || *i != number {
		t.Errorf("values into pointers: %v %v %v", s, i, err)
	}
	var ns sql.NullString
	var ni sql.NullInt64
	if err := db.QueryRow(ctx, q, "sql").Scan(&ns, &ni); err != nil || ns.Valid || !ni.Valid || ni.Int64 != 8 {
		t.Errorf("sql.Null: %v %v %v", ns, ni, err)
	}
	var plain string
	if err := db.QueryRow(ctx, q, "null").Scan(&plain, &i); err == nil {
		t.Error("NULL into a string went unnoticed")
	}
	want(t, "IS NULL", count(t, db, `SELECT COUNT(*) FROM n WHERE s IS NULL`), 2)
}

func large(t *testing.T, db store.DB) {
	ctx := background(t)
	bytesType := "BLOB"
	if db.Dialect() == store.Postgres {
		bytesType = "BYTEA"
	}
	run(t, db, `CREATE TABLE l (id TEXT PRIMARY KEY, s TEXT NOT NULL, b `+bytesType+` NOT NULL)`)
	s := strings.Repeat("ação ", 600_000)
	b := bytes.Repeat([]byte{0, 1, 255, 0}, 500_000)
	execute(t, db, `INSERT INTO l (id, s, b) VALUES ($1, $2, $3)`, "1", s, b)
	var gotS string
	var gotB []byte
	if err := db.QueryRow(ctx, `SELECT s, b FROM l WHERE id = $1`, "1").Scan(&gotS, &gotB); err != nil {
		t.Fatal(err)
	}
	if gotS != s || !bytes.Equal(gotB, b) {
		t.Errorf("large values changed: %d and %d bytes, want %d and %d", len(gotS), len(gotB), len(s), len(b))
	}
}

// manyStatements outgrows any statement cache.
func manyStatements(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	for i := range 400 {
		want(t, "read", count(t, db, fmt.Sprintf(`SELECT COUNT(*) + %d FROM t`, i)), int64(i))
	}
	err := db.Update(ctx, func(tx store.Tx) error {
		for i := range 400 {
			if _, err := tx.Exec(ctx, fmt.Sprintf(`INSERT INTO t (id, n) VALUES ($1, %d)`, i), key(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "sum", count(t, db, `SELECT CAST(SUM(n) AS BIGINT) FROM t`), 400*399/2)
	// A prepared statement outlives a change of the schema.
	run(t, db, `ALTER TABLE t ADD COLUMN extra TEXT`)
	want(t, "after a change of the schema", count(t, db, `SELECT COUNT(*) + 0 FROM t`), 400)
}

func constraints(t *testing.T, db store.DB) {
	run(t, db, `CREATE TABLE parent (id TEXT PRIMARY KEY, mail TEXT NOT NULL UNIQUE)`,
		`CREATE TABLE child (id TEXT PRIMARY KEY, parent TEXT NOT NULL REFERENCES parent (id), age BIGINT NOT NULL CHECK (age > 0))`)
	execute(t, db, `INSERT INTO parent (id, mail) VALUES ('p', 'a@b.c')`)
	execute(t, db, `INSERT INTO child (id, parent, age) VALUES ('c', 'p', 1)`)
	for _, c := range []struct {
		what, sql string
		unique    bool
		names     string // in the constraint's name, on every engine
	}{
		{"primary key", `INSERT INTO parent (id, mail) VALUES ('p', 'x')`, true, "parent"},
		{"unique", `INSERT INTO parent (id, mail) VALUES ('q', 'a@b.c')`, true, "mail"},
		{"foreign key", `INSERT INTO child (id, parent, age) VALUES ('d', 'nobody', 1)`, false, ""},
		{"foreign key, deleting", `DELETE FROM parent WHERE id = 'p'`, false, ""},
		{"check", `INSERT INTO child (id, parent, age) VALUES ('d', 'p', 0)`, false, "age"},
		{"not null", `INSERT INTO child (id, parent) VALUES ('d', 'p')`, false, "age"},
	} {
		ctx := background(t)
		err := db.Update(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(ctx, c.sql)
			return err
		})
		var ce *store.ConstraintError
		if !errors.As(err, &ce) {
			t.Errorf("%s: got %v, want a ConstraintError", c.what, err)
			continue
		}
		want(t, c.what+": unique", store.IsUnique(err), c.unique)
		want(t, c.what+": kind", fault.KindOf(err), fault.Conflict)
		want(t, c.what+": code", fault.As(err).Code, store.CodeConstraint)
		if ce.Constraint == "" || !strings.Contains(ce.Constraint, c.names) {
			t.Errorf("%s: constraint is named %q, want something with %q", c.what, ce.Constraint, c.names)
		}
	}
	want(t, "parents", count(t, db, `SELECT COUNT(*) FROM parent`), 1)
}

func times(t *testing.T, db store.DB) {
	ctx := background(t)
	tableT(t, db)
	err := db.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO t (id, n) VALUES ($1, $2)`, "x", time.Now())
		return err
	})
	if err == nil {
		t.Error("a time.Time was accepted for a BIGINT")
	}
}
