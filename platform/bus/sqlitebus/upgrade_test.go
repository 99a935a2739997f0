package sqlitebus_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
)

// previousSchema is that of the first version.
const previousSchema = `
CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX event_type ON event (type, seq);
CREATE TABLE subscription (name TEXT PRIMARY KEY, types TEXT NOT NULL, cursor INTEGER NOT NULL DEFAULT 0, declared_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE exception (subscription TEXT NOT NULL, seq INTEGER NOT NULL, subject TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('waiting', 'dead')),
	attempts INTEGER NOT NULL, due INTEGER NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, parked_at INTEGER NOT NULL, PRIMARY KEY (subscription, seq)) STRICT, WITHOUT ROWID;
CREATE INDEX exception_waiting ON exception (subscription, subject, seq) WHERE state = 'waiting';
CREATE INDEX exception_dead ON exception (subscription, parked_at, seq) WHERE state = 'dead';
INSERT INTO subscription VALUES
	('teste.espera', '["` + bustest.TypeA + `"]', 40, 1), ('teste.morta', '["` + bustest.TypeA + `"]', 38, 1),
	('teste.limpa', '["` + bustest.TypeA + `"]', 37, 1), ('teste.atras', '["` + bustest.TypeA + `"]', 3, 1);
INSERT INTO exception VALUES
	('teste.espera', 30, 's1', 'waiting', 0, 0, '', '', 0), ('teste.espera', 12, 's1', 'waiting', 2, 99, 'unavailable', 'down', 0),
	('teste.morta', 36, 's3', 'dead', 1, 0, 'invalid', 'no', 1), ('teste.atras', 3, 's2', 'dead', 1, 0, 'invalid', 'no', 1);
`

// A file of the previous version opens; what waited or was dead there, and all that
// follows it, is delivered again.
func TestPreviousFileLosesNothing(t *testing.T) {
	dir := t.TempDir()
	old := series(1, 10) // positions 1 to 40
	onFile(t, filepath.Join(dir, "bus.db"), func(db *sql.DB) error {
		if _, err := db.Exec(previousSchema); err != nil {
			return err
		}
		for _, e := range old {
			body, err := bus.Encode(e)
			if err != nil {
				return err
			}
			if _, err := db.Exec(`INSERT INTO event (id, type, subject, body) VALUES (?, ?, ?, ?)`, e.ID, e.Type, e.Subject, string(body)); err != nil {
				return err
			}
		}
		return nil
	})
	moment := time.Now()
	b := open(t, dir)
	if n := query(t, dir, `SELECT count(*) FROM sqlite_schema WHERE name LIKE 'exception%'`); n != 0 {
		t.Errorf("%d traces of the old table", n)
	}
	want := map[string]int64{"teste.espera": 11, "teste.morta": 35, "teste.limpa": 37, "teste.atras": 2}
	for name, cursor := range want {
		if got := query(t, dir, fmt.Sprintf(`SELECT cursor FROM subscription WHERE name = '%s'`, name)); got != cursor {
			t.Errorf("%s: cursor %d, want %d", name, got, cursor)
		}
	}
	fresh := series(11, 11)
	publish(t, b, fresh...)
	for name, cursor := range want {
		r := bustest.NewRecorder()
		subscribe(t, b, bus.Subscription{Name: name, Handler: r.Handle(nil)})
		r.AwaitDone(t, 44-int(cursor))
		for _, e := range append(old[cursor:], fresh...) {
			if !r.Handled(e.ID) {
				t.Errorf("%s: number %d of %s was not delivered", name, bustest.Number(e), e.Subject)
			}
		}
	}
	all := idsOf(append(old, fresh...)...)
	if got := read(t, b, bus.Query{From: moment.Add(-time.Hour)}); !slices.Equal(got, all) {
		t.Errorf("from before the upgrade: %d events, want all", len(got))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, open(t, dir), bus.Query{Subject: "s1"}); len(got) != 11 {
		t.Errorf("opened again: %d events of s1, want 11", len(got))
	}
}
