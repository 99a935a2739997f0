package academics_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"trama/contracts/events"
	"trama/platform/crash"
)

// The victim is this test binary, run again with what it is to do.
const (
	victimStore   = "ACADEMICS_VICTIM_STORE"
	victimPayment = "ACADEMICS_VICTIM_PAYMENT"
)

// script is what a victim does, in order, with fixed event ids.
type script struct {
	Payment  events.PagamentoProcessado
	Approval string // event ids
	Refund   string
}

func (s *school) play(t *testing.T, what script) {
	t.Helper()
	if err := s.deliver(t.Context(), "academics.pagamentos", events.TypePagamentoProcessado, what.Payment, what.Approval); err != nil {
		t.Fatal(err)
	}
	if err := s.deliver(t.Context(), "academics.estornos", events.TypePagamentoEstornado, refundOf(what.Payment), what.Refund); err != nil {
		t.Fatal(err)
	}
}

// TestVictim is no test of its own: it plays the script until it is killed.
func TestVictim(t *testing.T) {
	path := os.Getenv(victimStore)
	if path == "" {
		t.Skip("run by TestKilledAtAnyPoint")
	}
	var what script
	if err := json.Unmarshal([]byte(os.Getenv(victimPayment)), &what); err != nil {
		t.Fatal(err)
	}
	newSchoolWith(t, openFile(t, path), crash.FromEnv()).play(t, what)
}

// Killed anywhere, and given the same events again afterwards, the service ends
// where it would have ended.
func TestKilledAtAnyPoint(t *testing.T) {
	for _, point := range []string{"academics.enrolling", "academics.enrolled", "academics.cancelling", "academics.cancelled"} {
		t.Run(point, func(t *testing.T) {
			path, armed := filepath.Join(t.TempDir(), "academics.db"), filepath.Join(t.TempDir(), "armed")
			if err := os.WriteFile(armed, []byte(point), 0o600); err != nil {
				t.Fatal(err)
			}
			before := newSchool(t, openSQLite(t)) // only for ids
			what := script{Payment: before.payment(cpf(1), "ana@exemplo.com.br", courseID(1)), Approval: before.ids.New(), Refund: before.ids.New()}
			told, err := json.Marshal(what)
			if err != nil {
				t.Fatal(err)
			}
			victim := exec.CommandContext(wait(t), os.Args[0], "-test.run=^TestVictim$")
			victim.Env = append(os.Environ(), victimStore+"="+path, victimPayment+"="+string(told), crash.EnvVar+"="+armed)
			out, err := victim.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the victim was not killed at the point: %v\n%s", err, out)
			}
			s := newSchool(t, openFile(t, path))
			wantBefore := map[string]int{"academics.enrolling": 0, "academics.enrolled": 2, "academics.cancelling": 2, "academics.cancelled": 3}[point]
			if got := types(s.published(t)); len(got) != wantBefore {
				t.Errorf("the killed process left %v, want %d events", got, wantBefore)
			}
			s.play(t, what)
			if got := types(s.published(t)); !slices.Equal(got, []string{"AlunoCriado", "MatriculaConfirmada", "MatriculaCancelada"}) {
				t.Errorf("published %v", got)
			}
			if s.count(t, "student") != 1 || s.count(t, "enrolment WHERE state = 'cancelada'") != 1 || s.count(t, "enrolment") != 1 {
				t.Error("not one student with one cancelled enrolment")
			}
			if strings.Contains(string(out), "ana@exemplo.com.br") {
				t.Error("personal data in the victim's output")
			}
		})
	}
}
