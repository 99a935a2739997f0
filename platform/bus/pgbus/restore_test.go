package pgbus_test

import (
	"os/exec"
	"strings"
	"testing"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/enginetest"
)

// A dump of the schema, restored into a new database: consumers go on where they
// were, and new events stand above every cursor, also when the restore has lost
// the sequence, or the log but not the cursors.
func TestDumpAndRestore(t *testing.T) {
	from := enginetest.PostgresDatabase(t)
	b, r := open(t, from), bustest.NewRecorder()
	sub := bus.Subscription{Name: "teste.copia", Types: []string{bustest.TypeA}}
	sub.Parking, sub.Handler = bustest.NewLot(t), r.Handle(nil)
	c := subscribe(t, b, sub)
	before := series("s", 30)
	publish(t, b, before...)
	r.AwaitDone(t, 30)
	if err := c.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	dump := dumpOf(t, from)
	for name, loss := range map[string]string{
		"whole":                      `SELECT 1`,
		"without the sequence":       `ALTER SEQUENCE trama_bus.event_seq_seq RESTART`,
		"without the log's contents": `TRUNCATE trama_bus.event RESTART IDENTITY`,
	} {
		t.Run(name, func(t *testing.T) {
			to := enginetest.PostgresDatabase(t)
			restore(t, dump, to)
			execute(t, connect(t, to), loss)
			goesOn(t, to, sub, ids(before))
		})
	}
}

// goesOn checks that a consumer of the restored bus gets what is new, and only that.
func goesOn(t *testing.T, url string, sub bus.Subscription, before []string) {
	b, r := open(t, url), bustest.NewRecorder()
	publish(t, b, event(bustest.TypeA, "s", 31)) // before anybody consumes
	sub.Parking, sub.Handler = bustest.NewLot(t), r.Handle(nil)
	subscribe(t, b, sub)
	r.AwaitDone(t, 1)
	hand, watcher := connect(t, url), connect(t, url)
	if n := number(t, watcher, `SELECT min(seq) FROM trama_bus.event WHERE id <> ALL ($1)`, before); n <= len(before) {
		t.Errorf("a new event has position %d, which was used before", n)
	}
	execute(t, hand, `BEGIN`)
	execute(t, hand, byHand, columns(t, event(bustest.TypeA, "outra", 1))...)
	late := make(chan error, 1)
	go func() { late <- b.Publish(t.Context(), event(bustest.TypeA, "s", 32)) }()
	bustest.Eventually(t, "the turn came with the restore", func() bool { return number(t, watcher, waiting) == 1 })
	execute(t, hand, `COMMIT`)
	if err := <-late; err != nil {
		t.Fatal(err)
	}
	r.AwaitDone(t, 3)
	r.CheckOrder(t)
	if n, successes := r.Done(); n != 3 || successes != 3 {
		t.Errorf("%d events handled %d times, want the 3 new ones", n, successes)
	}
}

func ids(events []bus.Event) (out []string) {
	for _, e := range events {
		out = append(out, e.ID)
	}
	return out
}

// dumpOf gives the bus's schema as text, with the tool an operator would use.
func dumpOf(t *testing.T, url string) string {
	t.Helper()
	for _, tool := range []string{"pg_dump", "psql"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TESTED: dump and restore: %v", err)
		}
	}
	cmd := exec.Command("pg_dump", "--schema=trama_bus", url)
	cmd.Stderr = t.Output()
	dump, err := cmd.Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	return string(dump)
}

func restore(t *testing.T, dump, url string) {
	t.Helper()
	cmd := exec.Command("psql", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", url)
	cmd.Stdin = strings.NewReader(dump)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v: %s", err, out)
	}
}
