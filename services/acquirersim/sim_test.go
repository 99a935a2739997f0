package acquirersim_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/rand"

	"trama/contracts/rpc/acquirer/v1/acquirerv1connect"
	"trama/platform/auth"
	"trama/platform/call"
	"trama/platform/clock"
	"trama/platform/config"
	"trama/platform/fault"
	"trama/platform/httpx"
	"trama/platform/id"
	"trama/platform/module"
	"trama/platform/store/migration"
	"trama/platform/store/sqlitestore"
	"trama/services/acquirersim"
)

const operatorToken = "operator-token-of-the-test"

// sim is one running simulator with its public doors.
type sim struct {
	dir    string
	clock  *clock.Shifted
	logs   *buffer
	client acquirerv1connect.AcquirerServiceClient
	rest   http.Handler
	loop   module.Loop
}

// defaults is the configuration that nobody changed, without waiting.
func defaults(t *testing.T) acquirersim.Config {
	t.Helper()
	var cfg acquirersim.Config
	if _, problems := config.Load(&cfg, config.Sources{}); len(problems) > 0 {
		t.Fatalf("defaults: %+v", problems)
	}
	cfg.Delay, cfg.Hang = 0, 0
	return cfg
}

func start(t *testing.T, cfg acquirersim.Config) *sim {
	t.Helper()
	return startIn(t, t.TempDir(), cfg)
}

// startIn starts a simulator over what another one left in dir.
func startIn(t *testing.T, dir string, cfg acquirersim.Config) *sim {
	t.Helper()
	ctx := t.Context()
	db, err := sqlitestore.Open(ctx, sqlitestore.Options{Path: filepath.Join(dir, "sim.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := migration.Run(ctx, db, "acquirersim", acquirersim.Migrations()); err != nil {
		t.Fatal(err)
	}
	s := &sim{dir: dir, clock: &clock.Shifted{}, logs: &buffer{}}
	svc, err := acquirersim.New(cfg, module.Deps{
		Clock: s.clock, IDs: id.New(s.clock, rand.Reader), Store: db,
		Log: slog.New(slog.NewJSONHandler(s.logs, nil)),
		Secret: func(purpose string) []byte {
			sum := sha256.Sum256([]byte(purpose))
			return sum[:]
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := svc.Modules[0]
	network := call.New(nil)
	t.Cleanup(network.Close)
	network.Serve(svc.Name, m.RPC)
	s.client = acquirerv1connect.NewAcquirerServiceClient(network.Client(svc.Name))
	s.rest = httpx.Service(slog.New(slog.DiscardHandler), m.REST,
		httpx.WithMiddleware(auth.NewChecker(operatorToken, true).Middleware))
	s.loop = m.Loops[0]
	return s
}

// run runs the simulator's loop until the test ends.
func (s *sim) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.loop.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("loop: %v", err)
		}
	})
}

// get and post speak to the REST routes as an operator.
func (s *sim) ask(t *testing.T, method, path string, into any) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	r.Header.Set("Authorization", "Bearer "+operatorToken)
	w := httptest.NewRecorder()
	s.rest.ServeHTTP(w, r)
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
		}
	}
	return w.Code
}

// seconds gives a context with the deadline that calls need.
func seconds(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func kind(err error) string {
	if err == nil {
		return "nil"
	}
	f := fault.As(err)
	return f.Kind.String() + "/" + f.Code
}

// onDisk says whether any file below dir holds text.
func onDisk(t *testing.T, dir, text string) string {
	t.Helper()
	found := ""
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), text) {
			found = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// buffer is a bytes.Buffer that may be written to from anywhere.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
