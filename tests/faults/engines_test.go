package faults

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"trama/platform/enginetest"
	"trama/tests/harness"
)

// onBroker gives the configuration of a system on RabbitMQ behind a proxy.
func onBroker(t *testing.T) (*harness.Proxy, map[string]string) {
	t.Helper()
	broker := enginetest.RabbitMQ(t)
	proxy, through := harness.NewProxy(t, broker)
	prefix := "trama_test_" + enginetest.Suffix()
	harness.DropTopology(t, broker, prefix)
	return proxy, map[string]string{"bus.url": through, "bus.prefix": prefix}
}

func TestBrokerGoneAndBack(t *testing.T) {
	t.Parallel()
	proxy, set := onBroker(t)
	proxy.Cut()
	x := prepare(t, false, set)
	x.Launch()
	harness.Eventually(t, patience, "it serves without its broker and says what is missing", func() bool {
		a, err := x.Do(t.Context(), http.MethodGet, "/readyz", nil)
		return err == nil && a.Status == 503
	})
	x.courses = x.Courses(t)
	for range 3 { // accepted while nobody can be told
		x.client(want{})
	}
	proxy.Restore()
	x.AwaitReady()
	const times = 5
	x.underLoad(times, 6, proxy.Cut, func() { x.client(want{}); proxy.Restore() })
	report(t, faultBroker, "RabbitMQ", fmt.Sprintf("down at start, then cut and given back %d times", times), x.verify())
	x.stop()
}

func TestDatabaseGoneAndBack(t *testing.T) {
	t.Parallel()
	proxy, through := harness.NewProxy(t, enginetest.PostgresDatabase(t))
	x := prepare(t, true, map[string]string{"stores.payments": through})
	proxy.Cut()
	for _, p := range x.parts {
		p.Launch()
	}
	harness.Eventually(t, patience, "the rest of the school works without the database of payments", func() bool {
		a, err := x.Do(t.Context(), http.MethodGet, "/v1/academico/cursos", nil)
		return err == nil && a.Status == 200
	})
	proxy.Restore()
	x.AwaitReady()
	x.courses = x.Courses(t)
	x.client(want{})
	const times = 3
	x.underLoad(times, 6, proxy.Cut, func() { x.saysWhy(t); proxy.Restore() })
	report(t, faultAway, "PostgreSQL: payments", fmt.Sprintf("down at start, then cut and given back %d times, each time a clean 503", times), x.verify())
	x.stop()
}

// saysWhy checks the refusal of a payment while the database is away.
func (x *trial) saysWhy(t *testing.T) {
	p := harness.NewPerson("refused", 1)
	a, err := x.Do(t.Context(), http.MethodPost, "/financeiro/pagamento", harness.CardPayment(p, x.courses[1].ID, harness.Card(2)))
	switch {
	case err != nil:
		t.Error(err)
	case a.Status != 503 || a.Header.Get("Retry-After") == "" || a.Header.Get("Content-Type") != "application/problem+json":
		t.Errorf("the answer is %d with Retry-After %q and is %s", a.Status, a.Header.Get("Retry-After"), a.Header.Get("Content-Type"))
	case strings.Contains(string(a.Body), "127.0.0.1"):
		t.Errorf("the answer names a host: %s", a.Body)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	x := prepareAt(t, filepath.Join(dir, "data"), false, map[string]string{"log.level": "error"})
	x.begin()
	x.crowd(3, 3)
	const times = 2
	refused := 0
	for n := range times {
		ballast := filepath.Join(dir, "ballast")
		fill(t, ballast)
		refused += x.refuses(n)
		if len(x.payments) > 0 { // what is there can be read
			x.Must(t, 200, nil, "GET", x.promised()[0], nil)
		}
		var clients sync.WaitGroup
		clients.Go(func() { x.crowd(6, 3) }) // they ask again until it is over
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		clients.Wait()
	}
	report(t, faultDisk, "SQLite on a 24 MB tmpfs", fmt.Sprintf("filled and freed %d times", times),
		fmt.Sprintf("%d payments refused with a clean 503; without a restart then %s", refused, x.verify()))
	x.stop()
}

// refuses pays until the full disk is felt, and gives how many were refused.
func (x *trial) refuses(round int) int {
	x.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		i := x.next()
		p := harness.NewPerson(fmt.Sprint("full", round), i)
		a, err := x.Do(x.t.Context(), http.MethodPost, "/financeiro/pagamento", harness.CardPayment(p, x.courses[2].ID, harness.Card(i)))
		switch {
		case err != nil:
			x.t.Fatal(err)
		case a.Status == 503:
			if got := a.Header.Get("Content-Type"); got != "application/problem+json" || a.Header.Get("Retry-After") == "" {
				x.t.Errorf("the refusal is %s with Retry-After %q", got, a.Header.Get("Retry-After"))
			}
			return 1
		case a.Status != 202:
			x.t.Fatalf("on a full disk: %d %s", a.Status, a.Body)
		}
		x.mu.Lock()
		x.payments[a.Header.Get("Location")] = promise{p, false} // accepted is accepted
		x.mu.Unlock()
	}
	x.t.Fatal("the disk never was full")
	return 0
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
