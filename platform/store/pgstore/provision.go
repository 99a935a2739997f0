package pgstore

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Provision makes the roles, databases and schemas of the targets, with the rights
// that keep them apart: nobody but its owner connects to a service's own
// database; in a shared one, nobody but its owner looks into a schema, and nobody
// writes into public. It may be repeated, also after a change of a password or of
// the set; what exists keeps its data. adminURL is a superuser's, or a role's with
// CREATEROLE and CREATEDB that made everything so far.
func Provision(ctx context.Context, adminURL string, targets []Target) error {
	if err := checkAll(targets); err != nil {
		return err
	}
	cfg, err := pgx.ParseConfig(adminURL)
	if err != nil {
		return fmt.Errorf("pgstore: %w", err)
	}
	admin, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("pgstore: connect to prepare: %w", err)
	}
	defer closeConn(admin)
	// One at a time: CREATE ... IF NOT EXISTS has races of its own.
	if _, err := admin.Exec(ctx, `SELECT pg_advisory_lock(hashtextextended('trama.provision', 0))`); err != nil {
		return fmt.Errorf("pgstore: prepare: %w", err)
	}
	for _, t := range targets {
		if err := provision(ctx, admin, cfg, t); err != nil {
			return fmt.Errorf("pgstore: prepare %s: %w", t, err)
		}
	}
	return nil
}

func provision(ctx context.Context, admin *pgx.Conn, cfg *pgx.ConnConfig, t Target) error {
	if err := makeRole(ctx, admin, t); err != nil {
		return err
	}
	if err := makeDatabase(ctx, admin, t); err != nil {
		return err
	}
	inside := cfg.Copy()
	inside.Database = t.Database
	delete(inside.RuntimeParams, "search_path")
	conn, err := pgx.ConnectConfig(ctx, inside)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	role, schema := quote(t.Role), quote(t.Schema)
	if t.Schema == "" {
		return execAll(ctx, conn,
			`REVOKE ALL ON SCHEMA public FROM PUBLIC`,
			`GRANT ALL ON SCHEMA public TO `+role)
	}
	var owner string
	err = conn.QueryRow(ctx, `SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = $1`, t.Schema).Scan(&owner)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if err == nil && owner != t.Role {
		return fmt.Errorf("schema %s exists and belongs to %s", t.Schema, owner)
	}
	return execAll(ctx, conn,
		`REVOKE ALL ON SCHEMA public FROM PUBLIC`,
		`CREATE SCHEMA IF NOT EXISTS `+schema+` AUTHORIZATION `+role,
		`REVOKE ALL ON SCHEMA `+schema+` FROM PUBLIC`,
		// For a client that forgets search_path in its URL.
		`ALTER ROLE `+role+` IN DATABASE `+quote(t.Database)+` SET search_path = `+schema)
}

// makeRole makes or renews a login that can do nothing but log in.
func makeRole(ctx context.Context, admin *pgx.Conn, t Target) error {
	var super bool
	err := admin.QueryRow(ctx, `SELECT rolsuper OR rolname = current_user FROM pg_roles WHERE rolname = $1`, t.Role).Scan(&super)
	verb := "ALTER"
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		verb = "CREATE"
	case err != nil:
		return err
	case super:
		return fmt.Errorf("role %s is an administrator's; name one for the service", t.Role)
	}
	sql := verb + ` ROLE ` + quote(t.Role) + ` LOGIN NOCREATEDB NOCREATEROLE NOINHERIT`
	if t.Password != "" {
		v, err := verifier(t.Password)
		if err != nil {
			return err
		}
		sql += ` PASSWORD '` + v + `'`
	}
	_, err = admin.Exec(ctx, sql)
	return err
}

func makeDatabase(ctx context.Context, admin *pgx.Conn, t Target) error {
	database, role := quote(t.Database), quote(t.Role)
	var exists bool
	if err := admin.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, t.Database).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		// template0 is empty for sure, and copies while others use template1.
		if _, err := admin.Exec(ctx, `CREATE DATABASE `+database+` TEMPLATE template0 ENCODING 'UTF8'`); err != nil {
			return err
		}
	}
	if err := execAll(ctx, admin, `REVOKE ALL ON DATABASE `+database+` FROM PUBLIC`); err != nil {
		return err
	}
	return execAll(ctx, admin, `GRANT CONNECT, TEMPORARY ON DATABASE `+database+` TO `+role)
}

func execAll(ctx context.Context, conn *pgx.Conn, all ...string) error {
	for _, sql := range all {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// quote makes a name safe in SQL, whatever is in it.
func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// IsDenied says whether the server refused for want of a right (SQLSTATE 42501).
func IsDenied(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42501"
}

// IsRefused says whether the server answered and let us in nowhere: it does not
// know the role, the password or the database of the URL (SQLSTATE 28000, 28P01,
// 3D000). Waiting does not help then.
func IsRefused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "28000" || pg.Code == "28P01" || pg.Code == "3D000")
}

const scramRounds = 4096 // the server's own default

// verifier is what the server keeps of a password (SCRAM-SHA-256, RFC 5803). It is
// computed here so that the password does not travel in SQL, which servers log.
func verifier(password string) (string, error) {
	for _, c := range []byte(password) {
		if c < ' ' || c > '~' { // beyond it SASLprep (RFC 4013) would have a say
			return "", errors.New("a password must consist of visible ASCII characters")
		}
	}
	var salt [16]byte
	_, _ = rand.Read(salt[:]) // never fails (Go 1.24)
	return verifierOf(password, salt[:], scramRounds)
}

func verifierOf(password string, salt []byte, rounds int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	mac := func(text string) []byte {
		m := hmac.New(sha256.New, salted)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, b64(salt), b64(stored[:]), b64(mac("Server Key"))), nil
}
