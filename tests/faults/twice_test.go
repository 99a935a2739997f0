package faults

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	_ "modernc.org/sqlite" // the stores and the bus in the data folder

	"trama/platform/enginetest"
	"trama/system"
)

// onFile changes a SQLite file of a system that is stopped.
func onFile(t *testing.T, path string, change func(db *sql.DB) error) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := change(db); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func execute(text string) func(*sql.DB) error {
	return func(db *sql.DB) error { _, err := db.Exec(text); return err }
}

// longAgo is what makes the inbox rows more than eight days older.
const longAgo = `UPDATE inbox SET at = at - 700000000`

func (x *trial) busFile() string { return filepath.Join(x.Data, "bus", "bus.db") }

// rewind makes the embedded bus deliver everything once more.
const rewind = `UPDATE subscription SET cursor = 0`

func TestEveryMessageTwiceAndEightDaysLater(t *testing.T) {
	t.Parallel()
	x := start(t, false, nil)
	x.crowd(30, 6)
	x.verify()
	var replays sync.WaitGroup
	for _, s := range system.Subscriptions() { // while it runs, by the operator's command
		replays.Go(func() {
			if out, err := x.Command(t, "events", "replay", "--to", s.Name, "--from", "1h"); err != nil {
				t.Errorf("replay to %s: %v\n%s", s.Name, err, out)
			}
		})
	}
	replays.Wait()
	events := len(x.Events(t))
	done := fmt.Sprintf("all %d events to all %d subscriptions", events, len(system.Subscriptions()))
	report(t, faultTwice, "SQLite", done+" (`trama events replay`)", x.verify())
	x.stop()
	for _, service := range stores {
		onFile(t, filepath.Join(x.Data, service+".db"), execute(longAgo))
	}
	onFile(t, x.busFile(), execute(rewind))
	x.begin()
	report(t, faultLater, "SQLite", done+", the inbox rows 8 days old", x.verify())
	x.noMore(t, events)
	x.stop()
}

func TestEveryMessageTwiceAndEightDaysLaterOnEngines(t *testing.T) {
	t.Parallel()
	set := engines(t)
	x := start(t, false, set)
	x.crowd(15, 6)
	x.verify()
	all := x.Events(t)
	x.Publish(t, all...)
	report(t, faultTwice, "PostgreSQL + RabbitMQ", fmt.Sprintf("all %d events published again", len(all)), x.verify())
	for _, service := range stores {
		enginetest.PostgresExec(t, set["stores."+service], longAgo)
	}
	x.Publish(t, all...)
	report(t, faultLater, "PostgreSQL + RabbitMQ", fmt.Sprintf("all %d events published again, the inbox rows 8 days old", len(all)), x.verify())
	x.noMore(t, 3*len(all))
	x.stop()
}

// noMore checks that no service has said anything new.
func (x *trial) noMore(t *testing.T, want int) {
	t.Helper()
	if got := len(x.Events(t)); got != want {
		t.Errorf("the log has %d events, want the %d it was given", got, want)
	}
}
