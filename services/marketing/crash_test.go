package marketing_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"trama/contracts/events"
	"trama/platform/crash"
	"trama/platform/store/sqlitestore"
)

// dirEnv makes TestProcess a process of its own, with its data in that folder.
const dirEnv = "TRAMA_TEST_MARKETING_DIR"

func inDir(t *testing.T, dir string) *service {
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(dir, "marketing.db")})
	return newService(t, migrated(t, db, err))
}

// TestProcess is not a test but the process that the test below kills: it
// registers a lead, always the same, and gives its reminders of the first day.
func TestProcess(t *testing.T) {
	dir := os.Getenv(dirEnv)
	if dir == "" {
		t.Skip("runs as a process of TestADeathLosesNothingAndRepeatsNothing")
	}
	s := inDir(t, dir)
	if a := s.send("POST", leads, newLead("ana@exemplo.com.br", courseGo)); a.status != http.StatusCreated && a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.text)
	}
	s.clock.Jump(day)
	s.pass(t)
}

func TestADeathLosesNothingAndRepeatsNothing(t *testing.T) {
	for _, point := range []string{"marketing.lead", "marketing.reminded"} {
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
			s := inDir(t, dir)
			want(t, "leads registered", len(s.published(t, events.TypeLeadRegistrado)), 1)
			want(t, "reminders", len(s.reminders(t)), 1)
			want(t, "a repetition", s.send("POST", leads, newLead("ana@exemplo.com.br", courseGo)).status, http.StatusOK)
		})
	}
}
