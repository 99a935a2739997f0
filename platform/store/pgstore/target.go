package pgstore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Target is what one service is to have on a server. Without a Schema it gets a
// database of its own; with one, a schema of its own in a database it shares.
type Target struct {
	Role     string // the service's login
	Password string // empty: the role's password is left as it is
	Database string
	Schema   string
}

// TargetOf reads a service's connection URL: user, password, database and, as the
// schema, search_path.
func TargetOf(url string) (Target, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return Target{}, fmt.Errorf("pgstore: %w", err) // pgx keeps the password out of it
	}
	t := Target{Role: cfg.User, Password: cfg.Password, Database: cfg.Database, Schema: unquote(cfg.RuntimeParams["search_path"])}
	return t, t.check()
}

// unquote takes the quotes off a search_path of one name.
func unquote(s string) string {
	if len(s) > 1 && s[0] == '"' && s[len(s)-1] == '"' {
		return strings.ReplaceAll(s[1:len(s)-1], `""`, `"`)
	}
	return s
}

// String says what the target is, without its password.
func (t Target) String() string {
	if t.Schema != "" {
		return fmt.Sprintf("schema %s of database %s for role %s", t.Schema, t.Database, t.Role)
	}
	return fmt.Sprintf("database %s for role %s", t.Database, t.Role)
}

// check refuses what can only be a mistake.
func (t Target) check() error {
	for what, name := range map[string]string{"role": t.Role, "database": t.Database, "schema": t.Schema} {
		switch {
		case name == "" && what != "schema":
			return fmt.Errorf("pgstore: a target needs a %s", what)
		case len(name) > 63: // the server would cut it silently
			return fmt.Errorf("pgstore: %s %q is longer than 63 bytes", what, name)
		case strings.ContainsRune(name, 0):
			return fmt.Errorf("pgstore: %s %q holds a NUL", what, name)
		case strings.HasPrefix(name, "pg_"):
			return fmt.Errorf("pgstore: %s %q: names with pg_ are the server's", what, name)
		}
	}
	switch t.Database {
	case "postgres", "template0", "template1":
		return fmt.Errorf("pgstore: database %q is the server's own; name one for the services", t.Database)
	}
	if strings.ContainsAny(t.Schema, ",$") {
		return fmt.Errorf("pgstore: search_path %q: want the one schema of the service", t.Schema)
	}
	switch t.Schema {
	case "public", "information_schema":
		return fmt.Errorf("pgstore: schema %q is everybody's; name one for the service", t.Schema)
	}
	return nil
}

// checkAll refuses targets that would share what must be their own.
func checkAll(targets []Target) error {
	type place struct{ database, schema string }
	places, roles := map[place]string{}, map[string]place{}
	shared := map[string]bool{} // database: holds schemas
	for _, t := range targets {
		if err := t.check(); err != nil {
			return err
		}
		at := place{t.Database, t.Schema}
		if other, ok := places[at]; ok && other != t.Role {
			return fmt.Errorf("pgstore: %s and %s are given the same place: %s", other, t.Role, t)
		}
		if other, ok := roles[t.Role]; ok && other != at {
			return fmt.Errorf("pgstore: role %s is given two places; each service needs a role of its own", t.Role)
		}
		places[at], roles[t.Role] = t.Role, at
		if is, ok := shared[t.Database]; ok && is != (t.Schema != "") {
			return errors.New("pgstore: database " + t.Database + " is one service's own and shared by others at once")
		}
		shared[t.Database] = t.Schema != ""
	}
	return nil
}
