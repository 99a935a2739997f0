package faults

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"trama/platform/enginetest"
	"trama/tests/harness"
)

// onBroker gives the configuration of one process on RabbitMQ behind a proxy.
func onBroker(t *testing.T) (*harness.Proxy, map[string]string) {
	t.Helper()
	broker := enginetest.RabbitMQ(t)
	proxy, through := harness.NewProxy(t, broker)
	prefix := "trama_test_" + enginetest.Suffix()
	harness.DropTopology(t, broker, prefix)
	return proxy, map[string]string{"bus.url": through, "bus.prefix": prefix, "acquirersim.delay": "0", "log.level": "warn"}
}

// accepted posts a payment that must be accepted now, whatever is down.
func accepted(t *testing.T, s *harness.System, n int) string {
	t.Helper()
	p := harness.NewPerson(enginetest.Suffix(), n)
	body := harness.CardPayment(p, s.Courses(t)[n%12].ID, harness.Card(n))
	return s.Must(t, 202, nil, "POST", "/financeiro/pagamento", body).Header.Get("Location")
}

func TestBrokerDownAtStartAndDuringLosesNothing(t *testing.T) {
	proxy, set := onBroker(t)
	proxy.Cut()
	s := harness.Prepare(t, harness.Options{Set: set})
	s.Launch()
	harness.Eventually(t, patience, "it serves without its broker and says what is missing", func() bool {
		a, err := s.Do(t.Context(), http.MethodGet, "/readyz", nil)
		return err == nil && a.Status == 503
	})
	var waiting []string
	waiting = append(waiting, accepted(t, s, 1), accepted(t, s, 2))
	proxy.Restore()
	s.AwaitReady()
	for _, location := range waiting {
		s.AwaitPayment(t, location, patience, harness.Enrolled)
	}
	proxy.Cut()
	waiting = []string{accepted(t, s, 3), accepted(t, s, 4)}
	proxy.Restore()
	for _, location := range waiting {
		s.AwaitPayment(t, location, patience, harness.Enrolled)
	}
	s.Stop()
}

func TestDatabaseDownIsSaidAndLosesNothing(t *testing.T) {
	proxy, through := harness.NewProxy(t, enginetest.PostgresDatabase(t))
	set := map[string]string{"stores.payments": through, "acquirersim.delay": "0", "log.level": "warn"}
	s := harness.Prepare(t, harness.Options{Split: true, Set: set})
	proxy.Cut()
	s.Launch()
	harness.Eventually(t, patience, "the rest of the school works without the database of payments", func() bool {
		a, err := s.Do(t.Context(), http.MethodGet, "/v1/academico/cursos", nil)
		return err == nil && a.Status == 200
	})
	proxy.Restore()
	s.AwaitReady()
	before := accepted(t, s, 1)
	proxy.Cut()
	p := harness.NewPerson("down", 2)
	body := harness.CardPayment(p, s.Courses(t)[1].ID, harness.Card(2))
	a := s.Must(t, 503, nil, "POST", "/financeiro/pagamento", body, "Idempotency-Key", "down-2")
	if a.Header.Get("Retry-After") == "" || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("the answer has Retry-After %q and is %s", a.Header.Get("Retry-After"), a.Header.Get("Content-Type"))
	}
	if strings.Contains(string(a.Body), "127.0.0.1") {
		t.Errorf("the answer names a host: %s", a.Body)
	}
	proxy.Restore()
	s.AwaitPayment(t, before, patience, harness.Enrolled)
	var after string
	harness.Eventually(t, patience, "the same key is accepted afterwards", func() bool {
		a, err := s.Do(t.Context(), http.MethodPost, "/financeiro/pagamento", body, "Idempotency-Key", "down-2")
		after = a.Header.Get("Location")
		return err == nil && a.Status == 202
	})
	s.AwaitPayment(t, after, patience, harness.Enrolled)
	s.Stop()
}

func TestFullDiskIsSaidAndHeals(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := harness.Start(t, harness.Options{Data: filepath.Join(dir, "data"), Set: map[string]string{"acquirersim.delay": "0", "log.level": "error"}})
	before := accepted(t, s, 1)
	s.AwaitPayment(t, before, patience, harness.Enrolled)
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	course := s.Courses(t)[2].ID
	refused := 0
	for n := 10; refused == 0 && n < 2000; n++ {
		p := harness.NewPerson("full", n)
		a, err := s.Do(t.Context(), http.MethodPost, "/financeiro/pagamento", harness.CardPayment(p, course, harness.Card(n)))
		switch {
		case err != nil:
			t.Fatal(err)
		case a.Status == 503:
			refused++
		case a.Status != 202:
			t.Fatalf("on a full disk: %d %s", a.Status, a.Body)
		}
	}
	if refused == 0 {
		t.Fatal("the disk never was full")
	}
	s.Must(t, 200, nil, "GET", before, nil)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, patience, "it accepts again without a restart", func() bool {
		p := harness.NewPerson("healed", int(time.Now().UnixNano()%1e6))
		a, err := s.Do(t.Context(), http.MethodPost, "/financeiro/pagamento", harness.CardPayment(p, course, harness.Card(4242)))
		if err != nil || a.Status != 202 {
			return false
		}
		s.AwaitPayment(t, a.Header.Get("Location"), patience, harness.Enrolled)
		return true
	})
	var page struct{ Itens []harness.Payment }
	s.Must(t, 200, &page, "GET", "/v1/financeiro/pagamentos?limite=100", nil, s.Bearer()...)
	for _, p := range page.Itens {
		s.AwaitPayment(t, "/v1/financeiro/pagamentos/"+p.ID, patience, harness.Enrolled)
	}
}

// fill writes until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}

// TestSharedDatabaseKeepsServicesApart runs the school on one PostgreSQL
// database with a schema and role for each service, and tries to look over the fence.
func TestSharedDatabaseKeepsServicesApart(t *testing.T) {
	shared := enginetest.PostgresDatabase(t)
	suffix := enginetest.Suffix()
	set := map[string]string{"acquirersim.delay": "0", "log.level": "warn"}
	for _, service := range []string{"payments", "academics", "notifications", "identity", "acquirersim"} {
		set["stores."+service] = harness.RoleURL(t, shared, "trama_"+service+"_"+suffix, service)
	}
	harness.Prepared(t, shared, set)
	s := harness.Start(t, harness.Options{Set: set})
	location := accepted(t, s, 1)
	s.AwaitPayment(t, location, patience, harness.Enrolled)
	s.Stop()
	err := enginetest.PostgresTry(t, set["stores.academics"], "SELECT count(*) FROM payments.payment")
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("academics reads the payments: %v", err)
	}
	err = enginetest.PostgresTry(t, set["stores.payments"], "CREATE TABLE public.spill (x int)")
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("payments writes outside its schema: %v", err)
	}
}
