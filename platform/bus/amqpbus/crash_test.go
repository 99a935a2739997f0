package amqpbus_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"trama/platform/bus"
	"trama/platform/bus/amqpbus"
	"trama/platform/bus/bustest"
	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/id"
)

// childEnv makes the test binary a process of the bus: "url prefix".
const childEnv = "TRAMA_TEST_AMQP_CHILD"

const crashing = "teste.morte"

// A process dies with the confirm in hand, and another when it has sent an
// acknowledgement: the event is there, and is handled at least once.
func TestCrashPoints(t *testing.T) {
	if task := os.Getenv(childEnv); task != "" {
		child(t, task)
		return
	}
	p := newPlace(t)
	b := p.open(nil)
	r := bustest.NewRecorder()
	sub := bus.Subscription{Name: crashing, Types: []string{bustest.TypeA}, Handler: r.Handle(nil)}
	if err := b.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	for _, point := range []string{"bus.published", "bus.acked"} {
		armed := filepath.Join(t.TempDir(), "armed")
		if err := os.WriteFile(armed, []byte(point), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), bustest.Patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestCrashPoints$")
		cmd.Env = append(os.Environ(), childEnv+"="+p.url+" "+p.prefix, crash.EnvVar+"="+armed)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if ctx.Err() != nil || !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%s: ended with %v: %s", point, err, out)
		}
	}
	if got, _ := read(t, b, bus.Query{}); len(got) != 2 {
		t.Errorf("the log has %v, want two events", got)
	}
	subscribe(t, b, sub)
	last := event(bustest.TypeA, "z", 1) // after those that may come again
	publish(t, b, last)
	bustest.Eventually(t, "the rest is handled", func() bool { return r.Handled(last.ID) })
	bustest.Eventually(t, "nothing is left", func() bool { n, err := b.Backlog(t.Context(), crashing); return err == nil && n == 0 })
}

// child publishes an event, handles what there is, and waits to die.
func child(t *testing.T, task string) {
	url, prefix, _ := strings.Cut(task, " ")
	b, err := amqpbus.Open(t.Context(), amqpbus.Options{URL: url, Prefix: prefix, Crash: crash.FromEnv(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	sub := bus.Subscription{Name: crashing, Types: []string{bustest.TypeA}, Parking: bustest.NewLot(t),
		Handler: func(context.Context, bus.Event) error { return nil }}
	if err := b.Declare(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), bustest.NewEvent(id.New(clock.System{}, rand.Reader), bustest.TypeA, "s", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Subscribe(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	<-t.Context().Done()
}
