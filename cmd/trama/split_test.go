package main

import (
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"trama/system"
	"trama/tests/harness"
)

// TestServeBesideServe: some modules in one process, the rest in another, found
// through the data folder.
func TestServeBesideServe(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	some := launch(t, append([]string{"serve", "payments.worker", "academics", "--data", data}, quick...)...)
	some.says(`(?m)^trama: ready: payments\.worker, academics\.api, academics\.worker$`)
	rest := launch(t, append([]string{"serve", "edge", "marketing", "identity", "notifications", "acquirersim", "payments.api", "payments.tasks",
		"--listen", "127.0.0.1:0", "--data", data}, quick...)...)
	s := behind(t, rest.says(`(?m)^trama: ready at (http://\S+): gateway\.http, `)[1], data)
	harness.Eventually(t, limit, "the gateway finds everybody", func() bool {
		a, err := s.Do(t.Context(), http.MethodGet, "/readyz", nil)
		return err == nil && a.Status == 200
	})
	paid := enroll(t, s, 1)
	s.Must(t, 200, nil, "GET", "/academico/alunos/"+paid.Matricula.AlunoID, nil)

	status, _, errout := call("up", "--listen", "127.0.0.1:0", "--data", data)
	if status != 1 || !strings.Contains(errout, "is in use by process "+strconv.Itoa(rest.cmd.Process.Pid)) {
		t.Errorf("up beside serve: %d %q", status, errout)
	}
	rest.stops()
	some.stops()
	for _, p := range []*process{some, rest} {
		if errout := p.err.String(); strings.Contains(errout, "ERROR") {
			t.Errorf("errors were logged:\n%s", errout)
		}
	}
}

// TestServeSaysWhereLinksLead: who writes links and cannot know the gateway's
// address says what it takes instead.
func TestServeSaysWhereLinksLead(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := launch(t, append([]string{"serve", "notifications", "--data", data}, quick...)...)
	p.says("links in mails and calls back go to http://127.0.0.1:8080; set publicUrl")
	p.says("ready: notifications.api, notifications.worker")
	p.stops()
}

func TestSplitRestartsWhatDies(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := launch(t, upArgs(data, "--split")...)
	s := p.up(data)
	for _, want := range []string{"trama: starting 9 processes", "trama academics: seeded ", "Trama is ready (9 processes, ", s.Token} {
		if !strings.Contains(p.out.String(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	before := children(t, p.cmd.Process.Pid)
	if len(before) != len(system.Services()) {
		t.Fatalf("children: %v", before)
	}
	course := s.Courses(t)[0].ID
	enroll(t, s, 1)
	for n, victim := range []string{"payments", "academics", "gateway"} {
		if err := syscall.Kill(before[victim], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if victim == "gateway" { // its socket is the supervisor's: nobody is refused
			s.Must(t, 200, nil, "GET", "/livez", nil)
		}
		harness.Eventually(t, limit, victim+" is started again", func() bool {
			pid := children(t, p.cmd.Process.Pid)[victim]
			return pid != 0 && pid != before[victim]
		})
		body := harness.CardPayment(harness.NewPerson("split", 10+n), course, harness.Card(50+n))
		var location string
		harness.Eventually(t, limit, "payments are accepted again", func() bool { // 503 until then: nothing was accepted
			a, err := s.Do(t.Context(), http.MethodPost, "/financeiro/pagamento", body)
			location = a.Header.Get("Location")
			return err == nil && a.Status == 202
		})
		s.AwaitPayment(t, location, limit, harness.Enrolled)
	}
	if log := p.err.String(); !strings.Contains(log, "process ended and is started again") {
		t.Errorf("the log does not tell of it:\n%s", log)
	}
	p.stops()
	for name, pid := range before {
		if alive(pid) {
			t.Errorf("%s outlived the stop", name)
		}
	}
}

func TestNoOrphanOutlivesAKilledSupervisor(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := launch(t, upArgs(data, "--split")...)
	s := p.up(data)
	paid := enroll(t, s, 1)
	orphans := children(t, p.cmd.Process.Pid)
	if len(orphans) != len(system.Services()) {
		t.Fatalf("children: %v", orphans)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, limit, "every child has ended", func() bool {
		for _, pid := range orphans {
			if alive(pid) {
				return false
			}
		}
		return true
	})
	again := launch(t, upArgs(data)...)
	again.up(data).Must(t, 200, nil, "GET", "/academico/alunos/"+paid.Matricula.AlunoID, nil)
	again.stops()
}

// TestSecondCtrlCLeavesAtOnceSplit: the supervisor goes, and its children do not
// finish what holds them up.
func TestSecondCtrlCLeavesAtOnceSplit(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := launch(t, upArgs(data, "--split", "--seed", "none")...)
	s := p.up(data)
	all := children(t, p.cmd.Process.Pid)
	conn := unfinished(t, s.URL)
	defer conn.Close()
	p.signal(syscall.SIGINT)
	p.says("press Ctrl-C again to leave at once")
	p.signal(syscall.SIGINT)
	if status := p.ends(); status != -int(syscall.SIGINT) {
		t.Errorf("status %d", status)
	}
	harness.Eventually(t, limit/4, "every child has ended", func() bool {
		for _, pid := range all {
			if alive(pid) {
				return false
			}
		}
		return true
	})
}
