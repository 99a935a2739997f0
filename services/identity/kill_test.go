package identity_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"trama/contracts/events"
	"trama/platform/crash"
)

// The victim is this test binary, run again with what it is to do.
const (
	victimStore  = "IDENTITY_VICTIM_STORE"
	victimScript = "IDENTITY_VICTIM_SCRIPT"
)

type script struct {
	Student events.AlunoCriado
	EventID string
}

// play opens the account and issues a first password.
func (o *office) play(t *testing.T, what script) string {
	t.Helper()
	if err := o.deliver(t.Context(), what.Student, what.EventID); err != nil {
		t.Fatal(err)
	}
	got, err := o.issue(t, o.created(t)[0].ContaID)
	if err != nil {
		t.Fatal(err)
	}
	return got.GetPassword()
}

// TestVictim is no test of its own: it plays the script until it is killed.
func TestVictim(t *testing.T) {
	path := os.Getenv(victimStore)
	if path == "" {
		t.Skip("run by TestKilledAtAnyPoint")
	}
	var what script
	if err := json.Unmarshal([]byte(os.Getenv(victimScript)), &what); err != nil {
		t.Fatal(err)
	}
	newOffice(t, openFile(t, path), crash.FromEnv()).play(t, what)
}

// Killed anywhere, and asked again afterwards, there is one account with one
// event, and the password given out last works.
func TestKilledAtAnyPoint(t *testing.T) {
	for point, left := range map[string]int{"identity.linking": 0, "identity.account": 1, "identity.hashed": 1, "identity.issued": 1} {
		t.Run(point, func(t *testing.T) {
			path, armed := filepath.Join(t.TempDir(), "identity.db"), filepath.Join(t.TempDir(), "armed")
			if err := os.WriteFile(armed, []byte(point), 0o600); err != nil {
				t.Fatal(err)
			}
			before := newOffice(t, openFile(t, filepath.Join(t.TempDir(), "ids.db")), nil) // only for ids
			what := script{Student: before.student("ana@exemplo.com.br"), EventID: before.ids.New()}
			told, err := json.Marshal(what)
			if err != nil {
				t.Fatal(err)
			}
			victim := exec.CommandContext(wait(t), os.Args[0], "-test.run=^TestVictim$")
			victim.Env = append(os.Environ(), victimStore+"="+path, victimScript+"="+string(told), crash.EnvVar+"="+armed)
			out, err := victim.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the victim was not killed at the point: %v\n%s", err, out)
			}
			o := newOffice(t, openFile(t, path), nil)
			if n := len(o.created(t)); n != left {
				t.Errorf("the killed process left %d events, want %d", n, left)
			}
			secret := o.play(t, what)
			created := o.created(t)
			if len(created) != 1 || o.count(t, "account") != 1 || o.count(t, "account_student") != 1 {
				t.Errorf("%d events, %d accounts", len(created), o.count(t, "account"))
			}
			if !o.accepts(t, created[0].ContaID, secret) {
				t.Error("the password given out last does not work")
			}
			if strings.Contains(string(out), "ana@exemplo.com.br") {
				t.Error("personal data in the victim's output")
			}
		})
	}
}
