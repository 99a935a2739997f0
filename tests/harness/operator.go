package harness

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"trama/platform/bus"
	"trama/platform/bus/amqpbus"
	"trama/platform/bus/sqlitebus"
	"trama/system"
)

// Command runs one of trama's commands on the system's data folder, as its
// operator would, and gives what it printed.
func (s *System) Command(t testing.TB, args ...string) (out string, err error) {
	t.Helper()
	cmd := exec.Command(Binary(t), append([]string{"--data", s.Data}, args...)...)
	cmd.Env = cleanEnv()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String() + stderr.String(), err
}

// MustCommand is Command that must succeed.
func (s *System) MustCommand(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.Command(t, args...)
	if err != nil {
		t.Fatalf("trama %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Publish puts events on the system's bus as a process of its own, past every
// outbox: what a service would never say.
func (s *System) Publish(t testing.TB, events ...bus.Event) {
	t.Helper()
	b := s.openBus(t)
	defer b.Close()
	if err := b.Declare(t.Context(), system.Subscriptions()...); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

// Events gives everything in the system's event log, in its order.
func (s *System) Events(t testing.TB) (all []bus.Event) {
	t.Helper()
	b := s.openBus(t)
	defer b.Close()
	err := b.Read(t.Context(), bus.Query{}, func(e bus.LogEntry) error {
		all = append(all, e.Event)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (s *System) openBus(t testing.TB) bus.Bus {
	t.Helper()
	var b bus.Bus
	var err error
	if u := s.opt.Set["bus.url"]; u != "" {
		b, err = amqpbus.Open(t.Context(), amqpbus.Options{URL: u, Prefix: s.opt.Set["bus.prefix"]})
	} else {
		b, err = sqlitebus.Open(t.Context(), sqlitebus.Options{Dir: filepath.Join(s.Data, "bus")})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}
