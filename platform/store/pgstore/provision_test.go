package pgstore_test

import (
	"net/url"
	"strings"
	"testing"

	"trama/platform/enginetest"
	"trama/platform/fault"
	"trama/platform/store"
	"trama/platform/store/pgstore"
)

// serviceURL is what a service's configuration would say.
func serviceURL(t *testing.T, admin string, g pgstore.Target) string {
	t.Helper()
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.Path = url.UserPassword(g.Role, g.Password), "/"+g.Database
	if g.Schema != "" {
		return with(t, u.String(), "search_path", quoted(g.Schema))
	}
	return u.String()
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// targets are two services whose names want to break out of their quotes.
func targets(t *testing.T, admin string, shared bool) (a, b pgstore.Target) {
	t.Helper()
	made := [2]pgstore.Target{}
	for i := range made {
		s := enginetest.Suffix()
		g := pgstore.Target{Role: `trama_test "r'` + s, Password: `p'w"\` + s, Database: `trama_test d"b-` + s}
		if shared {
			g.Schema = `s"c ` + s
			g.Database = made[0].Database
			if i == 0 {
				g.Database = "trama_test_" + s
			}
		}
		made[i] = g
	}
	t.Cleanup(func() {
		for _, g := range made {
			enginetest.PostgresExec(t, admin, `DROP DATABASE IF EXISTS `+quoted(g.Database)+` WITH (FORCE)`)
		}
		for _, g := range made {
			enginetest.PostgresExec(t, admin, `DROP ROLE IF EXISTS `+quoted(g.Role))
		}
	})
	return made[0], made[1]
}

func denied(t *testing.T, what string, err error) {
	t.Helper()
	if !pgstore.IsDenied(err) {
		t.Errorf("%s: got %v, want permission denied (42501)", what, err)
	}
}

func tryExec(t *testing.T, db store.DB, sql string) error {
	t.Helper()
	return db.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(t.Context(), sql)
		return err
	})
}

func TestProvisionSharedDatabase(t *testing.T) {
	admin := enginetest.PostgresAdmin(t)
	a, b := targets(t, admin, true)
	for range 2 { // repeating changes nothing
		if err := pgstore.Provision(t.Context(), admin, []pgstore.Target{a, b}); err != nil {
			t.Fatal(err)
		}
	}
	dbA := open(t, pgstore.Options{URL: serviceURL(t, admin, a)})
	dbB := open(t, pgstore.Options{URL: serviceURL(t, admin, b)})
	// One name, two tables: each in its owner's schema.
	for i, db := range []store.DB{dbA, dbB} {
		execute(t, db, `CREATE TABLE secret (n BIGINT)`)
		execute(t, db, `INSERT INTO secret (n) VALUES ($1)`, i)
		if n := number(t, db, `SELECT n FROM secret`); n != i {
			t.Errorf("read %d, want its own %d", n, i)
		}
	}
	foreign := quoted(a.Schema)
	var n int
	denied(t, "read another's table", dbB.QueryRow(t.Context(), `SELECT n FROM `+foreign+`.secret`).Scan(&n))
	denied(t, "write another's table", tryExec(t, dbB, `UPDATE `+foreign+`.secret SET n = 9`))
	denied(t, "create in another's schema", tryExec(t, dbB, `CREATE TABLE `+foreign+`.mine (n BIGINT)`))
	denied(t, "create in public", tryExec(t, dbB, `CREATE TABLE public.mine (n BIGINT)`))
	denied(t, "create a schema", tryExec(t, dbB, `CREATE SCHEMA mine`))
	denied(t, "become another", tryExec(t, dbB, `SET ROLE `+quoted(a.Role)))
	denied(t, "drop another's schema", tryExec(t, dbB, `DROP SCHEMA `+foreign+` CASCADE`))
	// Without search_path in the URL the role still lands in its schema.
	bare := a
	bare.Schema = ""
	if n := number(t, open(t, pgstore.Options{URL: serviceURL(t, admin, bare)}), `SELECT COUNT(*) FROM secret`); n != 1 {
		t.Errorf("without search_path: %d rows", n)
	}
	// A third service joins later; the others keep what they have.
	if err := pgstore.Provision(t.Context(), admin, []pgstore.Target{a}); err != nil {
		t.Fatal(err)
	}
	if n := number(t, dbB, `SELECT n FROM secret`); n != 1 {
		t.Errorf("B reads %d", n)
	}
}

func TestProvisionOwnDatabases(t *testing.T) {
	admin := enginetest.PostgresAdmin(t)
	a, b := targets(t, admin, false)
	for range 2 {
		if err := pgstore.Provision(t.Context(), admin, []pgstore.Target{a, b}); err != nil {
			t.Fatal(err)
		}
	}
	dbA := open(t, pgstore.Options{URL: serviceURL(t, admin, a)})
	execute(t, dbA, `CREATE TABLE secret (n BIGINT)`)
	intruder := b
	intruder.Database = a.Database
	err := open(t, pgstore.Options{URL: serviceURL(t, admin, intruder)}).Ping(t.Context())
	denied(t, "connect to another's database", err)
	kindIs(t, "connect to another's database", err, fault.Unavailable)
	execute(t, open(t, pgstore.Options{URL: serviceURL(t, admin, b)}), `CREATE TABLE secret (n BIGINT)`)
}

func TestTargetOf(t *testing.T) {
	g, err := pgstore.TargetOf(`postgres://svc:s%3Acret@db.example:5433/school?search_path=pagamentos&sslmode=disable`)
	want := pgstore.Target{Role: "svc", Password: "s:cret", Database: "school", Schema: "pagamentos"}
	if err != nil || g != want {
		t.Errorf("got %+v, %v", g, err)
	}
	if strings.Contains(g.String(), "cret") {
		t.Errorf("%s tells the password", g)
	}
	for what, u := range map[string]string{
		"server's database": "postgres://svc@h/postgres",
		"public":            "postgres://svc@h/d?search_path=public",
		"two schemas":       "postgres://svc@h/d?search_path=a,public",
		"reserved role":     "postgres://pg_monitor@h/d",
		"long":              "postgres://svc@h/" + strings.Repeat("x", 64),
		"no URL":            "postgres://svc:geheim@h:port/d",
	} {
		_, err := pgstore.TargetOf(u)
		if err == nil {
			t.Errorf("%s: accepted", what)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: the error tells the password: %v", what, err)
		}
	}
}

func TestProvisionRefuses(t *testing.T) {
	admin := enginetest.PostgresAdmin(t)
	ok := pgstore.Target{Role: "trama_test_r", Database: "trama_test_d", Schema: "s"}
	for what, list := range map[string][]pgstore.Target{
		"administrator":  {{Role: "postgres", Database: "trama_test_d"}},
		"one place":      {ok, {Role: "trama_test_other", Database: ok.Database, Schema: ok.Schema}},
		"one role":       {ok, {Role: ok.Role, Database: ok.Database, Schema: "other"}},
		"own and shared": {ok, {Role: "trama_test_other", Database: ok.Database}},
		"password":       {{Role: "trama_test_r", Password: "senha é", Database: "trama_test_d"}},
	} {
		if err := pgstore.Provision(t.Context(), admin, list); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if n := number(t, open(t, pgstore.Options{URL: admin}), `SELECT COUNT(*) FROM pg_database WHERE datname = 'trama_test_d'`); n != 0 {
		t.Error("a refused target left a database")
	}
}
