package payments_test

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"trama/platform/call"
	"trama/platform/crash"
	"trama/platform/store/sqlitestore"
)

// Environment of a child process of this test.
const (
	childDir      = "PAYMENTS_CHILD_DIR"
	childBank     = "PAYMENTS_CHILD_BANK"
	childScenario = "PAYMENTS_CHILD_SCENARIO"
)

// address is where the acquirer and academics of the parent listen.
type address string

func (a address) Resolve(context.Context, string) ([]string, error) { return []string{string(a)}, nil }

// TestChild is the process that is killed; it goes on where the store says.
func TestChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("runs as a child of TestKill only")
	}
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(dir, "payments.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	cfg := defaults(t)
	s := newSchool(t, dir)
	s.resolver = address(os.Getenv(childBank))
	s.over(db, cfg, crash.FromEnv())
	wish := ana()
	if os.Getenv(childScenario) == "pix" {
		wish = ana(by("pix"))
	}
	id := s.pay(wish, "Idempotency-Key: the-one") // the payer repeats what got no answer
	s.work()
	if os.Getenv(childScenario) == "pix" {
		s.clock.Jump(31*time.Minute + time.Second)
		s.expire()
		s.is(id, "recusado")
		s.work()
		return
	}
	if a := s.get(id); a.at("situacao") == "aprovado" {
		if a := s.do("POST", payments1+"/"+id+"/estorno", `{}`, asOperator, "Idempotency-Key: refund"); a.code != 202 {
			t.Fatalf("refund: %d %s", a.code, a.body)
		}
	}
	s.work()
	if a := s.get(id); a.at("situacao") != "estornado" {
		t.Fatalf("%s", a.body)
	}
}

// A process killed at any named point goes on after a restart: one payment, one
// charge, one refund, every event once.
func TestKill(t *testing.T) {
	for point, scenario := range map[string]string{
		"payments.accepted": "card", "payments.analysed": "card", "payments.charged": "card", "payments.settled": "card",
		"payments.refunded": "card", "payments.expiry-asked": "pix",
	} {
		t.Run(point, func(t *testing.T) {
			s := newSchool(t, t.TempDir())
			network := call.New(nil)
			t.Cleanup(network.Close)
			s.neighbours(network)
			server := httptest.NewServer(network.Handler())
			t.Cleanup(server.Close)
			armed := filepath.Join(s.dir, "crash")
			run := func() (string, error) {
				cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.v")
				cmd.Env = append(os.Environ(), childDir+"="+s.dir, childBank+"="+server.URL, childScenario+"="+scenario, crash.EnvVar+"="+armed)
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				err := cmd.Run()
				return out.String(), err
			}
			var exit *exec.ExitError
			if err := os.WriteFile(armed, []byte(point), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := run()
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the child was not killed at %s: %v\n%s", point, err, out)
			}
			if out, err := run(); err != nil {
				t.Fatalf("after the restart: %v\n%s", err, out)
			}
			s.afterKill(scenario)
		})
	}
}

// afterKill looks at what the killed process and its successor have left.
func (s *school) afterKill(scenario string) {
	t := s.t
	db, err := sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(s.dir, "payments.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s.over(db, defaults(t), nil)
	if n := s.count(); n != 1 {
		t.Errorf("%d payments", n)
	}
	list := s.do("GET", payments1, "", asOperator)
	id := idsOf(list)[0]
	want := map[string]string{"card": "recebido em_analise aprovado aprovado estornado", "pix": "recebido em_analise aguardando_pagamento recusado"}
	if a := s.get(id); a.steps() != want[scenario] {
		t.Errorf("%s", a.body)
	}
	if len(s.bank.charges) != 1 || s.bank.charges[id] == nil {
		t.Errorf("charges: %v", s.bank.charges)
	}
	if charges, _ := s.bank.kept(); charges != 0 {
		t.Errorf("the bank keeps %d charges", charges)
	}
	var last int
	if err := db.QueryRow(t.Context(), `SELECT last FROM outbox_subject WHERE subject = $1`, id).Scan(&last); err != nil {
		t.Fatal(err)
	}
	if events := map[string]int{"card": 4, "pix": 3}; last != events[scenario] {
		t.Errorf("%d events were ever published, want %d", last, events[scenario])
	}
	if calls := s.bank.calls(id); strings.Count(calls, "charge") > 1 && !strings.Contains(calls, "find") {
		t.Errorf("charged again without asking: %s", calls)
	}
}
