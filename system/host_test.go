package system_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trama/platform/datadir"
	"trama/platform/enginetest"
	"trama/system"
	"trama/tests/harness"
)

func TestWholeSystemInOneProcessLivesTwice(t *testing.T) {
	dir := folder(t, t.TempDir(), datadir.Exclusive)
	var notes []string
	o := system.Options{Config: with(t, nil), Dir: dir, Note: func(format string, _ ...any) { notes = append(notes, format) }}
	ended := watchLeaks(t, dir)
	var first harness.Payment
	courses := 0
	for life := range 2 {
		h := start(t, makeHost(t, o, "all"))
		s := school(h, dir)
		s.Must(t, 200, nil, "GET", "/readyz", nil)
		if page := s.Must(t, 200, nil, "GET", "/", nil); !strings.Contains(string(page.Body), s.Courses(t)[0].Titulo) {
			t.Error("the home page shows no course")
		}
		if !h.BusAnswers(t.Context()) {
			t.Error("the bus does not answer")
		}
		if life == 0 {
			first, courses = enroll(t, s, 1), len(s.Courses(t))
			if len(notes) != 2 {
				t.Errorf("told at the first start: %q", notes)
			}
		} else {
			s.Must(t, 200, nil, "GET", "/academico/alunos/"+first.Matricula.AlunoID, nil)
			enroll(t, s, 2)
			if n := len(s.Courses(t)); n != courses || len(notes) != 2 {
				t.Errorf("%d courses, then %d; told: %q", courses, n, notes)
			}
		}
		stop(t, h)
		stop(t, h)
		if c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://")); err == nil {
			_ = c.Close()
			t.Error("the door is still open")
		}
		if err := h.Start(t.Context()); err == nil {
			t.Error("a stopped host started again")
		}
	}
	http.DefaultClient.CloseIdleConnections()
	ended()
}

func TestHostStartsOnce(t *testing.T) {
	dir := folder(t, t.TempDir(), datadir.Exclusive)
	h := start(t, makeHost(t, system.Options{Config: with(t, nil), Dir: dir}, "academics"))
	if err := h.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "once") {
		t.Errorf("a second start: %v", err)
	}
	never := makeHost(t, system.Options{Config: with(t, nil), Dir: dir}, "academics")
	stop(t, never) // before any start
	if err := never.Start(t.Context()); err == nil {
		t.Error("started after its stop")
	}
}

// taken gives an address on which somebody else listens.
func taken(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestFailedStartStopsEverythingItStarted(t *testing.T) {
	noDatabase := []byte(strings.Repeat("this is no database. ", 500))
	tests := []struct {
		name    string
		set     map[string]string
		garbage string // file that holds just that
		shared  bool
		want    []string
	}{
		{name: "port in use", set: map[string]string{"listen": taken(t)}, want: []string{"gateway", "address already in use"}},
		{name: "internal port in use", set: map[string]string{"internal.listen": taken(t)}, shared: true, want: []string{"internal server", "address already in use"}},
		{name: "broken store URL", set: map[string]string{"stores.payments": "postgres://u:hunter2@127.0.0.1/x?sslmode=bogus"}, want: []string{"store of payments", "sslmode"}},
		{name: "corrupt SQLite file", garbage: "identity.db", want: []string{"store of identity", "identity.db", "not a database", "restore"}},
		{name: "corrupt bus", garbage: "bus/bus.db", want: []string{"bus", "not a database", "restore"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t, t.TempDir(), datadir.Exclusive)
			bad := dir.Path(tt.garbage)
			if tt.garbage != "" {
				if err := errors.Join(os.MkdirAll(filepath.Dir(bad), 0o700), os.WriteFile(bad, noDatabase, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			ended := watchLeaks(t, dir)
			h := makeHost(t, system.Options{Config: with(t, tt.set), Dir: dir, Shared: tt.shared}, "all")
			err := h.Start(t.Context())
			if err == nil {
				t.Fatal("it started")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if text := err.Error(); strings.Contains(text, "\n") || strings.Contains(text, "hunter2") || strings.Contains(text, "try again") {
				t.Errorf("not one line for an operator: %q", text)
			}
			ended()
			stop(t, h)
			if tt.garbage != "" {
				if err := os.Remove(bad); err != nil {
					t.Fatal(err)
				}
			}
			again := start(t, makeHost(t, system.Options{Config: with(t, nil), Dir: dir}, "all"))
			school(again, dir).Must(t, 200, nil, "GET", "/readyz", nil)
			stop(t, again)
		})
	}
}

func TestDatabaseThatRefusesIsNotWaitedFor(t *testing.T) {
	admin := enginetest.PostgresAdmin(t)
	none := strings.Replace(admin, "/postgres?", "/trama_test_none_"+enginetest.Suffix()+"?", 1)
	dir := folder(t, t.TempDir(), datadir.Exclusive)
	ended := watchLeaks(t, dir)
	h := makeHost(t, system.Options{Config: with(t, map[string]string{"stores.academics": none}), Dir: dir}, "academics")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := h.Start(ctx)
	if err == nil || !strings.Contains(err.Error(), "does not exist") || !strings.Contains(err.Error(), "trama database prepare") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	ended()
}

// silent gives the address of a server that accepts and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestStopEndsAStartUnderWay(t *testing.T) {
	for name, address := range map[string]string{"nobody there": "127.0.0.1:1", "no answer": silent(t)} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, t.TempDir(), datadir.Exclusive)
			ended := watchLeaks(t, dir)
			waiting := make(chan struct{}, 1)
			o := system.Options{Dir: dir, Config: with(t, map[string]string{"stores.payments": "postgres://u@" + address + "/x?sslmode=disable&connect_timeout=1"}),
				Note: func(format string, _ ...any) {
					if strings.HasPrefix(format, "waiting for the database") {
						waiting <- struct{}{}
					}
				}}
			h := makeHost(t, o, "all")
			result := make(chan error, 1)
			go func() { result <- h.Start(context.Background()) }()
			select {
			case <-waiting:
			case err := <-result:
				t.Fatalf("the start ended with %v", err)
			case <-time.After(patience):
				t.Fatal("it does not say that it waits")
			}
			stop(t, h)
			select {
			case err := <-result:
				if err == nil || !strings.Contains(err.Error(), "stopped before it was ready") {
					t.Errorf("the start ended with %v", err)
				}
			case <-time.After(patience):
				t.Fatal("the start goes on")
			}
			ended()
		})
	}
}

func TestCancelledStartStops(t *testing.T) {
	dir := folder(t, t.TempDir(), datadir.Exclusive)
	ended := watchLeaks(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := makeHost(t, system.Options{Config: with(t, nil), Dir: dir}, "all")
	if err := h.Start(ctx); err == nil {
		t.Error("it started")
	}
	ended()
}

// TestStopNamesWhatHung: a client that never finishes its request holds up the
// gateway, and only the gateway is named; everything else ends all the same.
func TestStopNamesWhatHung(t *testing.T) {
	dir := folder(t, t.TempDir(), datadir.Exclusive)
	h := start(t, makeHost(t, system.Options{Config: with(t, nil), Dir: dir}, "all"))
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.PublicURL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	head := "POST /v1/marketing/leads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
	if _, err := conn.Write([]byte(head)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 64)); err != nil { // 100 Continue: the handler reads the body
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = h.Stop(ctx)
	if err == nil || err.Error() != "gateway did not end in time" || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v; want the gateway named, alone", err)
	}
	if files := openFiles(t, dir.Path()); len(files) > 0 {
		t.Errorf("still open: %v", files)
	}
}

func TestBrokerThatIsDownStopsNoStart(t *testing.T) {
	dir := folder(t, t.TempDir(), datadir.Exclusive)
	ended := watchLeaks(t, dir)
	log := discard()
	h := start(t, makeHost(t, system.Options{Config: with(t, map[string]string{"bus.url": "amqp://127.0.0.1:1/"}), Dir: dir, Log: log}, "all"))
	if h.BusAnswers(t.Context()) {
		t.Error("a bus that is not there answers")
	}
	s := school(h, dir)
	s.Must(t, 503, nil, "GET", "/readyz", nil)
	body := map[string]any{"nome": "Ana Souza", "email": "ana@example.com", "consentimento": true}
	s.Must(t, 201, nil, "POST", "/marketing/leads", body)
	stop(t, h)
	ended()
}

// TestConfiguredCallbackAddressIsUsed: the simulated acquirer reports where it is
// told to, not where the host would have put it.
func TestConfiguredCallbackAddressIsUsed(t *testing.T) {
	called := make(chan string, 16)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called <- r.Method + " " + r.URL.Path
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(elsewhere.Close)
	dir := folder(t, t.TempDir(), datadir.Exclusive)
	h := start(t, makeHost(t, system.Options{Config: with(t, map[string]string{"acquirersim.callbackUrl": elsewhere.URL + "/aqui"}), Dir: dir}, "all"))
	s := school(h, dir)
	p := harness.NewPerson("callback", 1)
	body := map[string]any{"aluno": map[string]any{"nome": p.Nome, "email": p.Email, "cpf": p.CPF}, "cursoId": s.Courses(t)[0].ID, "metodo": "pix"}
	location := s.Must(t, 202, nil, "POST", "/financeiro/pagamento", body).Header.Get("Location")
	waiting := s.AwaitPayment(t, location, patience, func(p harness.Payment) bool { return p.Situacao == "aguardando_pagamento" })
	s.Must(t, 200, nil, "POST", "/v1/simulador/cobrancas/"+waiting.ID+"/pagar", nil)
	select {
	case got := <-called:
		if got != "POST /aqui" {
			t.Errorf("called with %s", got)
		}
	case <-time.After(patience):
		t.Error("nobody was called")
	}
}
