// Package repository guards the shape of the tree: who may import whom, that
// packages say what they own, and that files stay readable. Each rule has its
// reason beside it; an exception is listed with one too.
package repository

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"sync"
	"testing"
)

type pkg struct {
	ImportPath string
	Dir        string
	Doc        string
	Imports    []string
	GoFiles    []string
}

var list = sync.OnceValues(func() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Imports,GoFiles", "trama/...")
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := list()
	if err != nil || len(all) < 20 {
		t.Fatalf("go list: %d packages, %v", len(all), err)
	}
	return all
}

// under says whether an import path lies in one of the folders.
func under(importPath string, folders ...string) bool {
	for _, f := range folders {
		if importPath == "trama/"+f || strings.HasPrefix(importPath, "trama/"+f+"/") {
			return true
		}
	}
	return false
}

// drivers are the modules that speak to an engine; each has its rooms.
var drivers = map[string][]string{
	"github.com/jackc/pgx":                  {"platform/store/pgstore", "platform/store/migration", "platform/enginetest", "platform/bus/pgbus"},
	"modernc.org/sqlite":                    {"platform/store/sqlitestore", "platform/store/migration", "platform/bus/sqlitebus"},
	"github.com/prometheus":                 {"platform/telemetry"},
	"go.opentelemetry.io/proto":             {"platform/telemetry"},
	"github.com/nats-io":                    {"platform/bus/natsbus"},
	"github.com/adhocore/gronx":             {"platform/schedule"},
	"github.com/twmb/franz-go":              {"platform/bus/kafkabus"},
	"github.com/rabbitmq/amqp091-go":        {"platform/bus/amqpbus", "platform/enginetest"},
	"go.mongodb.org/mongo-driver":           {"platform/store/mongostore", "platform/parking/mongoparking", "platform/schedule/mongoschedule", "services/marketing/internal/store/mongodoc", "services/marketing"},
	"github.com/pressly/goose":              {"platform/store/migration"},
	"github.com/wneessen/go-mail":           {"services/notifications/internal/mail"},
	"github.com/alecthomas/kong":            {"cmd/trama"},
	"golang.org/x/crypto/argon2":            {"services/identity/internal"},
	"go.yaml.in/yaml":                       {"platform/config", "contracts", "tools"},
	"go.opentelemetry.io/otel":              {"platform/telemetry", "platform/httpx", "edge/gateway", "contracts/rest"},
	"connectrpc.com/connect/v2/connecthttp": {"platform/call"},
}

func TestDriversStayBehindTheirAdapters(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			for driver, rooms := range drivers {
				if strings.HasPrefix(imp, driver) && !under(p.ImportPath, rooms...) {
					t.Errorf("%s imports %s; only %v may, so that an engine can be exchanged in one place", p.ImportPath, imp, rooms)
				}
			}
		}
	}
}

func TestWhoMayImportWhom(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, "trama/") {
				continue
			}
			if reason := forbidden(p.ImportPath, imp); reason != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, reason)
			}
		}
	}
}

func forbidden(from, to string) string {
	service := func(p string) string { return strings.SplitN(strings.TrimPrefix(p, "trama/services/"), "/", 2)[0] }
	switch {
	case under(from, "services") && under(to, "services"):
		if service(from) != service(to) {
			return "services meet over events and calls only; that is what lets them be split"
		}
	case under(from, "services"):
		if !under(to, "platform", "contracts") {
			return "a service stands on platform and contracts alone"
		}
	case under(from, "contracts"):
		if !under(to, "contracts") {
			return "contracts are leaves: anybody may depend on them"
		}
	case under(from, "platform"):
		if !under(to, "platform") {
			return "the platform knows no service and nothing above it"
		}
	case under(from, "edge", "functions"):
		if !under(to, "edge", "functions", "platform", "contracts") {
			return "the edge is usable in front of anybody's services"
		}
	case under(from, "clients"):
		if !under(to, "clients", "platform", "contracts") {
			return "clients speak to the public API only"
		}
	}
	if under(to, "system", "cmd", "tests", "platform/enginetest") && !under(from, "system", "cmd", "tests", "platform/enginetest") && !strings.HasSuffix(from, "test") {
		return "nothing but the composition root and tests may know everything"
	}
	return ""
}

// domains are the packages of pure rules; they do no I/O, so that each of their
// tests is a table.
func TestDomainsDoNoIO(t *testing.T) {
	io := []string{"os", "net", "net/http", "database/sql", "log", "log/slog", "os/exec", "io/fs", "bufio"}
	found := 0
	for _, p := range packages(t) {
		if !isDomain(p.ImportPath) {
			continue
		}
		found++
		for _, imp := range p.Imports {
			for _, bad := range io {
				if imp == bad {
					t.Errorf("%s imports %s; a domain package does no I/O", p.ImportPath, imp)
				}
			}
			if strings.HasPrefix(imp, "trama/") && !under(imp, "platform/fault", "platform/id", "platform/clock", "platform/money", "platform/rule") && !isDomain(imp) {
				t.Errorf("%s imports %s; a domain knows rules, not machinery", p.ImportPath, imp)
			}
		}
	}
	if found < 4 {
		t.Errorf("only %d domain packages found: has the layout changed?", found)
	}
}

// isDomain says whether a package below services/X/internal holds a domain:
// every one that is not a room with a technical name.
func isDomain(importPath string) bool {
	_, rest, ok := strings.Cut(importPath, "/internal/")
	if !ok || !under(importPath, "services") {
		return false
	}
	first := strings.SplitN(rest, "/", 2)[0]
	return domainRooms[path.Base(first)]
}

var domainRooms = map[string]bool{
	"payment": true, "fraud": true, "card": true, "course": true, "student": true, "enrolment": true, "account": true, "lead": true, "message": true, "charge": true,
}
