package notifications_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"trama/contracts/events"
	"trama/platform/bus"
	"trama/platform/crash"
	"trama/platform/module"
	"trama/platform/store"
	"trama/services/notifications"
)

// failing is a store whose next changes fail as those of an engine that is down.
type failing struct {
	store.DB
	left atomic.Int32
}

func (f *failing) Update(ctx context.Context, fn func(store.Tx) error) error {
	if f.left.Add(-1) >= 0 {
		return store.Unavailable(nil)
	}
	return f.DB.Update(ctx, fn)
}

// dirEnv makes TestProcess a process of its own, with its data in that folder.
const dirEnv = "TRAMA_TEST_NOTIFICATIONS_DIR"

// inDir is the service of one process over data that outlive it.
func inDir(t *testing.T, dir string) *service {
	return newService(t, openSQLite(t, dir), func(c *notifications.Config, d *module.Deps) {
		c.MailboxDir = filepath.Join(dir, "correio")
		d.Crash = crash.FromEnv()
	})
}

// TestProcess is not a test but the process that the test below kills: it gets
// one event, always the same, and sends the mail.
func TestProcess(t *testing.T) {
	dir := os.Getenv(dirEnv)
	if dir == "" {
		t.Skip("runs as a process of TestADeathAtAnyPointSendsTheWelcome")
	}
	s := inDir(t, dir)
	data, err := json.Marshal(accountCreated())
	if err != nil {
		t.Fatal(err)
	}
	s.deliver(t, "notifications.boas-vindas", bus.Event{ID: lead, Type: events.TypeContaCriada, Data: data})
	s.start(t)
	s.await(t)
	if err := os.WriteFile(filepath.Join(dir, "passwords"), []byte(strings.Join(s.identity.issued, " ")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestADeathAtAnyPointSendsTheWelcome(t *testing.T) {
	for _, point := range []string{"notifications.queued", "notifications.sent"} {
		t.Run(point, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "crash")
			if err := os.WriteFile(file, []byte(point), 0o600); err != nil {
				t.Fatal(err)
			}
			run := func() (killed bool) {
				c := exec.Command(os.Args[0], "-test.run=^TestProcess$")
				c.Env = append(os.Environ(), dirEnv+"="+dir, crash.EnvVar+"="+file)
				out, err := c.CombinedOutput()
				if err == nil {
					return false
				}
				if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
					t.Fatalf("%v\n%s", err, out)
				}
				return true
			}
			if !run() {
				t.Fatal("the process was not killed")
			}
			if run() {
				t.Fatal("the process was killed twice")
			}
			mails, err := filepath.Glob(filepath.Join(dir, "correio", "*.eml"))
			if err != nil || len(mails) != 1 {
				t.Fatalf("%v %v", mails, err)
			}
			s := inDir(t, dir)
			got := s.list(t)
			if len(got) != 1 || got[0].Situacao != "enviada" {
				t.Fatalf("%+v", got)
			}
			text, _ := s.content(t, got[0].ID)
			last, err := os.ReadFile(filepath.Join(dir, "passwords"))
			if err != nil || len(last) == 0 || !strings.Contains(text, string(last)) {
				t.Errorf("the mail does not carry the last password: %q %v", last, err)
			}
		})
	}
}
