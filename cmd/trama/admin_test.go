package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"trama/platform/enginetest"
	"trama/tests/harness"
)

func TestMigrate(t *testing.T) {
	dir := elsewhere(t)
	status, out, errout := call("migrate", "--status")
	if status != 1 || errout != "trama: steps are pending; trama migrate takes them\n" || strings.Count(out, "\n") != 6 ||
		!regexp.MustCompile(`(?m)^payments +0 taken, [1-9]\d* pending$`).MatchString(out) {
		t.Errorf("before: %d %q\n%s", status, errout, out)
	}
	if left := tree(t, dir); len(left) != 1 {
		t.Errorf("asking made %v", left)
	}
	status, out, errout = call("migrate", "payments")
	if status != 0 || errout != "" || !regexp.MustCompile(`^payments +[1-9]\d* steps taken\n$`).MatchString(out) {
		t.Errorf("one service: %d %q\n%s", status, errout, out)
	}
	if _, err := os.Stat("trama-data/academics.db"); err == nil {
		t.Error("a store was made that nobody asked for")
	}
	before := tree(t, dir)
	status, out, _ = call("migrate", "--status")
	if status != 1 || !regexp.MustCompile(`(?m)^payments +[1-9]\d* taken, 0 pending$`).MatchString(out) || !regexp.MustCompile(`(?m)^academics +0 taken, [1-9]`).MatchString(out) {
		t.Errorf("half way: %d\n%s", status, out)
	}
	for _, path := range tree(t, dir) {
		if strings.HasSuffix(path, "academics.db") {
			t.Errorf("asking made %s beside %v", path, before)
		}
	}
	if status, out, errout = call("migrate"); status != 0 || !regexp.MustCompile(`(?m)^payments +0 steps taken$`).MatchString(out) {
		t.Errorf("all: %d %q\n%s", status, errout, out)
	}
	if status, out, errout = call("migrate", "--status"); status != 0 || errout != "" || strings.Count(out, " 0 pending") != 6 {
		t.Errorf("after: %d %q\n%s", status, errout, out)
	}
	if status, out, _ = call("migrate", "marketing", "--status", "-s", "stores.marketing=mongodb://127.0.0.1:1/x"); status != 0 || out != "marketing      documents: nothing to migrate\n" {
		t.Errorf("documents: %d %q", status, out)
	}
}

// TestMigratedFolderNeedsNoStepsAtStart: trama migrate does what a start would do.
func TestMigratedFolderNeedsNoStepsAtStart(t *testing.T) {
	data := t.TempDir()
	if status, _, errout := call("migrate", "--data", data); status != 0 {
		t.Fatal(errout)
	}
	p := launch(t, upArgs(data)...)
	p.up(data)
	if said := p.out.String(); strings.Contains(said, "tables") {
		t.Errorf("it migrates again:\n%s", said)
	}
	p.stops()
}

// TestDatabasePrepare: roles and schemas in one shared database, usable at once,
// closed to each other; saying it twice is harmless.
func TestDatabasePrepare(t *testing.T) {
	elsewhere(t)
	shared := enginetest.PostgresDatabase(t)
	suffix := enginetest.Suffix()
	var settings []string
	roles := map[string]string{}
	for _, service := range []string{"payments", "academics"} {
		role := "trama_" + service + "_" + suffix
		roles[service] = harness.RoleURL(t, shared, role, service)
		settings = append(settings, "-s", "stores."+service+"="+roles[service])
		t.Cleanup(func() {
			enginetest.PostgresExec(t, shared, "DROP OWNED BY "+role+" CASCADE")
			enginetest.PostgresExec(t, shared, "DROP ROLE "+role)
		})
	}
	for range 2 {
		status, out, errout := call(append([]string{"database", "prepare", "--admin", shared}, settings...)...)
		lines := regexp.MustCompile(`(?m)^ready: schema (payments|academics) of database trama_test_\w+ for role trama_\w+$`).FindAllString(out, -1)
		if status != 0 || errout != "" || len(lines) != 2 || strings.Count(out, "\n") != 2 {
			t.Fatalf("%d %q\n%s", status, errout, out)
		}
	}
	migrate := append([]string{"migrate", "payments", "academics"}, settings...)
	if status, out, errout := call(migrate...); status != 0 || strings.Count(out, " 0 steps") != 0 {
		t.Fatalf("migrate: %d %q\n%s", status, errout, out)
	}
	if status, out, errout := call(append(migrate, "--status")...); status != 0 || strings.Count(out, " 0 pending") != 2 {
		t.Errorf("status: %d %q\n%s", status, errout, out)
	}
	if err := enginetest.PostgresTry(t, roles["payments"], "SELECT 1 FROM payments.goose_payments"); err != nil {
		t.Errorf("payments cannot read its own: %v", err)
	}
	if err := enginetest.PostgresTry(t, roles["payments"], "SELECT 1 FROM academics.goose_academics"); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("payments reads academics: %v", err)
	}
}
