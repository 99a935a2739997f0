package faults

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// step is a moment that has a name for people, and the point in the code.
type step struct{ name, point string }

// steps are the fourteen moments, in the order of the flow. The bus's own points
// depend on the engine.
func steps(broker bool) []step {
	stored, acknowledged := "bus.appended", "bus.cursor"
	if broker {
		stored, acknowledged = "bus.published", "bus.acked"
	}
	return []step{
		{"before transaction", "payments.charged"}, // the acquirer took the money, nothing is written
		{"after row", "outbox.before"},
		{"after outbox row", "outbox.written"},
		{"after commit", "outbox.committed"},
		{"relay read", "relay.read"},
		{"after publish", stored},
		{"after broker ack", "relay.published"},
		{"received", "consumer.received"},
		{"inbox row", "inbox.row"},
		{"handler done", "inbox.effect"},
		{"commit", "inbox.committed"},
		{"ack", acknowledged},
		{"task claimed", "task.claimed"},
		{"timer fired", "timer.fired"},
	}
}

// others are the points beside those, each passed once per run.
var others = []string{
	"marketing.lead", "payments.accepted", "bus.append", "relay.forgotten", "consumer.parked", "consumer.handled",
	"payments.analysed", "acquirersim.charged", "payments.settled", "academics.enrolling", "academics.enrolled",
	"identity.linking", "identity.account", "notifications.queued", "identity.hashed", "identity.issued",
	"notifications.sent", "marketing.reminded", "letter.handled", "payments.refunded", "academics.cancelling",
	"academics.cancelled", "acquirersim.notified", "task.done",
}

// excused are points that this flow does not pass.
var excused = map[string]string{
	"payments.expiry-asked": "a pix or boleto whose time is over; killed in the service's own test",
}

// TestPointsAreThoseOfTheSource keeps the lists true: a point that no line of
// code names would make its kills a lie.
func TestPointsAreThoseOfTheSource(t *testing.T) {
	inSource := sourcePoints(t)
	known := slices.Clone(others)
	for _, s := range append(steps(false), steps(true)...) {
		known = append(known, s.point)
	}
	for _, p := range known {
		if !inSource[p] {
			t.Errorf("no code names the point %s", p)
		}
	}
	for p := range inSource {
		if _, ok := excused[p]; !ok && !slices.Contains(known, p) {
			t.Errorf("the point %s of the source is never killed at", p)
		}
	}
}

func sourcePoints(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, part := range strings.Split(string(text), `rash.At("`)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			found[name] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
